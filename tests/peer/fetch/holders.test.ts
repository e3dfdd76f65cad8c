// Holders that break the protocol, die, are slow or busy, or refuse the pass.

import { afterEach, describe, expect, test } from "bun:test";
import { CancelledError } from "../../../lib/error.ts";
import { formatSize } from "../../../lib/text.ts";
import { addressOf, type Far, nameOf, REFUSED, settle } from "../../helpers/channel.ts";
import {
  A,
  B,
  bytesOf,
  C,
  checkFields,
  D,
  diceOf,
  expectPrintable,
  Field,
  failure,
  type Holder,
  KiB,
  MiB,
  PIECE,
  type Request,
  SIZE,
  stateOf,
} from "../../helpers/fetching.ts";

afterEach(checkFields);

describe("Holders: a holder that breaks the conversation", () => {
  const BREAKS: [string, RegExp, (far: Far, request: Request, holder: Holder) => void][] = [
    ["closes before an answer", /disconnected/, (far) => far.close()],
    ["resets before an answer", /broke|left/, (far) => far.reset()],
    [
      "is one byte short",
      /disconnected/,
      (far, request, holder) => {
        holder.announce(far, request);
        far.say(holder.bytes.subarray(request.offset, request.offset + request.length - 1));
        far.close();
      },
    ],
    ["has the file no more", /does not have the file/, (far) => far.say("NOT FOUND\n")],
    ["says that it lacks what a whole holder has", /does not have all/, (far) => far.say("ERROR not-here Not yet.\n")],
    ["refuses", /No more today/, (far) => far.say("ERROR not-accepted No more today.\n")],
    ["fails", /The disk is on fire/, (far) => far.say("ERROR disk-failed The disk is on fire.\n")],
    ["has a file of another size", /has changed/, (far, { length }) => far.say(`FILE: length=${length} size=${SIZE + 1}\n`)],
    ["gives fewer bytes", /another length/, (far, { length }) => far.say(`FILE: length=${length - 1} size=${SIZE}\n`)],
    [
      "gives more bytes",
      /another length/,
      (far, { length }) => {
        far.say(`FILE: length=${length + 1} size=${SIZE}\n`);
        far.say(new Uint8Array(length + 1));
      },
    ],
    ["announces 2^53 bytes", /./, (far) => far.say(`FILE: length=9007199254740993 size=${SIZE}\n`)],
    ["announces minus one byte", /./, (far) => far.say(`FILE: length=-1 size=${SIZE}\n`)],
    ["leaves the size out", /./, (far, { length }) => far.say(`FILE: length=${length}\n`)],
    ["answers like a web server", /protocol/, (far) => far.say("HTTP/1.1 404 Not Found\r\n\r\n")],
    ["answers with escape codes", /protocol/, (far) => far.say("ERROR x \u001b]52;c;aGk=\u0007\n")],
    ["answers with bytes that are not text", /protocol/, (far) => far.say(Uint8Array.of(0xff, 0xfe, 0x00, 10))],
    ["answers with a line without end", /protocol/, (far) => far.say("FILE: ".padEnd(10_000, "x"))],
    ["answers with hashes", /protocol/, (far) => far.say("TREE: 11\n")],
  ];

  function breaking(act: (typeof BREAKS)[number][2]): Field {
    const field = new Field(bytesOf(SIZE));
    const bad = field.add(A);
    bad.instead = (far, request) => {
      if (request.verb === "DOWNLOAD") act(far, request, bad);
      return request.verb === "DOWNLOAD";
    };
    return field;
  }

  test.each(BREAKS)("one that %s is named, and another gives the file", async (_what, reason, act) => {
    const field = breaking(act);
    field.add(B).pace = 2_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])));
    expect(field.failures).toHaveLength(1);
    expect(field.failures[0]).toStartWith(A);
    expect(field.failures[0]).toMatch(reason);
    expectPrintable(field.failures.join());
  });

  test.each(BREAKS)("one that %s, and nobody else: a bounded number of tries, then a sentence", async (_what, reason, act) => {
    const field = breaking(act);
    const { message, code } = await failure(field.finish(field.fetch([A])));
    expect(code).toBe("no-holder");
    expect(message).toMatch(/^(?:Cannot fetch|The download of) "report, final\.pdf"/);
    expect(message).toContain(`${A}:5000: `);
    expect(message).toMatch(reason);
    expectPrintable(message);
    await field.expectGone();
  });

  test.each([
    ["a greeting that is none", "WHO ARE YOU\n"],
    ["a web page", "<html>\n"],
    ["an escape code", "HI FT/2 \u001b[2J\n"],
  ])("%s is not waited behind", async (_what, greeting) => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).greeting = greeting;
    field.add(B);
    field.expectWhole(await field.finish(field.fetch([A, B])), [B]);
    expect(field.failures).toHaveLength(1);
  });

  test("bytes after the last answer spoil nothing", async () => {
    const field = new Field(bytesOf(SIZE));
    const bad = field.add(A);
    bad.instead = async (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      await bad.answer(far, request);
      far.say(new Uint8Array(1000).fill(65));
      return true;
    };
    field.add(B).pace = 2_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])));
  });
});

