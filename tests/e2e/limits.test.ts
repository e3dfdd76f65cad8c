// Every limit of the tracker and its flag, on the compiled ft-tracker: what is just within is served, what is just beyond is refused
// or held back as the protocol says, and a value that makes no sense is one sentence.

import { describe, expect, test } from "bun:test";
import { Guests } from "../helpers/guests.ts";
import { Stage, TRACKER } from "../helpers/programs.ts";
import type { Raw } from "../helpers/raw.ts";

const LOOPBACK = "127.0.0.1";
/** Nothing listens there. */
const PORT = 1;
const linux = process.platform === "linux";
if (!linux)
  console.log("Only Linux has other loopback addresses: that limits on one address do not touch another is not tried here.");

/** A record as its holder writes it, and as others are told it. */
function record(name: string, port: number = PORT): string {
  return `<${name},data,7,01/02/03,127.0.0.1,${port}>`;
}

function files(port: number, ...names: string[]): string {
  return `FILES ${names.length} port=${port}\n${names.map((name) => `${record(name, port)}\n`).join("")}`;
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `file ${i}`);
}

/** One ERROR line: a code, and a sentence in which the limit stands. */
function error(code: string, limit: number | string): RegExp {
  return new RegExp(`^ERROR ${code} [A-Z0-9](?=[^\\n]*\\b${limit}\\b)[^\\n]+\\.\\n?$`);
}

class House extends Guests {
  static async open(...args: string[]): Promise<House> {
    return new House(...(await Guests.started(...args)));
  }

  /** An accepted FT/2 peer that shares these files. */
  async join(shared = ["notes.txt"], { from, port = PORT }: { from?: string; port?: number } = {}): Promise<Raw> {
    const guest = await this.connect(from);
    guest.send(`HELLO FT/2 agent=test\n${files(port, ...shared)}`);
    expect(await guest.line()).toStartWith("HI FT/2 ");
    expect(await guest.reply()).toStartWith("WELCOME ");
    return guest;
  }

  /** Tries until the tracker has noticed that another connection has gone. */
  async joinWhenThereIsRoom(from: string): Promise<void> {
    for (;;) {
      const guest = await this.connect(from);
      guest.send(`HELLO FT/2 agent=test\n${files(PORT, "late.txt")}`);
      // The tracker closes a connection that it refuses, maybe before the client can read why.
      const answer = await guest.line().catch(() => "ERROR");
      if (answer.startsWith("HI FT/2 ")) return expect(await guest.reply()).toStartWith("WELCOME ");
      expect(answer).toStartWith("ERROR");
      guest.close();
    }
  }

  /** What is answered behind HI to a newcomer that is refused, until the tracker closes. */
  async refusal(bytes: string): Promise<string> {
    const guest = await this.connect();
    guest.send(`HELLO FT/2 agent=test\n${bytes}`);
    expect(await guest.line()).toStartWith("HI FT/2 ");
    return await guest.replies();
  }
}

async function ask(peer: Raw, request: string): Promise<string> {
  peer.send(`${request}\n`);
  return await peer.reply();
}

/** How many records or peers an answer has. */
async function count(peer: Raw, request: string): Promise<number> {
  const answer = await ask(peer, request);
  return answer === "NOT FOUND" ? 0 : Number(/^(?:FOUND|PEERS): (\d+)\n/.exec(answer)?.[1]);
}

describe("--max-files", () => {
  for (const [most, ...args] of [[5], [2, "--max-files", "2"], [40, "--max-files", "40"]] as [number, ...string[]][]) {
    test(`${args.length === 0 ? "is 5 if not given" : `of ${most}`}: that number is taken, and one file more is refused, in either profile`, async () => {
      await using house = await House.open(...args);
      const peer = await house.join(names(most));
      expect(await count(peer, "LIST")).toBe(most);
      // Of the same name it is no more files; another name is.
      expect(await ask(peer, `ADD ${record("file 0")}`)).toBe("OK");
      const greeted = await house.connect();
      greeted.send("HELLO FT/2 agent=test\n");
      expect(await greeted.line()).toContain(` max=${most} `);
      expect(await house.refusal(`FILES ${most + 1} port=1\n`)).toMatch(error("too-many-files", most));
      expect(await house.refusal(`FILES 99999999 port=1\n`)).toMatch(error("too-many-files", most));
      const old = (count: number) =>
        names(count)
          .map((name) => `${record(name, 5001)}\n`)
          .join("");
      expect(await house.say(old(most + 1))).toBe("");
      expect(await count(peer, "WHO")).toBe(1);
      expect(await house.say(old(most))).toBe("");
      expect(await count(peer, "WHO")).toBe(2);
      peer.send(`ADD ${record("one more")}\n`);
      expect(await peer.replies()).toMatch(error("too-many-files", most));
    });
  }
});

