// Peers in a private room, against trackers, holders and downloaders that are not what they should be. All over real sockets.

import { afterAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../lib/clock.ts";
import { type Certificate, fingerprintOf, newCertificate } from "../../../lib/net/certificate.ts";
import type { Channel } from "../../../lib/net/channel.ts";
import { dial } from "../../../lib/net/dial.ts";
import { tlsOptions } from "../../../lib/net/tls.ts";
import { chooseFiles } from "../../../lib/peer/disk/share.ts";
import type { PeerEvent } from "../../../lib/peer/events.ts";
import { enterRoom, type RoomKnown } from "../../../lib/peer/online/room.ts";
import { RoomKeeper } from "../../../lib/protocol/room.ts";
import { startPeer } from "../../../peer.ts";
import { files, valuesOf } from "../../helpers/guests.ts";
import { OTHER_SECRET, RoomGuest, SECRET } from "../../helpers/room.ts";
import { certificate, eventually, failure, LOOPBACK, noise, Room, Tape } from "../../helpers/sockets.ts";
import { LoopbackTracker } from "../../helpers/tracker.ts";

const folder = mkdtempSync(join(tmpdir(), "ft-room-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const BYTES = Buffer.from(noise(300_000));
writeFileSync(join(folder, "data.bin"), BYTES);
writeFileSync(join(folder, "other.bin"), noise(1000, 2));

const FETCHING = { overwrite: false, signal: new AbortController().signal, report: () => undefined };

const house = () => new LoopbackTracker([], { room: { secret: SECRET, certificate } });
const random = () => randomBytes(32);

/** A peer of ours in a room. */
async function member(tracker: LoopbackTracker, file = "data.bin", name = "Ann") {
  const own = newCertificate();
  const known: RoomKnown = { secret: SECRET, pin: undefined, proven: false };
  const place = { address: LOOPBACK, port: tracker.tracker.port, full: true, room: true as const };
  const events: PeerEvent[] = [];
  const peer = await startPeer({
    tracker: place,
    room: {
      certificate: own,
      enter: (channel, signal) => enterRoom(channel, known, place, { random, clock: systemClock, signal }),
    },
    files: chooseFiles([join(folder, file)], 5).taken,
    port: 0,
    name,
    cachePath: join(mkdtempSync(join(folder, "cache-")), "roots.json"),
    report: (event) => events.push(event),
  });
  peer.computeRoots();
  await eventually(() => events.some(({ event }) => event === "root"));
  return { peer, events, certificate: own, known, [Symbol.asyncDispose]: () => peer.stop() };
}

/** A member that speaks line by line, with the certificate `tls`; its records say this port. */
async function guest(tracker: LoopbackTracker, port: number, tls: Certificate, record = "") {
  const one = await RoomGuest.connect(tracker.tracker.port, tls);
  expect(await one.prove()).toBe(true);
  const own = record || `<trap.bin,data,5,01/02/03,10.0.0.1,${port};v=2;root=${"ab".repeat(32)}>`;
  one.send(`HELLO FT/2 agent=test/1 extras=1 name=Eve\n${files(port, own)}`);
  await one.line();
  const welcome = valuesOf((await one.line()) ?? "");
  return Object.assign(one, { pass: welcome.get("pass") ?? "" });
}

/** What a holder says to these words, on a connection with this certificate. */
async function said(port: number, words: string, tls: Certificate | undefined, count = 1): Promise<string> {
  const channel = await dial({ address: LOOPBACK, port }, { tls });
  const tape = new Tape({ end: () => channel.finish() });
  channel.start(tape);
  channel.send(words);
  await tape.until(() => tape.closes.length > 0 || tape.text.split("\n").length > count);
  channel.destroy();
  return tape.text;
}

/** A program that takes connections with this certificate, and keeps what comes. */
function trap(tls: Certificate) {
  const seen = { opened: 0, closed: 0, text: "" };
  const socket = {
    open: () => {
      seen.opened += 1;
    },
    data: (_: unknown, chunk: Uint8Array) => {
      seen.text += new TextDecoder().decode(chunk);
    },
    close: () => {
      seen.closed += 1;
    },
    error: () => undefined,
  };
  const listener = Bun.listen({ hostname: LOOPBACK, port: 0, tls: tlsOptions(tls), socket });
  return { port: listener.port, seen, [Symbol.dispose]: () => listener.stop(true) };
}

test("members fetch from each other", async () => {
  await using tracker = house();
  await using ann = await member(tracker);
  await using ben = await member(tracker, "other.bin", "Ben");
  const [record] = await ben.peer.session.requests.search("data.bin" as never);
  expect(record?.fingerprint).toBe(fingerprintOf(ann.certificate));
  expect(ben.events).toContainEqual(expect.objectContaining({ event: "joined", room: true }));
  if (record === undefined) throw new Error("there is no record");
  const to = mkdtempSync(join(folder, "got-"));
  await ben.peer.download([record], { ...FETCHING, folder: to });
  expect(readFileSync(join(to, "data.bin"))).toEqual(BYTES);
});

describe("a holder", () => {
  const GET = "DOWNLOAD name=data.bin offset=0 length=5\n";

  test("serves a pass on a connection with the certificate in it alone", async () => {
    await using tracker = house();
    await using ann = await member(tracker);
    const own = newCertificate();
    using eve = await guest(tracker, 1, own);
    const hello = `HELLO FT/2 pass=${eve.pass}\n`;
    expect(await said(ann.peer.port, hello + GET, own, 2)).toStartWith("HI FT/2\nFILE: length=5 ");
    const stolen = await said(ann.peer.port, hello + GET, newCertificate());
    expect(stolen).toBe("ERROR not-accepted The pass is for another certificate than that of this connection.\n");
  });

  test("gives nothing to plain bytes, to FT/1, and to a downloader without a pass", async () => {
    await using tracker = house();
    await using ann = await member(tracker);
    const own = newCertificate();
    using _eve = await guest(tracker, 1, own);
    for (const words of ["DOWNLOAD:data.bin,data,300000", "DOWNLOAD data.bin"]) {
      const plain = await said(ann.peer.port, words, undefined);
      expect([words, plain.length <= 7]).toEqual([words, true]);
      expect([words, await said(ann.peer.port, `${words}\n`, own)]).toEqual([words, ""]);
    }
    expect(await said(ann.peer.port, GET, own)).not.toContain("FILE");
  });
});

describe("a downloader", () => {
  test("sends no byte to a holder with another certificate than the one that the tracker saw", async () => {
    await using tracker = house();
    using hole = trap(newCertificate());
    using _eve = await guest(tracker, hole.port, newCertificate());
    await using ben = await member(tracker, "other.bin", "Ben");
    const [record] = await ben.peer.session.requests.search("trap.bin" as never);
    if (record === undefined) throw new Error("there is no record");
    const to = mkdtempSync(join(folder, "got-"));
    const stop = new AbortController();
    const failed = ben.peer.download([record], { ...FETCHING, folder: to, signal: stop.signal }).catch((error) => error);
    await eventually(() => hole.seen.closed > 1);
    stop.abort();
    await failed;
    expect(hole.seen.text).toBe("");
  });
});

describe("a peer that is asked to connect back", () => {
  test("says its token to the certificate that the tracker saw alone", async () => {
    await using tracker = house();
    await using ann = await member(tracker);
    const own = newCertificate();
    using right = trap(own);
    using wrong = trap(newCertificate());
    const call = `CONNECT address=${LOOPBACK} port=${ann.peer.port} token=abc\n`;
    using eve = await guest(tracker, wrong.port, own);
    eve.send(call);
    // The tracker tries the port, and then Ann connects.
    await eventually(() => wrong.seen.closed > 1);
    using fay = await guest(tracker, right.port, own);
    fay.send(call);
    await eventually(() => right.seen.text !== "");
    expect(wrong.seen.text).toBe("");
    expect(right.seen.text).toBe("HELLO FT/2 token=abc\n");
  });
});

describe("enterRoom", () => {
  /** A room's tracker that does with a peer's connection what a test wants. */
  async function at(act: (channel: Channel, keeper: RoomKeeper) => void, known: RoomKnown, secret = SECRET) {
    using room = new Room(undefined, certificate);
    const listener = room.listen({
      onConnection: (channel) => {
        const binding = channel.secured?.binding() ?? new Uint8Array();
        act(channel, new RoomKeeper({ secret, binding, random: random() }));
      },
    });
    const place = { address: LOOPBACK, port: listener.port };
    const channel = await dial(place, { tls: certificate });
    const outcome = await failure(() => enterRoom(channel, known, place, { random, clock: systemClock })).catch(
      () => undefined,
    );
    return outcome?.map((words) => words.replace(String(listener.port), "PORT"));
  }

  /** A tracker that keeps the protocol. `lie`: the line in place of its proof. */
  const keeps = (lie?: string) => (channel: Channel, keeper: RoomKeeper) => {
    let first = true;
    channel.start({
      data: (chunk) => {
        const line = new TextDecoder().decode(chunk).trimEnd();
        const answer = first ? keeper.answer(line) : (lie ?? keeper.prove(line));
        first = false;
        if (answer === undefined) channel.finish();
        else channel.send(answer);
      },
    });
  };
  const fresh = (): RoomKnown => ({ secret: SECRET, pin: undefined, proven: false });

  test("remembers the certificate of a tracker that has shown the key", async () => {
    const known = fresh();
    expect(await at(keeps(), known)).toBeUndefined();
    expect(known).toMatchObject({ pin: fingerprintOf(certificate), proven: true });
    expect(await at(keeps(), known)).toBeUndefined();
  });

  test("tells a wrong key from one that has changed, and from a tracker that does not know it either", async () => {
    const key =
      'The private room at "127.0.0.1:PORT" does not take this key. Check it, or ask for the present one: it may have changed.';
    expect(await at(keeps(), fresh(), OTHER_SECRET)).toEqual(["room-key", key]);
    const changed = 'The private room at "127.0.0.1:PORT" has another key now. Ask for the new one.';
    expect(await at(keeps(), { ...fresh(), proven: true }, OTHER_SECRET)).toEqual(["room-key", changed]);
    const lie = `ROOM proof=${"00".repeat(64)}\n`;
    const known = fresh();
    expect(await at(keeps(lie), known)).toEqual(["room-key", key]);
    expect(known.pin).toBeUndefined();
  });

  test("sends nothing to a tracker with another certificate than before", async () => {
    let received = 0;
    const listens = (channel: Channel) =>
      channel.start({
        data: (chunk) => {
          received += chunk.length;
        },
      });
    const [code, words] = (await at(listens, { ...fresh(), pin: "0".repeat(64) })) ?? [];
    expect(code).toBe("room-changed");
    expect(words).toBe(
      'The private room at "127.0.0.1:PORT" is not the one that was used before: its certificate is another one. Somebody else may answer there. If the room was set up anew, run this once with --forget.',
    );
    expect(received).toBe(0);
  });

  test("may try again where the connection broke before the key was looked at", async () => {
    expect((await at((channel) => channel.finish(), fresh()))?.[0]).toBe("room-busy");
    expect((await at((channel) => channel.destroy(), fresh()))?.[0]).toBe("room-busy");
    const rubbish = (channel: Channel) => channel.start({ data: () => channel.send(`${"x".repeat(5000)}\n`) });
    expect((await at(rubbish, fresh()))?.[0]).toBe("room-busy");
  });
});

test("a peer whose room has another key is out, and tries the old one once", async () => {
  await using tracker = house();
  await using ann = await member(tracker);
  tracker.tracker.changeSecret(OTHER_SECRET);
  await eventually(() => ann.events.some(({ event }) => event === "shut-out"));
  expect(ann.events).toContainEqual({
    event: "shut-out",
    code: "room-key",
    words: `The private room at "127.0.0.1:${tracker.tracker.port}" has another key now. Ask for the new one.`,
  });
  expect(await failure(() => ann.peer.session.requests.who())).toEqual([
    "room-key",
    expect.stringContaining("has another key now"),
  ]);
  expect(tracker.tracker.summary().refused).toEqual({ "wrong-key": 1 });
});

test("a peer tells an open tracker in the place of its room nothing, and comes back when the room does", async () => {
  await using first = house();
  const { port } = first.tracker;
  await using ann = await member(first);
  await first.tracker.stop();
  const open = new LoopbackTracker(["--port", String(port)]);
  const isTold = (event: PeerEvent) => event.event === "away" && event.reason.includes("does not encrypt");
  await eventually(() => ann.events.some(isTold));
  expect(open.tracker.catalog.peers).toBe(0);
  await open.tracker.stop();
  await using again = new LoopbackTracker(["--port", String(port)], { room: { secret: SECRET, certificate } });
  await again.event("joined");
  expect(ann.events.filter(isTold)).toHaveLength(1);
});

test("a peer comes back to its room after a restart of the tracker", async () => {
  await using first = house();
  const { port } = first.tracker;
  await using ann = await member(first);
  await first.tracker.stop();
  await using second = new LoopbackTracker(["--port", String(port)], { room: { secret: SECRET, certificate } });
  await second.event("joined");
  expect(ann.peer.session.online || second.all("joined").length === 1).toBe(true);
});
