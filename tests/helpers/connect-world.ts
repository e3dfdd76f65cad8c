// Two peers and their tracker in memory, for tests of how they connect: each dial has the fate that a test gives it.

import { FtError } from "../../lib/error.ts";
import type { Channel, Dial } from "../../lib/net/channel.ts";
import { Connector } from "../../lib/peer/connect/connect.ts";
import { sha256 } from "../../lib/peer/content/hash.ts";
import { fetchFile } from "../../lib/peer/fetch/fetch.ts";
import { Server } from "../../lib/peer/serve/serve.ts";
import type { ServeEvent } from "../../lib/peer/serve/types.ts";
import { type Address, type Endpoint, isLoopback } from "../../lib/protocol/address.ts";
import type { CallBack } from "../../lib/protocol/messages.ts";
import { PassOffice, readPass } from "../../lib/protocol/pass.ts";
import type { FileRecord } from "../../lib/protocol/record.ts";
import { addressOf, connection, type Far, HandClock, nameOf, REFUSED, Side, settle } from "./channel.ts";
import { contentId } from "./holder.ts";

export const CONTENT = new TextEncoder().encode("Hello, world");
export const ROOT = contentId(CONTENT);
export const NAME = nameOf("hello.txt");
export const STRANGER: Endpoint = { address: addressOf("192.168.1.66"), port: 51_000 };
export const SILENCE = new FtError("no-answer", "no answer within 5 s");

/** What becomes of an attempt to connect. */
type Fate = FtError | "silence" | Promise<unknown> | undefined;

/** A peer as far as connections are concerned: it serves one file, and asks to be connected to. */
export class Host {
  readonly at: Endpoint;
  readonly log: ServeEvent[] = [];
  /** Where it has dialled. */
  readonly dialled: string[] = [];
  /** Its own ends of all connections that were made, by it and to it. */
  readonly made: Side[] = [];
  readonly accepted: Side[] = [];
  readonly tokens: string[] = [];
  readonly asked: CallBack[] = [];
  local: Address | undefined;
  closed = "";
  pass: string;
  readonly server: Server;
  readonly connector: Connector;

  constructor(world: World, address: string, port: number) {
    this.at = { address: addressOf(address), port };
    this.local = this.at.address;
    this.pass = world.passFor(address);
    this.server = new Server({
      open: (wanted) =>
        wanted.root === ROOT || wanted.name === NAME
          ? {
              name: NAME,
              file: {
                size: CONTENT.length,
                read: async (into, from) => {
                  into.set(CONTENT.subarray(from, from + into.length));
                  return Math.min(into.length, CONTENT.length - from);
                },
                unchanged: () => true,
                close: () => undefined,
              },
            }
          : undefined,
      look: (root) => (root === ROOT ? { size: CONTENT.length, pieces: Buffer.from(ROOT, "hex") } : undefined),
      sha256,
      clock: world.clock,
      changed: () => undefined,
      readPass: (text, from) => {
        const pass = readPass(text, world.office.key);
        if (pass === undefined) return { refusal: "The pass is not from this peer's tracker." };
        return pass.address === from ? { id: pass.id } : { refusal: `The pass is for another address than ${from}.` };
      },
      arrived: (token, channel) => this.connector.arrived(token, channel),
      known: async () => false,
      report: (event) => this.log.push(event),
    });
    this.connector = new Connector({
      dial: world.dialFrom(this),
      ask: async (call) => {
        this.asked.push(call);
        return await world.tell(call, this);
      },
      serve: (channel) => this.server.accept(channel),
      isDialable: ({ address }) => !isLoopback(address),
      mayCallBack: async () => true,
      local: () => this.local,
      closed: () => this.closed,
      token: () => {
        const token = `secret-${address.replace(/\W/g, "-")}-${this.tokens.length}`;
        this.tokens.push(token);
        return token;
      },
      clock: world.clock,
    });
  }

  record(more: Partial<FileRecord> = {}): FileRecord {
    return {
      ...this.at,
      name: NAME,
      type: "text/plain",
      size: CONTENT.length,
      date: "22/11/26",
      v2: true,
      root: ROOT,
      ...more,
    };
  }

  get refusals(): string[] {
    return this.log.flatMap((event) => (event.event === "download-refused" ? [event.reason] : []));
  }

  /** Somebody far away connects. */
  meet(from: Endpoint): { near: Side; far: Far } {
    const both = connection(from);
    this.server.accept(both.near);
    return both;
  }
}

/** The network, the tracker, and whoever is on them. */
export class World {
  readonly clock = new HandClock();
  readonly office = new PassOffice();
  /** What becomes of an attempt. Silence lasts five seconds. */
  fate: (from: Host, to: { address: string; port: number }) => Fate = () => undefined;
  /** What the tracker does when it is asked to have somebody connect; without it, it does that. */
  tracker: ((call: CallBack, asker: Host) => Promise<boolean>) | undefined;
  readonly #hosts: Host[] = [];
  #ports = 50_000;