describe("--max-peers", () => {
  test("is how many peers are online, of both profiles together; a place that is free again is given away", async () => {
    await using house = await House.open("--max-peers", "3");
    const first = await house.join();
    const second = await house.join(["second"], { port: 2 });
    expect(await house.say(record("old", 5001))).toBe("");
    expect(await house.refusal(files(3, "third"))).toMatch(error("tracker-full", 3));
    expect(await house.say(record("older", 5002))).toBe("");
    expect([await count(first, "WHO"), await count(first, "LIST")]).toEqual([3, 3]);
    // A peer that is online may say again what it shares.
    expect(await ask(second, files(2, "second", "third").trimEnd())).toStartWith("WELCOME ");
    expect(await house.say(record("older", 5001))).toBe("");
    expect(await count(first, "SEARCH: older")).toBe(1);
    expect(await ask(second, "BYE")).toBe("BYE");
    await house.program.waitFor(/"left"/);
    expect(await count(await house.join(["third"], { port: 3 }), "WHO")).toBe(3);
    expect(await house.refusal(files(4, "fourth"))).toMatch(error("tracker-full", 3));
  });
});

describe("--max-per-address", () => {
  test.skipIf(!linux)(
    "is how many connections of one address are served; another address, and a place that is free again, are not touched",
    async () => {
      await using house = await House.open("--max-per-address", "3");
      const peer = await house.join();
      const silent = await house.connect();
      await house.connect();
      for (let i = 0; i < 3; i += 1) {
        expect((await (await house.connect()).rest()).toString()).toMatch(error("too-many-connections", 3));
      }
      for (let port = 1; port <= 3; port += 1) await house.join(["elsewhere.txt"], { from: "127.0.0.2", port });
      expect((await (await house.connect("127.0.0.2")).rest()).toString()).toMatch(
        error("too-many-connections", "127\\.0\\.0\\.2"),
      );
      expect(await count(peer, "SEARCH: elsewhere.txt")).toBe(3);
      silent.close();
      await house.joinWhenThereIsRoom(LOOPBACK);
    },
  );

  test("counts programs of FT/1 too, which hold no connection", async () => {
    await using house = await House.open("--max-per-address", "3");
    for (let port = 5001; port <= 5004; port += 1) expect(await house.say(record("old", port))).toBe("");
    const peer = await house.join();
    expect(await count(peer, "SEARCH: old")).toBe(3);
    expect(await ask(peer, "SEARCH: old")).not.toContain(",5004>");
    expect(await house.say(record("renewed", 5003))).toBe("");
    expect(await count(peer, "SEARCH: renewed")).toBe(1);
  });
});

describe("--max-connections", () => {
  test.skipIf(!linux)(
    "is how many connections are served in all; the next is told why, and a place that is free again is given away",
    async () => {
      await using house = await House.open("--max-connections", "4");
      const peer = await house.join();
      const silent = [await house.connect("127.0.0.2"), await house.connect("127.0.0.3"), await house.connect("127.0.0.4")];
      for (const from of [LOOPBACK, "127.0.0.2", "127.0.0.5"]) {
        const refused = (await (await house.connect(from)).rest()).toString();
        expect([from, refused]).toEqual([from, expect.stringMatching(/^ERROR tracker-full [A-Z][^\n]+\.\n$/)]);
        await house.program.waitFor(new RegExp(`"refused","address":"${from}","code":"tracker-full"`));
      }
      expect(await ask(peer, "PING")).toBe("PONG");
      expect(silent.some(({ ended }) => ended)).toBe(false);
      silent[0]?.close();
      await house.joinWhenThereIsRoom("127.0.0.5");
      expect(await count(peer, "WHO")).toBe(2);
    },
  );
});