describe("Holders: a holder that dies", () => {
  test("in the middle of a stretch: its whole pieces are kept, and not asked for again", async () => {
    const field = new Field(bytesOf(SIZE));
    const dying = field.add(A);
    dying.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      field.net.fate = ({ address }) => (address === A ? REFUSED : undefined);
      dying.announce(far, request);
      far.say(field.bytes.subarray(request.offset, request.offset + 2 * PIECE + PIECE / 2));
      far.close();
      return true;
    };
    const other = field.add(B);
    field.more.look = async () => (field.failures.length > 0 ? [field.record(B)] : []);
    field.expectWhole(await field.finish(field.fetch([A])), [A, B]);
    expect([...other.asked].sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(other.ranges.reduce((sum, { length }) => sum + length, 0)).toBe(SIZE - 2 * PIECE);
  });

  test("whole pieces that are wrong are not kept from it either", async () => {
    const field = new Field(bytesOf(SIZE));
    const dying = field.add(A, bytesOf(SIZE, 4));
    dying.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      dying.announce(far, request);
      far.say(dying.bytes.subarray(request.offset, request.offset + 2 * PIECE + 5));
      far.close();
      return true;
    };
    const other = field.add(B);
    field.more.look = async () => (field.failures.length > 0 ? [field.record(A), field.record(B)] : []);
    field.expectWhole(await field.finish(field.fetch([A])), [B]);
    expect(field.failures).toContain(`${A}: what it sent is not the file it announced`);
    expect(new Set(other.asked).size).toBe(11);
    expect(dying.connections).toHaveLength(1);
  });

  test("at random points, again and again: the file comes whole, and little is asked for twice", async () => {
    const field = new Field(bytesOf(3 * MiB + 5));
    const dice = diceOf(7);
    for (const address of [A, B]) {
      const holder = field.add(address);
      holder.pace = 2_000_000;
      holder.instead = async (far, request) => {
        if (request.verb !== "DOWNLOAD" || dice() > 0.4) return false;
        holder.announce(far, request);
        await holder.send(far, request.offset, Math.floor(request.length * dice()));
        far.reset();
        return true;
      };
    }
    field.expectWhole(await field.finish(field.fetch([A, B]), 120_000));
    expect(field.failures.length).toBeGreaterThan(0);
    expect(field.timesAsked.reduce((sum, times) => sum + times, 0)).toBeLessThan(49 * 4);
    for (const address of [A, B]) expect(field.dials(address).length).toBeLessThanOrEqual(100);
  });

  test("one that cannot be reached is tried a few times, further and further apart", async () => {
    const field = new Field(bytesOf(SIZE));
    field.net.fate = () => REFUSED;
    const { message } = await failure(field.finish(field.fetch([A, B])));
    for (const address of [A, B]) {
      const dials = field.dials(address);
      const pauses = dials.slice(1).map((at, i) => at - (dials[i] ?? 0));
      expect(pauses.length).toBeGreaterThanOrEqual(2);
      expect(pauses.length).toBeLessThanOrEqual(5);
      expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
      expect(new Set(pauses).size).toBe(pauses.length);
      expect(message).toContain(`${address}:5000`);
      expect(message).toContain(REFUSED.message);
    }
    expect(field.elapsed).toBeLessThan(15_000);
    expect(field.failures).toHaveLength(2);
    await field.expectGone();
  });

  test("one that comes back after a moment is asked again", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A);
    field.net.fate = () => (field.net.dialled.length <= 2 ? REFUSED : undefined);
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.dials(A)).toHaveLength(3);
  });

  test("one that gives a piece in between is not given up, however late it came", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    let attempt = 0;
    holder.instead = (far, request) => {
      if (request.verb === "HELLO") attempt += 1;
      if (request.verb !== "DOWNLOAD" || attempt > 4) return false;
      holder.announce(far, request);
      if (attempt === 4) far.say(field.bytes.subarray(request.offset, request.offset + PIECE));
      far.close();
      return true;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.dials(A)).toHaveLength(5);
  });

  test("a pass is asked for at each connection, because it is renewed meanwhile", async () => {
    const field = new Field(bytesOf(100));
    const holder = field.add(A);
    holder.instead = (far, { verb, count }) => {
      if (verb === "DOWNLOAD" && count === 0) far.reset();
      return verb === "DOWNLOAD" && count === 0;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(holder.heard.filter((line) => line.startsWith("HELLO"))).toEqual([
      "HELLO FT/2 pass=pass1.sig",
      "HELLO FT/2 pass=pass2.sig",
    ]);
  });

  test("when all are gone the sentence says how far it came and what to do, and what is right stays", async () => {
    const field = new Field(bytesOf(SIZE));
    const dying = field.add(A);
    dying.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      field.net.fate = () => REFUSED;
      dying.announce(far, request);
      far.say(field.bytes.subarray(request.offset, request.offset + 3 * PIECE + 100));
      far.close();
      return true;
    };
    let looks = 0;
    field.more.look = async () => {
      looks += 1;
      return [];
    };
    const { message, code } = await failure(field.finish(field.fetch([A])));
    expect(code).toBe("no-holder");
    expect(message).toContain(`stopped at ${formatSize(3 * PIECE)} of ${formatSize(SIZE)}`);
    expect(message).toEndWith("Your progress is saved; run the same command to resume.");
    expect(message).toContain(`: ${A}:5000: it cannot be reached any more, nothing listens there (connection refused). `);
    expect(looks).toBeGreaterThan(0);
    expect(Buffer.compare(field.part.bytes.subarray(0, 3 * PIECE), field.bytes.subarray(0, 3 * PIECE))).toBe(0);
    expect(field.part.bytes.subarray(3 * PIECE).every((byte) => byte === 0xee)).toBe(true);
    expect(field.part.restarts).toBe(0);
    await field.expectGone();
  });

  test("nobody to ask is a sentence, and the name in it is harmless", async () => {
    const field = new Field(bytesOf(100));
    const { message, code } = await failure(field.fetch({ ...field.wanted([]), name: nameOf("a\u001b[2J\u202e.txt") }));
    expect(code).toBe("no-holder");
    expectPrintable(message);
  });
});

