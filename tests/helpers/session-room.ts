// A peer's session with a tracker that a test plays: a clock that is moved by hand, a network in memory, two shared files.

import { expect } from "bun:test";
import { FtError } from "../../lib/error.ts";
import { Session } from "../../lib/peer/online/session.ts";
import type { SessionEvent, SessionOptions } from "../../lib/peer/online/session-types.ts";
import type { Endpoint } from "../../lib/protocol/address.ts";
import type { FileRecord } from "../../lib/protocol/record.ts";
import { addressOf, type Far, HandClock, Net, nameOf, settle } from "./channel.ts";

export const TRACKER = { address: "192.168.1.2", port: 1234 };
export const WHERE = "192.168.1.2:1234";
export const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

export const HELLO = "HELLO FT/2 agent=ft-peer/1.0.0 extras=1";
export const HI = "HI FT/2 name=Lab%203 max=5 key=11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo you=192.168.1.17\n";
export const REPORT = `<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,40123;v=2;mtime=2026-11-22T10:04:05.000Z;root=${ROOT}>`;
export const NOTES = "<notes.txt,text/plain,12,01/02/26,192.168.1.17,40123;v=2;mtime=2026-02-01T08:00:00.000Z>";

export function record(name: string, more: Partial<FileRecord> = {}): FileRecord {
  return {
    name: nameOf(name),
    type: "text/plain",
    size: 12,
    date: "01/02/26",
    address: addressOf("192.168.1.17"),
    port: 40_123,
    v2: true,
    mtime: "2026-02-01T08:00:00.000Z",
    ...more,
  };
}

export const report = record("report.pdf", {
  type: "application/pdf",
  size: 48_213,
  date: "22/11/26",
  mtime: "2026-11-22T10:04:05.000Z",
  root: ROOT,
});

/** A pass as a tracker writes it: base64url(payload).base64url(signature); nobody checks the signature here. */
export function passOf(expiresAt: number): string {
  return `${Buffer.from(`p1 192.168.1.17 ${expiresAt}`).toString("base64url")}.c2ln`;
}

/** A session, its clock, its network, and what it reported. */
export class SessionRoom {
  readonly clock = new HandClock();
  readonly net = new Net(this.clock);
  readonly events: SessionEvent[] = [];
  shared = [report, record("notes.txt")];
  chance = 0.5;
  readonly session: Session;

  constructor(parts?: (own: Endpoint) => FileRecord[], more: Partial<SessionOptions> = {}) {
    this.session = new Session({
      dial: this.net.dial,
      tracker: TRACKER,
      agent: "ft-peer/1.0.0",
      port: 40_123,
      records: (own) => [...this.shared.map((one) => ({ ...one, ...own })), ...(parts?.(own) ?? [])],
      report: (event) => this.events.push(event),
      clock: this.clock,
      random: () => this.chance,
      ...more,
    });
  }

  named(event: SessionEvent["event"]): SessionEvent[] {
    return this.events.filter((one) => one.event === event);
  }

  welcome(far: Far): void {
    far.say(`WELCOME id=p1 pass=${passOf(this.clock.at() / 1000 + 3600)} peers=14 files=52\n`);
  }

  /** Plays the tracker until the peer is online. */
  async accept(far: Far): Promise<void> {
    expect(await far.line()).toBe(HELLO);
    far.say(HI);
    await far.lines(1 + this.shared.length);
    this.welcome(far);
    await settle();
  }

  /** Joins an FT/2 tracker; gives the tracker's end. */
  async online(): Promise<Far> {
    const joining = this.session.join();
    const far = await this.net.next();
    await this.accept(far);
    await joining;
    return far;
  }

  /** Lets time pass until the peer dials once more; gives the tracker's end. */
  async nextTry(): Promise<Far> {
    for (let i = 0; i < 1000 && this.net.untaken === 0; i++) await this.clock.pass(100);
    expect(this.net.untaken).toBe(1);
    return this.net.next();
  }

  /** The second connection to a tracker that is silent on the first, after its bare HELLO. */
  async basicConnection(): Promise<Far> {
    await this.net.next();
    await this.clock.pass(1000);
    return this.net.next();
  }

  /** The tracker says HI. For some seconds more its answer to HELLO FT/2 may only be late. */
  async sayHi(second: Far): Promise<void> {
    second.say("HI");
    await this.clock.pass(5_500);
  }

  /** Joins an FT/1 tracker. */
  async onlineBasic(): Promise<void> {
    const joining = this.session.join();
    await this.sayHi(await this.basicConnection());
    await joining;
  }
}

/** Answers every line by a script, for as long as the connection lasts; `heard` is all that was said. */
export function play(far: Far, heard: string[], answer: (line: string) => string): void {
  const run = async () => {
    for (;;) {
      await far.until(() => far.waiting.includes(10) || far.over);
      if (!far.waiting.includes(10)) return;
      const line = await far.line();
      heard.push(line);
      far.say(answer(line));
    }
  };
  void run();
}

export async function failure(promise: Promise<unknown>): Promise<FtError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(outcome instanceof FtError)) throw new Error(`it should have failed with a sentence: ${outcome}`);
  return outcome;
}

/** Whether a promise is settled once everything that can happen without time has happened. */
export async function stateOf(promise: Promise<unknown>): Promise<"done" | "failed" | "waiting"> {
  const settled = promise.then(
    () => "done" as const,
    () => "failed" as const,
  );
  return Promise.race([settled, settle().then(() => "waiting" as const)]);
}