describe("--max-line", () => {
  for (const [most, ...args] of [[4096], [256, "--max-line", "256"], [65_536, "--max-line", "65536"]] as [
    number,
    ...string[],
  ][]) {
    test(`${args.length === 0 ? "is 4096 if not given" : `of ${most}`}: a line of that length with its end is read, one byte more is refused, however it comes`, async () => {
      await using house = await House.open(...args);
      const other = await house.join(["other.txt"]);
      const line = (bytes: number, end = "\n") => `WHO x=${"y".repeat(bytes - 6 - end.length)}${end}`;
      for (const end of ["\n", "\r\n"]) {
        const peer = await house.join();
        for (const sent of [line(most, end), line(most - 1, end)]) {
          peer.send(sent);
          expect(await peer.reply()).toStartWith("PEERS: 2\n");
        }
        // In pieces it is the same line, and behind another one as well.
        peer.send(`PING\n${line(most, end).slice(0, 100)}`);
        expect(await peer.reply()).toBe("PONG");
        peer.send(line(most, end).slice(100));
        expect(await peer.reply()).toStartWith("PEERS: 2\n");
        peer.send(line(most + 1, end));
        expect(await peer.replies()).toMatch(error("line-too-long", most));
        peer.close();
        await house.program.waitFor(/"left"/);
      }
      // That length without an end cannot become a line any more.
      const endless = await house.join();
      endless.send("x".repeat(most - 1));
      endless.send("x");
      expect(await endless.replies()).toMatch(error("line-too-long", most));
      // FT/1 has the same limit, and no words for it.
      expect(await house.say(`SEARCH: ${" ".repeat(most - 18)}other.txt\n`)).toStartWith("FOUND: <");
      expect(await house.say(`SEARCH: ${" ".repeat(most - 17)}other.txt\n`)).toBe("");
      expect(await count(other, "WHO")).toBe(1);
    });
  }
});

describe("--max-name", () => {
  for (const [most, ...args] of [[255], [10, "--max-name", "10"]] as [number, ...string[]][]) {
    test(`${args.length === 0 ? "is 255 if not given" : `of ${most}`}: a name of that many bytes of UTF-8 is taken, one byte more is refused, in either profile`, async () => {
      await using house = await House.open(...args);
      const ascii = "n".repeat(most);
      const wide = "ü".repeat((most - 1) / 2).padEnd(most - Math.floor((most - 1) / 2), "n");
      expect([ascii, wide].map((name) => Buffer.byteLength(name))).toEqual([most, most]);
      const peer = await house.join([ascii, wide]);
      expect(await ask(peer, `SEARCH: ${ascii}`)).toBe(`FOUND: 1\n${record(ascii)}`);
      expect(await ask(peer, `SEARCH: ${wide}`)).toBe(`FOUND: 1\n${record(wide)}`);
      for (const name of [`${ascii}n`, `${wide.slice(0, -1)}ü`]) {
        expect(await house.refusal(files(2, name))).toMatch(error("bad-name", most));
        const adding = await house.join(["short"]);
        expect(`${await ask(adding, `ADD ${record(name)}`)}\n`).toMatch(error("bad-name", most));
        // The refused record costs its peer nothing else.
        expect(await count(adding, "LIST")).toBe(3);
        adding.send("BYE\n");
        await adding.replies();
        expect(await house.say(record(name, 5001))).toBe("");
      }
      expect(await house.say(record(wide, 5002))).toBe("");
      expect(await count(peer, `SEARCH: ${wide}`)).toBe(2);
      expect(await count(peer, "LIST")).toBe(3);
    });
  }
});

// What --accept-within does is in faults.test.ts: a client that is never accepted.

describe("--rate and --burst", () => {
  /** Sends these requests in one piece; gives the milliseconds until each of their answers. */
  async function timesOf(peer: Raw, requests: number): Promise<number[]> {
    const from = performance.now();
    peer.send("PING\n".repeat(requests));
    const times: number[] = [];
    for (let i = 0; i < requests; i += 1) {
      expect(await peer.reply()).toBe("PONG");
      times.push(performance.now() - from);
    }
    return times;
  }

  test("beyond the burst, requests wait for their turn by the rate", async () => {
    await using house = await House.open("--rate", "2", "--burst", "10");
    // HELLO and the list were the first two; eight more are free, the ninth and the tenth take half a second each.
    const times = await timesOf(await house.join(), 10);
    expect(times[9]).toBeGreaterThan(900);
  });

  test("a burst of 1000 lets 900 requests through, which at one a second would take a quarter of an hour", async () => {
    await using house = await House.open("--rate", "1", "--burst", "1000");
    await timesOf(await house.join(), 900);
  });

  test("a high rate lets 10,000 requests through, which at the default rate would take minutes", async () => {
    await using house = await House.open("--rate", "1000000", "--burst", "1000");
    await timesOf(await house.join(), 10_000);
  });

  test("more than waits for its turn in 64 KiB is refused as too fast, and the rate stands in the reason", async () => {
    await using house = await House.open("--rate", "5", "--burst", "3");
    const peer = await house.join();
    const other = await house.join(["other"]);
    peer.send("PING\n".repeat(20_000));
    expect((await peer.replies()).split("\n").at(-2)).toMatch(error("too-fast", 5));
    expect(await count(other, "WHO")).toBe(1);
  });
});

