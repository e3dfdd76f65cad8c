// TLS 1.3 as private rooms use it. Every promise of a channel (tcp.test.ts) holds inside TLS, too.

import { describe, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Socket } from "bun";
import { fingerprintOf, newCertificate } from "../../lib/net/certificate.ts";
import type { Channel } from "../../lib/net/channel.ts";
import { dial } from "../../lib/net/dial.ts";
import { HandClock } from "../helpers/channel.ts";
import { certificate, eventually, failure, LOOPBACK, Room, Tape } from "../helpers/sockets.ts";

/** Nothing, or the seven bytes by which TLS itself says that this is no TLS. */
const TLS_REFUSAL = /^(?:\u0015\u0003.\u0000\u0002\u0002.)?$/s;

describe("inside TLS", async () => {
  await import(`${import.meta.dir}/tcp.test.ts?tls`);
});

describe("both ends", () => {
  test("see the other's certificate, and compute the same binding", async () => {
    using room = new Room(undefined, certificate);
    const own = newCertificate();
    const house = room.listen();
    const pairs: [Channel, Channel][] = [];
    for (let i = 0; i < 2; i += 1) {
      const dialled = await dial({ address: LOOPBACK, port: house.port }, { tls: own });
      pairs.push([dialled, await house.accepted(i)]);
    }
    for (const [dialled, accepted] of pairs) {
      expect(dialled.secured?.fingerprint).toBe(fingerprintOf(certificate));
      expect(accepted.secured?.fingerprint).toBe(fingerprintOf(own));
      expect(dialled.secured?.binding()).toHaveLength(32);
      expect(accepted.secured?.binding()).toEqual(dialled.secured?.binding() ?? new Uint8Array());
    }
    const [first, second] = pairs.map(([dialled]) => dialled.secured?.binding());
    expect(first).not.toEqual(second);
    for (const [dialled] of pairs) dialled.destroy();
  });

  test("of a plain connection have none of that", async () => {
    using room = new Room();
    const house = room.listen();
    const dialled = await room.dial(house.port);
    expect([dialled.secured, (await house.accepted(0)).secured]).toEqual([undefined, undefined]);
  });
});

describe("a certificate", () => {
  test("says nothing about its holder, and never ends", () => {
    const shown = new X509Certificate(certificate.cert);
    const { subject, issuer, serialNumber, validFrom, validTo, publicKey } = shown;
    expect(shown.verify(publicKey)).toBe(true);
    expect(shown.checkPrivateKey(createPrivateKey(certificate.key))).toBe(true);
    expect([subject, issuer, serialNumber]).toEqual(["CN=peer", "CN=peer", "01"]);
    expect([new Date(validFrom).getUTCFullYear(), new Date(validTo).getUTCFullYear()]).toEqual([1970, 9999]);
    expect(publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    expect(fingerprintOf(certificate)).toMatch(/^[0-9a-f]{64}$/);
  });

  test("is another one each time", () => {
    expect(fingerprintOf(newCertificate())).not.toBe(fingerprintOf(certificate));
  });
});

describe("a listener with TLS", () => {
  test("tells nobody of plain bytes, and gives their sender no word", async () => {
    using plain = new Room();
    using room = new Room(undefined, certificate);
    const house = room.listen();
    for (const text of ["HELLO FT/2 agent=x\n", "HELLO", "SEARCH: a\n", "GET / HTTP/1.0\r\n\r\n"]) {
      const bare = await plain.bare(house.port);
      bare.say(text);
      await bare.until(() => bare.closed || bare.ended);
      expect(bare.text).toMatch(TLS_REFUSAL);
    }
    expect(house.channels).toEqual([]);
    await eventually(() => house.listener.connections === 0);
  });

  test("takes nothing below TLS 1.3", async () => {
    using room = new Room(undefined, certificate);
    const house = room.listen();
    for (const [maxVersion, isTaken] of [
      [0x0303, false],
      [0x0304, true],
    ] as const) {
      const { cert, key } = certificate;
      const tls = { cert, key, rejectUnauthorized: false, minVersion: 0x0301, maxVersion };
      const version = Promise.withResolvers<string>();
      const socket = await Bun.connect({
        hostname: LOOPBACK,
        port: house.port,
        tls,
        socket: {
          data() {},
          handshake: (one: Socket) => version.resolve(one.getPeerX509Certificate() ? one.getTLSVersion() : ""),
        },
      });
      expect([maxVersion, await version.promise]).toEqual([maxVersion, isTaken ? "TLSv1.3" : ""]);
      socket.terminate();
    }
  });

  test("takes nobody without a certificate", async () => {
    using room = new Room(undefined, certificate);
    const house = room.listen();
    const closed = Promise.withResolvers<void>();
    await Bun.connect({
      hostname: LOOPBACK,
      port: house.port,
      tls: { rejectUnauthorized: false },
      socket: { data() {}, handshake() {}, close: () => closed.resolve() },
    });
    await closed.promise;
    expect(house.channels).toEqual([]);
  });

  test("closes a connection whose handshake takes too long", async () => {
    const clock = new HandClock();
    using plain = new Room();
    using room = new Room(clock, certificate);
    const house = room.listen();
    const silent = await plain.bare(house.port);
    const slow = await plain.bare(house.port);
    slow.say("\u0016\u0003\u0001");
    await eventually(() => house.listener.connections === 2);
    await clock.pass(9_000);
    expect(house.listener.connections).toBe(2);
    await clock.pass(2_000);
    await silent.until(() => silent.closed);
    await slow.until(() => slow.closed);
    expect(house.listener.connections).toBe(0);
  });

  test("refuses connections above its limit without a word", async () => {
    using plain = new Room();
    using room = new Room(undefined, certificate);
    const house = room.listen({ maxPerAddress: 1, onRefused: () => "no\n" });
    await room.dial(house.port);
    const second = await plain.visit(house.port);
    second?.say("HELLO");
    await second?.until(() => second.closed || second.ended);
    expect(second?.text ?? "").toMatch(TLS_REFUSAL);
  });
});

describe("dial with TLS", () => {
  test("says that a plain listener is no private room", async () => {
    using plain = new Room();
    const house = plain.listen();
    const talks = house.accepted(0).then((channel) => {
      const tape = new Tape({ data: () => channel.send("ERROR bad-line words\n") });
      channel.start(tape);
    });
    const reason = "it does not speak TLS 1.3, as a private room does";
    expect(await failure(() => dial({ address: LOOPBACK, port: house.port }, { tls: certificate }))).toEqual([
      "not-secured",
      reason,
    ]);
    await talks;
  });

  test("ends in time when the handshake does not, and leaves no connection", async () => {
    using plain = new Room();
    const house = plain.listen();
    const accepted = house.accepted(0);
    const to = { address: LOOPBACK, port: house.port };
    const failed = failure(() => dial(to, { tls: certificate, timeoutMs: 300 }));
    const tape = new Tape();
    (await accepted).start(tape);
    expect(await failed).toEqual(["no-answer", "no answer within 0.3 s"]);
    await tape.until(() => tape.closes.length > 0 || tape.ends > 0);
  });

  test("sends no host's name", async () => {
    using plain = new Room();
    const house = plain.listen({ host: LOOPBACK });
    const failed = failure(() => dial({ address: "localhost", port: house.port }, { tls: certificate }));
    const channel = await house.accepted(0);
    const tape = new Tape({ data: () => channel.destroy() });
    channel.start(tape);
    await failed;
    expect(tape.received).toBeGreaterThan(100);
    expect(tape.text).not.toContain("localhost");
  });
});