  host(address: string, port = 1235): Host {
    const host = new Host(this, address, port);
    this.#hosts.push(host);
    return host;
  }

  /** Two peers: who wants the file, and who has it. */
  pair(): { wanter: Host; holder: Host } {
    return { wanter: this.host("192.168.1.17"), holder: this.host("192.168.1.31") };
  }

  /** A pass for an address, as the tracker signs it. */
  passFor(address: string): string {
    return this.office.issue({
      id: `at-${address}`,
      address: addressOf(address),
      expires: Math.floor(this.clock.at() / 1000) + 3600,
    });
  }

  /** Nobody can connect to this one. */
  firewall(...hosts: Host[]): void {
    this.fate = (_from, { address }) => (hosts.some(({ at }) => at.address === address) ? "silence" : undefined);
  }

  dialFrom(from: Host): Dial {
    return async (to, { signal } = {}) => {
      from.dialled.push(`${to.address}:${to.port}`);
      const stopped = Promise.withResolvers<never>();
      stopped.promise.catch(() => undefined);
      signal?.addEventListener("abort", () => stopped.reject(new FtError("cancelled", "stopped")));
      if (signal?.aborted) throw new FtError("cancelled", "stopped");
      const fate = this.fate(from, to);
      if (fate instanceof FtError) throw fate;
      if (fate === "silence") {
        await Promise.race([stopped.promise, new Promise((resolve) => this.clock.after(5000, () => resolve(undefined)))]);
        throw SILENCE;
      }
      await Promise.race([fate, stopped.promise]);
      const target = this.#hosts.find(({ at }) => at.address === to.address && at.port === to.port);
      if (target === undefined) throw REFUSED;
      const [theirs, ours] = Side.pair(target.at, { address: from.at.address, port: ++this.#ports }, this.clock);
      from.made.push(ours);
      target.made.push(theirs);
      target.accepted.push(theirs);
      target.server.accept(theirs);
      return ours;
    };
  }

  /** CONNECT: the one who is meant is told, with the address that the tracker sees. */
  async tell(call: CallBack, asker: Host): Promise<boolean> {
    if (this.tracker !== undefined) return await this.tracker(call, asker);
    const holder = this.#hosts.find(({ at }) => at.address === call.address && at.port === call.port);
    if (holder === undefined) return false;
    void holder.connector.callBack({ ...asker.at, token: call.token });
    return true;
  }

  /** The whole file, as any download gets it. */
  async fetch(wanter: Host, record: FileRecord): Promise<string> {
    const arrived = new Uint8Array(CONTENT.length);
    const fetching = fetchFile(
      { name: NAME, size: CONTENT.length, root: ROOT, holders: [record] },
      {
        dial: (one, how) => wanter.connector.open(one, how),
        target: { write: async (offset, bytes) => arrived.set(bytes, offset), restart: async () => undefined },
        pass: () => wanter.pass,
        layer: async (memory, length) => Uint8Array.fromHex(contentId(new Uint8Array(memory, 0, length).slice())),
        sha256,
        report: () => undefined,
        clock: this.clock,
        random: () => 0.5,
      },
    );
    return await this.during(fetching).then(() => new TextDecoder().decode(arrived));
  }

  /** Lets time pass until it is settled. */
  async during<Value>(promise: Promise<Value>, withinMs = 60_000): Promise<Value> {
    let over = false;
    promise.then(
      () => {
        over = true;
      },
      () => {
        over = true;
      },
    );
    const until = this.clock.at() + withinMs;
    for (await settle(); !over; await this.clock.pass(50)) {
      if (this.clock.at() >= until) throw new Error(`it should have been over within ${withinMs} ms`);
    }
    return await promise;
  }

  async failure(promise: Promise<unknown>): Promise<FtError> {
    const outcome = await this.during(promise).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (!(outcome instanceof FtError)) throw new Error(`it should have failed with a clause: ${outcome}`);
    return outcome;
  }
}

/** Reads everything that comes on a channel that was opened. */
export function listenOn(channel: Channel): { text: () => string; over: () => boolean } {
  let text = "";
  let over = false;
  channel.start({
    data: (chunk) => {
      text += new TextDecoder().decode(chunk);
    },
    end: () => {
      over = true;
    },
    close: () => {
      over = true;
    },
  });
  return { text: () => text, over: () => over };
}

/** A peer that has asked for a connection and waits: nobody can be dialled, and the tracker asks nobody. */
export async function expecting(): Promise<{
  world: World;
  wanter: Host;
  holder: Host;
  opening: Promise<Channel>;
  token: string;
}> {
  const world = new World();
  const { wanter, holder } = world.pair();
  world.firewall(holder);
  world.tracker = async () => true;
  const opening = wanter.connector.open(holder.record());
  opening.catch(() => undefined);
  await world.clock.pass(300);
  const [token] = wanter.tokens;
  if (token === undefined) throw new Error("it did not ask to be connected to");
  return { world, wanter, holder, opening, token };
}

export async function isWaiting(promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => false,
    () => false,
  );
  return await Promise.race([settled, settle().then(() => true)]);
}