describe("--find-time", () => {
  /** A FIND that has to look at 10,000 names, which takes a few milliseconds; FINDS are sent at once. */
  const DEAR = "FIND b limit=1\n";
  const MANY = Array.from({ length: 10_000 }, (_, i) => `${"ab".repeat(60)}${i}`);
  const FINDS = 20;

  test.skipIf(!linux)(
    "a peer that has used it waits; another address, and a peer that asks for nothing dear, do not",
    async () => {
      await using house = await House.open("--max-files", "10000", "--find-time", "1");
      const peer = await house.join(MANY);
      const modest = await house.join(["modest"]);
      const elsewhere = await house.join(["elsewhere"], { from: "127.0.0.2" });
      let answered = 0;
      const first = Promise.withResolvers<void>();
      const answers = (async () => {
        for (; answered < FINDS; answered += 1) {
          expect(await peer.reply()).toStartWith("FOUND: 1\n");
          first.resolve();
        }
      })();
      answers.catch(first.reject);
      peer.send(DEAR.repeat(FINDS));
      await first.promise;
      // A millisecond in each second: the twentieth is due in many seconds, where nothing held it back it would be there at once.
      for (let round = 0; round < 10; round++) {
        expect(await ask(modest, "PING")).toBe("PONG");
        expect(await ask(elsewhere, "SEARCH: modest")).toBe(`FOUND: 1\n${record("modest")}`);
        await Bun.sleep(50);
      }
      expect(await count(elsewhere, DEAR.trimEnd())).toBe(1);
      expect(answered).toBeLessThan(FINDS);
      expect(peer.ended).toBe(false);
      peer.close();
      await answers.catch(() => undefined);
    },
  );
});

describe("--results and --max-results", () => {
  /** A tracker with 30 peers that share one name, and one of them. */
  async function crowd(house: House): Promise<Raw> {
    const peers: Raw[] = [];
    for (let port = 1; port <= 30; port += 1) peers.push(await house.join(["same.txt"], { port }));
    const [first] = peers;
    if (first === undefined) throw new Error("nobody is here");
    return first;
  }

  test("--results is how many come unless asked, to every request of either profile; --max-results is how many come at most", async () => {
    await using house = await House.open("--results", "4", "--max-results", "9");
    const peer = await crowd(house);
    for (const request of ["SEARCH: same.txt", "FIND same", "LIST", "WHO"]) {
      expect([request, await count(peer, request)]).toEqual([request, 4]);
    }
    expect((await house.say("SEARCH: same.txt")).trimEnd().split("\n")).toHaveLength(4);
    for (const request of ["FIND same", "LIST", "WHO"]) {
      for (const [asked, given] of [
        [3, 3],
        [9, 9],
        [10, 9],
        [2000, 9],
        [9007199254740991, 9],
        [0, 0],
      ] as const) {
        const said = `${request} limit=${asked}`;
        if (given === 0)
          expect([said, await ask(peer, said)]).toEqual([said, expect.stringMatching(/^(?:NOT FOUND|PEERS: 0)$/)]);
        else expect([said, await count(peer, said)]).toEqual([said, given]);
      }
    }
    // In pages everything comes, and nothing twice.
    const pages = [0, 9, 18, 27].map((offset) => ask(peer, `LIST offset=${offset} limit=100`));
    const lines = (await Promise.all(pages)).flatMap((page) => page.split("\n").slice(1));
    expect([lines.length, new Set(lines).size]).toEqual([30, 30]);
  });

  test("an answer never has more than --max-results, also where that is less than comes unless asked", async () => {
    await using house = await House.open("--max-results", "6");
    const peer = await crowd(house);
    for (const request of ["FIND same", "LIST", "WHO", "SEARCH: same.txt"]) {
      expect([request, await count(peer, request)]).toEqual([request, 6]);
    }
    expect((await house.say("SEARCH: same.txt")).trimEnd().split("\n")).toHaveLength(6);
  });

  test("are 200 and 2000 if not given", async () => {
    await using house = await House.open("--max-files", "700");
    const peers: Raw[] = [];
    for (const port of [1, 2, 3]) peers.push(await house.join(names(700), { port }));
    const [peer] = peers;
    if (peer === undefined) throw new Error("nobody is here");
    for (const request of ["FIND file", "LIST"]) {
      expect([request, await count(peer, request)]).toEqual([request, 200]);
      expect([request, await count(peer, `${request} limit=2100`)]).toEqual([request, 2000]);
    }
  });
});