describe("Holders: a holder that is slow", () => {
  test.each([
    ["nothing at all", 0],
    ["one byte", 1],
    ["half a piece", PIECE / 2],
    ["all but the last byte", 4 * PIECE - 1],
  ])("one that stalls after %s is given up after five seconds, and another gives the rest", async (_what, more) => {
    const field = new Field(bytesOf(SIZE));
    const stalling = field.add(A);
    stalling.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      if (request.count === 0 && more > 0) stalling.announce(far, request);
      if (request.count === 0) far.say(field.bytes.subarray(0, more));
      return true;
    };
    field.add(B);
    field.more.look = async () => (field.failures.length > 0 ? [field.record(B)] : []);
    const fetching = field.fetch([A]);
    await field.clock.pass(4000);
    expect(field.failures).toEqual([]);
    await field.clock.pass(2000);
    expect(field.failures).toEqual([`${A}: it was silent for 5 s`]);
    field.expectWhole(await field.finish(fetching, 8000));
  });

  test("one that stalls, and nobody else: a bounded number of tries, further and further apart", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (_far, { verb }) => verb === "DOWNLOAD";
    const { message } = await failure(field.finish(field.fetch([A]), 120_000));
    expect(message).toContain("it was silent for 5 s");
    const dials = field.dials(A);
    const pauses = dials.slice(1).map((at, i) => at - (dials[i] ?? 0));
    expect(pauses.length).toBeGreaterThanOrEqual(2);
    expect(pauses.length).toBeLessThanOrEqual(5);
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
    expect(new Set(pauses).size).toBe(pauses.length);
  });

  test("one that does not even greet, or never sends its tree, is given up, too", async () => {
    for (const mute of ["HELLO", "TREE"]) {
      const field = new Field(bytesOf(SIZE));
      field.add(A).instead = (_far, { verb }) => mute === "HELLO" || verb === "TREE";
      const fetching = field.fetch([A]);
      await field.clock.pass(6000);
      expect(field.failures).toEqual([`${A}: it was silent for 5 s`]);
      field.stop.abort();
      await failure(fetching);
    }
  });

  test("ten bytes a second beside another holder: given up within seconds", async () => {
    const field = new Field(bytesOf(4 * MiB));
    field.add(A).pace = 10;
    field.add(B).pace = 300_000;
    const fetching = field.fetch([A, B]);
    await field.clock.pass(11_000);
    expect(field.failures).toEqual([`${A}: it sends too slowly`]);
    field.expectWhole(await field.finish(fetching), [B]);
    expect(field.elapsed).toBeLessThan(20_000);
  });

  test("ten bytes a second and nobody else: better slowly than never", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).pace = 10;
    const fetching = field.fetch([A]);
    await field.clock.pass(60_000);
    expect(await stateOf(fetching)).toBe("waiting");
    expect(field.failures).toEqual([]);
    expect(field.dials(A)).toHaveLength(1);
    expect(field.received).toBeGreaterThan(400);
    field.stop.abort();
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
  });
});

