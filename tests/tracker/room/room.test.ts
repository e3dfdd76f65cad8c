// A tracker that is a private room, over real sockets, and attacks on it.

import { describe, expect, test } from "bun:test";
import { fingerprintOf, newCertificate } from "../../../lib/net/certificate.ts";
import { dial } from "../../../lib/net/dial.ts";
import { listen } from "../../../lib/net/listen.ts";
import { readKeyedPass, readPass, SessionKey } from "../../../lib/protocol/pass.ts";
import { files, valuesOf } from "../../helpers/guests.ts";
import { Raw } from "../../helpers/raw.ts";
import { OTHER_SECRET, RoomGuest, SECRET } from "../../helpers/room.ts";
import { certificate, eventually, LOOPBACK } from "../../helpers/sockets.ts";
import { LoopbackTracker, NOTES, NOTES_SEEN } from "../../helpers/tracker.ts";

const room = () => new LoopbackTracker([], { room: { secret: SECRET, certificate } });

/** A member that is online. `more`: what stands at the end of its HELLO. */
async function member(port: number, tls = certificate, more = "", records = [NOTES]) {
  const guest = await RoomGuest.connect(port, tls);
  expect(await guest.prove()).toBe(true);
  guest.send(`HELLO FT/2 agent=test/1 extras=1${more}\n${files(40123, ...records)}`);
  const hi = valuesOf((await guest.line()) ?? "");
  const welcome = valuesOf((await guest.line()) ?? "");
  return { guest, hi, welcome };
}

/** The next line of an answer; what the tracker says by itself is left out. */
async function answer(guest: RoomGuest): Promise<string | undefined> {
  let line = await guest.line();
  while (line?.startsWith("REACH")) line = await guest.line();
  return line;
}

describe("a private room", () => {
  test("lets in a peer that shows the key, and says what it is only then", async () => {
    await using house = room();
    using guest = await RoomGuest.connect(house.tracker.port);
    expect(guest.channel.secured?.fingerprint).toBe(fingerprintOf(certificate));
    expect(await guest.prove()).toBe(true);
    guest.send("HELLO FT/2 agent=test/1\n");
    expect(await guest.line()).toStartWith("HI FT/2 name=Lab%203 ");
    expect(house.events[0]).toMatchObject({ event: "listening", room: true });
    expect(house.tracker.summary()).toMatchObject({ room: true });
  });

  test("puts the certificate that it saw into records, passes and CONNECT", async () => {
    await using house = room();
    const own = newCertificate();
    const print = fingerprintOf(own);
    const key = new SessionKey();
    const liar = NOTES.replace(">", `;fp=${"0".repeat(64)}>`);
    const { guest, hi, welcome } = await member(house.tracker.port, own, ` key=${key.key} name=Ben`, [liar]);
    expect(await guest.line()).toStartWith("REACH no ");
    guest.send("LIST\n");
    expect(await guest.line()).toBe("FOUND: 1");
    expect(await guest.line()).toBe(NOTES_SEEN.replace(">", `;reach=no;fp=${print};by=Ben>`));
    expect(readPass(welcome.get("pass") ?? "", hi.get("key") ?? "")).toMatchObject({ fingerprint: print });
    expect(readKeyedPass(welcome.get("keyed") ?? "", hi.get("key") ?? "")).toMatchObject({ fingerprint: print, key: key.key });
    const other = await member(house.tracker.port);
    other.guest.send(`CONNECT address=${LOOPBACK} port=40123 token=abc id=${welcome.get("id")} fp=${"0".repeat(64)}\n`);
    expect(await answer(guest)).toBe(`CONNECT address=${LOOPBACK} port=40123 token=abc fp=${fingerprintOf(certificate)}`);
    guest[Symbol.dispose]();
    other.guest[Symbol.dispose]();
  });

  test("closes plain bytes without a word of FT/1 or FT/2, and registers nobody", async () => {
    await using house = room();
    for (const text of ["HELLO", "HELLO FT/2 agent=x\n", `${NOTES}\n`, "SEARCH: notes.txt\n", "BYE"]) {
      const raw = await Raw.connect(house.tracker.port, LOOPBACK);
      raw.send(text);
      const said = (await raw.rest()).toString("latin1");
      raw.close();
      expect([text, said]).toEqual([text, expect.stringMatching(/^(?:\u0015\u0003.\u0000\u0002\u0002.)?$/s)]);
    }
    expect(house.tracker.catalog.peers).toBe(0);
  });

  test("speaks no FT/1, not even to a member", async () => {
    await using house = room();
    using guest = await RoomGuest.connect(house.tracker.port);
    await guest.prove();
    guest.send(`${NOTES}\nSEARCH: notes.txt\n`);
    guest.channel.halfClose();
    await guest.until(() => guest.over);
    expect(guest.text).not.toMatch(/HI|FOUND/);
    expect(house.tracker.catalog.peers).toBe(0);
  });
});

