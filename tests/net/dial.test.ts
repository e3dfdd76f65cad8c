// Connecting: within a time limit, given up by a signal, or impossible.

import { describe, expect, test } from "bun:test";
import { connectError, dial, spellingsOf } from "../../lib/net/dial.ts";
import { HandClock } from "../helpers/channel.ts";
import { breath, failure, LOOPBACK, Room, Tape } from "../helpers/sockets.ts";

describe("dial", () => {
  test("says that nothing listens there", async () => {
    using room = new Room();
    const { listener } = room.listen();
    listener.stop();
    expect(await failure(() => dial({ address: LOOPBACK, port: listener.port }))).toEqual([
      "unreachable",
      "nothing listens there (connection refused)",
    ]);
  });

  test("gives up when nobody answers in time", async () => {
    using room = new Room();
    const port = await room.fullPort();
    const clock = new HandClock();
    let given = false;
    const late = failure(() => dial({ address: LOOPBACK, port }, { timeoutMs: 200, clock }));
    void late.then(() => {
      given = true;
    });
    await clock.pass(199);
    expect(given).toBe(false);
    await clock.pass(1);
    expect(await late).toEqual(["no-answer", "no answer within 0.2 s"]);

    const stop = new AbortController();
    const waiting = failure(() => dial({ address: LOOPBACK, port }, { signal: stop.signal }));
    await breath();
    stop.abort();
    expect(await waiting).toEqual(["cancelled", "stopped"]);
  });

  for (const [address, port] of [
    ["", 1234],
    ["no such host", 1234],
    [LOOPBACK, 70_000],
    [LOOPBACK, -1],
  ] as const) {
    test(`fails with a clause for what cannot be: "${address}" and ${port}`, async () => {
      const [code, words] = await failure(() => dial({ address, port }));
      expect(code).toBe("unreachable");
      expect(words).toMatch(/^(the connection could not be made|no host has that name)$/);
    });
  }

  test("does nothing when it was stopped before it began", async () => {
    using room = new Room();
    const house = room.listen();
    const { port } = house;
    expect((await failure(() => dial({ address: LOOPBACK, port }, { signal: AbortSignal.abort() })))[0]).toBe("cancelled");
    await room.dial(port);
    await house.accepted(0);
    expect(house.channels.length).toBe(1);
  });

  test("closes a connection that opens after it was given up", async () => {
    using room = new Room();
    const house = room.listen();
    const stop = new AbortController();
    const dialling = failure(() => dial({ address: LOOPBACK, port: house.port }, { signal: stop.signal }));
    stop.abort();
    expect((await dialling)[0]).toBe("cancelled");
    const tape = new Tape();
    (await house.accepted(0)).start(tape);
    await tape.closed();
    expect(house.listener.connections).toBe(0);
  });

  test("takes no notice of a stop that comes after the connection", async () => {
    using room = new Room();
    const house = room.listen();
    const stop = new AbortController();
    const channel = await dial({ address: LOOPBACK, port: house.port }, { signal: stop.signal });
    stop.abort();
    await breath();
    expect(channel.closed).toBe(false);
    channel.send("hello");
    const tape = new Tape();
    (await house.accepted(0)).start(tape);
    await tape.until(() => tape.text === "hello");
    channel.destroy();
    await tape.closed();
  });
});

describe("spellingsOf", () => {
  test.each([
    ["10.0.0.7", ["10.0.0.7"]],
    ["fe80::7%eth0", ["fe80::7%eth0"]],
    ["my_pc", ["my_pc"]],
    ["lab.local.", ["lab.local.", "lab.local"]],
    ["bücher.lan", ["bücher.lan", "xn--bcher-kva.lan"]],
    ["bu\u0308cher.lan.", ["bu\u0308cher.lan.", "bücher.lan", "xn--bcher-kva.lan"]],
  ])("of %s: as it was typed first", (host, spellings) => {
    expect(spellingsOf(host)).toEqual(spellings);
  });
});

describe("connectError", () => {
  const told = (code: string, took: number, platform: string) =>
    connectError(Object.assign(new Error("connect"), { code }), took, platform).message;

  test("tells a refusal from a host that does not answer, also on Windows, where a refusal takes 2 seconds", () => {
    const refused = "nothing listens there (connection refused)";
    expect(told("ECONNREFUSED", 1, "linux")).toBe(refused);
    expect(told("ECONNREFUSED", 3_050, "linux")).toBe("the host cannot be reached");
    expect(told("ECONNREFUSED", 2_050, "linux")).toBe("the host cannot be reached");
    expect(told("ECONNREFUSED", 2_050, "win32")).toBe(refused);
    expect(told("ECONNREFUSED", 3_050, "win32")).toBe("the host cannot be reached");
  });

  test("names the permission of macOS for a host that cannot be reached", () => {
    expect(told("EHOSTUNREACH", 1, "darwin")).toBe(
      "the host cannot be reached; if it is on this network, allow your terminal in System Settings, Privacy & Security, Local Network",
    );
    expect(told("ECONNREFUSED", 1, "darwin")).not.toContain("Privacy");
    expect(told("EHOSTUNREACH", 1, "linux")).toBe("the host cannot be reached");
  });

  test.each([
    ["ENETUNREACH", "network unreachable"],
    ["EAI_AGAIN", "the name cannot be looked up right now"],
    ["ENOTFOUND", "no host has that name"],
    ["DNS_ETIMEOUT", "no host has that name"],
    ["", "the connection could not be made"],
  ])("has a clause for %p", (code, clause) => {
    expect(told(code, 1, "linux")).toBe(clause);
  });
});