describe("Holders: holders that are busy", () => {
  /** Says BUSY with this position until the time comes. */
  function busyUntil(field: Field, address: string, position: number, until: number): Holder {
    const holder = field.add(address);
    holder.instead = (far, { verb }) => {
      const busy = verb === "DOWNLOAD" && field.elapsed < until;
      if (busy) far.say(`BUSY position=${position}\n`);
      return busy;
    };
    return holder;
  }

  function waits(field: Field): string[] {
    return field.events.flatMap((event) => (event.event === "waiting" ? [`${event.holder.address} ${event.position}`] : []));
  }

  test("one is waited for with one request a second, and gives the file when its turn comes", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = busyUntil(field, A, 4, 3500);
    const fetching = field.fetch([A]);
    await field.clock.pass(900);
    const first = holder.ranges.length;
    expect(first).toBeLessThanOrEqual(2);
    expect(waits(field).at(-1)).toBe(`${A} 4`);
    for (let second = 1; second <= 3; second++) {
      await field.clock.pass(1000);
      expect(holder.ranges.length).toBe(first + second);
    }
    field.expectWhole(await field.finish(fetching), [A]);
    expect(field.elapsed).toBeLessThan(5500);
    expect(field.failures).toEqual([]);
    expect(holder.connections).toHaveLength(1);
  });

  test("of several the best place is reported, and only while nobody gives anything", async () => {
    const field = new Field(bytesOf(SIZE));
    busyUntil(field, A, 3, 60_000);
    busyUntil(field, B, 2, 60_000);
    busyUntil(field, C, 7, 60_000);
    const fetching = field.fetch([A, B, C]);
    await field.clock.pass(3000);
    expect(new Set(waits(field).slice(1))).toEqual(new Set([`${B} 2`]));
    expect(await stateOf(fetching)).toBe("waiting");
    const waited = waits(field).length;
    const giving = field.add(D);
    giving.pace = 100_000;
    field.stop.abort();
    await failure(fetching);
    await settle();
    expect(waits(field)).toHaveLength(waited);
    const other = new Field(bytesOf(SIZE));
    busyUntil(other, A, 3, 60_000);
    other.add(B).pace = 200_000;
    other.expectWhole(await other.finish(other.fetch([A, B])), [B]);
    // Until the first byte of the other one it may be said.
    expect(waits(other).length).toBeLessThanOrEqual(1);
    expect(other.failures).toEqual([]);
  });

  test("waiting is no failure, however long it takes", async () => {
    const field = new Field(bytesOf(SIZE));
    busyUntil(field, A, 1, 300_000);
    const fetching = field.fetch([A]);
    await field.clock.pass(299_000);
    expect(field.failures).toEqual([]);
    field.expectWhole(await field.finish(fetching), [A]);
  });

  test("a slot that comes free between two requests is used", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    holder.instead = (far, { verb, count }) => {
      if (verb !== "DOWNLOAD" || count !== 0) return false;
      far.say("BUSY position=1\n");
      return true;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.failures).toEqual([]);
    expect(field.timesAsked.filter((times) => times > 1).length).toBeLessThanOrEqual(4);
  });

  test("one that is gone while we wait has failed", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = busyUntil(field, A, 1, 60_000);
    const fetching = field.fetch([A]);
    await field.clock.pass(500);
    field.net.fate = () => REFUSED;
    holder.connections[0]?.close();
    expect((await failure(field.finish(fetching))).code).toBe("no-holder");
  });
});