describe("without the key", () => {
  const lines = [
    ["HELLO", "HELLO FT/2 agent=x\n"],
    ["a list", `HELLO FT/2 agent=x\n${files(1, NOTES)}`],
    ["a point of low order", `ROOM FT/2 share=${"00".repeat(32)}\n`],
    ["half a point", "ROOM FT/2 share=00\n"],
    ["a proof without a share", `ROOM proof=${"00".repeat(64)}\n`],
    ["a long line", `ROOM ${"x".repeat(5000)}\n`],
    ["bytes that are no text", "\u0000\u0001\u0002\n"],
  ];
  test.each(lines)("%s is answered by a close and nothing else", async (_, text = "") => {
    await using house = room();
    using guest = await RoomGuest.connect(house.tracker.port);
    guest.send(text);
    await guest.until(() => guest.over);
    expect(guest.text).toBe("");
    expect(house.tracker.summary().refused).toEqual({ "not-accepted": 1 });
  });

  test("a connection that ends before its first byte is closed, and not counted", async () => {
    await using house = room();
    using guest = await RoomGuest.connect(house.tracker.port);
    guest.channel.halfClose();
    await guest.until(() => guest.over);
    expect([guest.text, house.tracker.summary().refused]).toEqual(["", {}]);
  });

  test("a wrong key hears one random share, and is counted", async () => {
    await using house = room();
    const shares: string[] = [];
    for (let i = 0; i < 2; i += 1) {
      using guest = await RoomGuest.connect(house.tracker.port);
      expect(await guest.prove(OTHER_SECRET)).toBe(false);
      expect(guest.text).toMatch(/^ROOM share=[0-9a-f]{64}\n$/);
      shares.push(guest.text);
    }
    expect(shares[0]).not.toBe(shares[1]);
    expect(house.tracker.summary().refused).toEqual({ "wrong-key": 2 });
    expect(house.all("refused")).toMatchObject([{ code: "wrong-key" }, { code: "wrong-key" }]);
  });

  test("a recorded proof is worth nothing on another connection", async () => {
    await using house = room();
    using first = await RoomGuest.connect(house.tracker.port);
    const opener = first.opener();
    first.send(opener.hello);
    const proof = opener.answer((await first.line()) ?? "") ?? "";
    first.send(proof);
    expect(await first.line()).toStartWith("ROOM proof=");
    using second = await RoomGuest.connect(house.tracker.port);
    second.send(opener.hello);
    await second.line();
    second.send(proof);
    expect(await second.line()).toBeUndefined();
  });

  test("more than a proof in one piece is refused", async () => {
    await using house = room();
    using guest = await RoomGuest.connect(house.tracker.port);
    const opener = guest.opener();
    guest.send(`${opener.hello}HELLO FT/2 agent=x\n`);
    expect(await guest.line()).toBeUndefined();
  });
});

describe("a man in the middle", () => {
  /** Passes everything on between a peer and the room, inside two TLS connections of its own. */
  async function middle(port: number, own = certificate) {
    const seen: string[] = [];
    const listener = listen({
      host: LOOPBACK,
      port: 0,
      tls: own,
      onConnection: (near) => {
        void dial({ address: LOOPBACK, port }, { tls: own }).then((far) => {
          const pass = (from: typeof near, to: typeof near) =>
            from.start({
              data: (chunk) => {
                seen.push(new TextDecoder().decode(chunk));
                to.send(chunk);
              },
              end: () => to.finish(),
              close: () => to.destroy(),
            });
          pass(near, far);
          pass(far, near);
        });
      },
    });
    return { port: listener.port, seen, [Symbol.dispose]: () => listener.stop() };
  }

  test.each(["its own certificate", "the tracker's certificate and key"])(
    "with %s gets nobody in, and learns nothing",
    async (which) => {
      await using house = room();
      using attacker = await middle(house.tracker.port, which.startsWith("its") ? newCertificate() : certificate);
      using guest = await RoomGuest.connect(attacker.port);
      expect(await guest.prove()).toBe(false);
      expect(attacker.seen.join("")).toMatch(
        /^ROOM FT\/2 share=[0-9a-f]{64}\nROOM share=[0-9a-f]{64}\nROOM proof=[0-9a-f]{128}\n$/,
      );
      await eventually(() => house.tracker.summary().refused["wrong-key"] === 1);
    },
  );
});

describe("another key", () => {
  test("puts everybody out; the old key is wrong from then on, and the passes of before are revoked", async () => {
    await using house = room();
    const key = new SessionKey();
    const { guest, welcome } = await member(house.tracker.port, certificate, ` key=${key.key} name=Ben`);
    using waiting = await RoomGuest.connect(house.tracker.port);
    waiting.send(waiting.opener().hello);
    expect(await waiting.line()).toStartWith("ROOM share=");
    house.tracker.changeSecret(OTHER_SECRET);
    await guest.until(() => guest.over);
    await waiting.until(() => waiting.over);
    expect(house.tracker.catalog.peers).toBe(0);
    expect(house.all("left")).toMatchObject([{ reason: "the room has another key" }]);
    using old = await RoomGuest.connect(house.tracker.port);
    expect(await old.prove()).toBe(false);
    using fresh = await RoomGuest.connect(house.tracker.port);
    expect(await fresh.prove(OTHER_SECRET)).toBe(true);
    fresh.send(`HELLO FT/2 agent=test/1 extras=1 key=${key.key}\n${files(40123, NOTES)}`);
    await fresh.line();
    await fresh.line();
    expect(await answer(fresh)).toBe(`REVOKED ${welcome.get("id")}`);
  });
});

test("another key: the pass of a member that has left just before is revoked, too", async () => {
  await using house = room();
  const { guest, welcome } = await member(house.tracker.port, certificate, " name=Ben");
  guest.send("BYE\n");
  await eventually(() => house.all("left").length === 1);
  house.tracker.changeSecret(OTHER_SECRET);
  using fresh = await RoomGuest.connect(house.tracker.port);
  expect(await fresh.prove(OTHER_SECRET)).toBe(true);
  fresh.send(`HELLO FT/2 agent=test/1 extras=1 key=${new SessionKey().key}\n${files(40123, NOTES)}`);
  await fresh.line();
  await fresh.line();
  expect(await answer(fresh)).toBe(`REVOKED ${welcome.get("id")}`);
});

test("a tracker that stops closes connections that have not shown the key", async () => {
  const house = room();
  using guest = await RoomGuest.connect(house.tracker.port);
  await house.tracker.stop();
  await guest.until(() => guest.over);
  expect(guest.text).toBe("");
});