describe("--max-unsent", () => {
  const LONG = Array.from({ length: 50 }, (_, i) => `${"n".repeat(200)}${i}`);

  test("an answer that is longer is no offence of a client that reads it", async () => {
    await using house = await House.open("--max-unsent", "4096", "--max-files", "50");
    const peer = await house.join(LONG);
    for (let i = 0; i < 5; i += 1) expect(await count(peer, "LIST")).toBe(50);
    peer.send("LIST\n".repeat(20));
    for (let i = 0; i < 20; i += 1) expect(await peer.reply()).toStartWith("FOUND: 50\n");
  });

  for (const [name, ...args] of [["is 1 MiB if not given"], ["of 64 KiB", "--max-unsent", "65536"]] as [
    string,
    ...string[],
  ][]) {
    test(`${name}: a client that reads nothing is closed when more waits for it, and nobody else notices`, async () => {
      await using house = await House.open("--max-files", "50", "--rate", "10000", "--burst", "10000", ...args);
      const other = await house.join(["other"]);
      const deaf = await house.join(LONG);
      deaf.socket.pause();
      // Far more than a system keeps for a reader.
      deaf.send("LIST\n".repeat(5_000));
      const [left] = await house.program.waitFor(/\{"event":"left".*\n/);
      expect(JSON.parse(left)).toMatchObject({ reason: "it does not read its answers", peers: 1 });
      expect(await count(other, "LIST")).toBe(1);
    });
  }

  test("of 64 MiB lets long answers wait for a client until it reads", async () => {
    await using house = await House.open(
      "--max-files",
      "50",
      "--rate",
      "10000",
      "--burst",
      "10000",
      "--max-unsent",
      String(64 * 1024 ** 2),
    );
    const slow = await house.join(LONG);
    const length = (await ask(slow, "LIST")).length + 1;
    expect(await slow.push()).toStartWith("REACH ");
    slow.socket.pause();
    slow.send("LIST\n".repeat(1_000));
    // Another peer's answers come behind those that wait now.
    const other = await house.join(["other"]);
    for (let i = 0; i < 5; i += 1) expect(await ask(other, "PING")).toBe("PONG");
    expect(house.program.out).not.toContain('"left"');
    slow.socket.resume();
    expect((await slow.take(1_000 * length)).length).toBe(1_000 * length);
  });
});

describe("--stall", () => {
  test("a client that takes something now and then is served to the end; one that takes nothing is closed", async () => {
    const args = ["--stall", "1", "--max-files", "2000", "--max-unsent", String(64 * 1024 ** 2)];
    await using house = await House.open(...args);
    const holder = await house.join(Array.from({ length: 2000 }, (_, i) => `${"n".repeat(200)}${i}`));
    const length = (await ask(holder, "LIST limit=2000")).length + 1;
    const [slow, deaf] = [await house.join(["slow"]), await house.join(["deaf"])];
    expect(await slow.push()).toStartWith("REACH ");
    // More than a system keeps for a reader, so that it is the tracker that waits.
    for (const { socket } of [slow, deaf]) socket.pause();
    const from = performance.now();
    for (const guest of [slow, deaf]) guest.send("LIST limit=2000\n".repeat(24));
    // Whether it goes on talking has nothing to do with it.
    const talk = setInterval(() => deaf.send("PING\n"), 100);
    let most = 0;
    const sips = setInterval(() => {
      most += 2 * 1024 ** 2;
      slow.socket.resume();
    }, 300);
    slow.socket.on("data", () => {
      if (slow.waiting.length >= most) slow.socket.pause();
    });
    try {
      const [left] = await house.program.waitFor(/\{"event":"left".*\n/);
      expect(JSON.parse(left)).toMatchObject({ reason: expect.stringMatching(/took no byte for 1 s/), peers: 2 });
      expect(performance.now() - from).toBeGreaterThan(950);
      expect(slow.ended).toBe(false);
      expect((await slow.take(24 * length)).length).toBe(24 * length);
    } finally {
      clearInterval(sips);
      clearInterval(talk);
    }
    expect(most).toBeGreaterThan(8 * 1024 ** 2);
    slow.socket.resume();
    expect(await ask(slow, "PING")).toBe("PONG");
  });
});

describe("a value that makes no sense", () => {
  /** Every limit with the least and the most that it may be. */
  const FLAGS: [flag: string, least: number, most: number][] = [
    ["--max-files", 1, 10_000],
    ["--max-peers", 1, 1_000_000],
    ["--max-per-address", 1, 1_000_000],
    ["--max-connections", 1, 1_000_000],
    ["--max-line", 256, 65_536],
    ["--max-name", 1, 255],
    ["--accept-within", 1, 3600],
    ["--rate", 1, 1_000_000],
    ["--burst", 1, 1_000_000],
    ["--find-time", 1, 1000],
    ["--results", 1, 2000],
    ["--max-results", 1, 2000],
    ["--max-unsent", 4096, 1024 ** 3],
    ["--stall", 1, 3600],
  ];
  /** What is printed and the exit code, several at a time. */
  async function runAll(commands: string[][]): Promise<{ args: string[]; code: number; out: string; err: string }[]> {
    const stage = new Stage();
    try {
      const results = [];
      for (let i = 0; i < commands.length; i += 3) {
        const some = commands.slice(i, i + 3).map(async (args) => {
          const program = stage.run(TRACKER, args);
          return { args, code: await program.exited, out: program.out, err: program.err };
        });
        results.push(...(await Promise.all(some)));
      }
      return results;
    } finally {
      await stage.close();
    }
  }

  const needs = (flag: string, least: number, most: number, value: string) =>
    `${flag} needs a whole number from ${least} to ${most}, not "${value}".\n`;

  test.each(FLAGS)("of %s is one sentence with the flag and its range, and exit code 2", async (flag, least, most) => {
    // What is no number at all is read in one place for all flags: it is tried below.
    const values = [String(least - 1), String(most + 1)];
    expect(await runAll(values.map((value) => [`${flag}=${value}`]))).toEqual(
      values.map((value) => ({ args: [`${flag}=${value}`], code: 2, out: "", err: needs(flag, least, most, value) })),
    );
  });

  test("may be of many shapes, or missing: each is one sentence", async () => {
    const values = ["", " 3", "3 ", "1.5", "+3", "0x3", "9".repeat(30), "NaN", "Infinity", "٣"];
    expect(await runAll(values.map((value) => ["--rate", value]))).toEqual(
      values.map((value) => ({ args: ["--rate", value], code: 2, out: "", err: needs("--rate", 1, 1_000_000, value) })),
    );
    // Apart from its flag, what begins with a dash is taken for another flag.
    for (const { code, out, err } of await runAll([["--rate"], ["--rate", "-1"], ["--rate", "--burst", "3"]])) {
      expect([code, out, err]).toEqual([2, "", '"--rate" needs a value. Try: ft-tracker --help\n']);
    }
  });

  test("is no value at either end of the range: with all of them a tracker starts and serves", async () => {
    for (const which of [1, 2] as const) {
      await using house = await House.open(...FLAGS.flatMap((flag) => [flag[0], String(flag[which])]));
      const peer = await house.connect();
      peer.send(`HELLO FT/2 agent=test\n${files(1, "a")}`);
      expect(await peer.line()).toStartWith("HI FT/2 ");
      expect(await peer.reply()).toStartWith("WELCOME ");
    }
  });

  test("is none of those that the help tells: these are all limits, with these defaults", async () => {
    const [help] = await runAll([["--help"]]);
    const [, limits = ""] = /\nLimits:\n\n((?: {2}--.*\n)+)/.exec(help?.out ?? "") ?? [];
    const told = [...limits.matchAll(/^ {2}(--[a-z-]+) \S+ .*\(default (.+)\)$/gm)].map((match) => match.slice(1).join(" "));
    const many = "no limit";
    const defaults = ["5", many, "32", many, "4096", "255", "10", "50", "200", "250", "200", "2000", "1048576", "30"];
    expect(told).toEqual(FLAGS.map(([flag], i) => `${flag} ${defaults[i]}`));
    expect(told).toHaveLength(limits.trimEnd().split("\n").length);
  });
});