describe("Holders: a holder that refuses the pass", () => {
  const DENIES = "ERROR not-accepted The pass is for another address.\n";

  /** One that takes only this pass. */
  function strict(holder: Holder, good: string): void {
    let accepted = false;
    holder.instead = (far, { verb, line }) => {
      if (verb === "HELLO") accepted = line.endsWith(`pass=${good}`);
      if (verb === "HELLO" && !accepted) far.say(DENIES);
      return !accepted;
    };
  }

  const greetings = ({ heard }: Holder) => heard.filter((line) => line.startsWith("HELLO"));

  test("is asked again as soon as there is another pass, and not before", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    strict(holder, "new.sig");
    field.add(B).pace = 20 * KiB;
    let pass = "old.sig";
    field.more.pass = () => pass;
    const fetching = field.fetch([A, B]);
    await field.clock.pass(10_000);
    expect(greetings(holder)).toEqual(["HELLO FT/2 pass=old.sig"]);
    pass = "new.sig";
    await field.clock.pass(500);
    expect(greetings(holder)).toEqual(["HELLO FT/2 pass=old.sig", "HELLO FT/2 pass=new.sig"]);
    const done = await field.finish(fetching);
    field.expectWhole(done);
    expect(done.holders.map(({ address }) => address)).toContain(addressOf(A));
  });

  test("is asked once for each pass, however many there are", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    strict(holder, "never.sig");
    field.add(B).pace = 40 * KiB;
    let pass = "1.sig";
    field.more.pass = () => pass;
    const fetching = field.fetch([A, B]);
    for (const next of ["2.sig", "2.sig", "3.sig"]) {
      await field.clock.pass(3000);
      pass = next;
    }
    field.expectWhole(await field.finish(fetching), [B]);
    expect(greetings(holder)).toEqual(["1.sig", "2.sig", "3.sig"].map((one) => `HELLO FT/2 pass=${one}`));
  });

  test("in the middle of the file: the same", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    let pass = "old.sig";
    field.more.pass = () => pass;
    holder.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD" && pass === "old.sig") far.say(DENIES);
      return verb === "DOWNLOAD" && pass === "old.sig";
    };
    field.add(B).pace = 20 * KiB;
    const fetching = field.fetch([A, B]);
    await field.clock.pass(8_000);
    expect(field.dials(A)).toEqual([0]);
    pass = "new.sig";
    const done = await field.finish(fetching);
    field.expectWhole(done);
    expect(done.holders.map(({ address }) => address)).toContain(addressOf(A));
  });

  test("and nobody else: the sentence comes at once", async () => {
    const field = new Field(bytesOf(SIZE));
    strict(field.add(A), "never.sig");
    field.more = { pass: () => "old.sig", look: async () => [], away: () => false };
    const { message } = await failure(field.finish(field.fetch([A])));
    expect(message).toContain("The pass is for another address");
    expect([field.elapsed, field.dials(A)]).toEqual([0, [0]]);
  });

  test.each([
    ["says nothing more", false],
    ["refuses the old one then", true],
  ])("is not forgiven by another pass what it lied before; one that %s", async (_what, refuses) => {
    const field = new Field(bytesOf(40 * PIECE));
    const liar = field.add(A);
    let pass = "old.sig";
    field.more.pass = () => pass;
    liar.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      if (request.count === 0) {
        liar.announce(far, request);
        far.say(new Uint8Array(request.length).fill(65));
      } else if (refuses) far.say(DENIES);
      return true;
    };
    field.add(B).pace = 200 * KiB;
    const fetching = field.fetch([A, B]);
    await field.clock.pass(3000);
    pass = "new.sig";
    field.expectWhole(await field.finish(fetching), [B]);
    expect(liar.ranges.length).toBeGreaterThanOrEqual(2);
    expect(field.dials(A)).toEqual([0]);
  });
});
