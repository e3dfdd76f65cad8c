// What is done to a tracker by accident or on purpose, tried on the compiled ft-tracker: strangers, laggards, cut messages, wrong
// numbers, forgers and thieves. Each is refused by itself, nobody else notices, and nothing of anybody's is lost.

import { describe, expect, test } from "bun:test";
import { createPublicKey, verify } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { files, Guests, Peer, valuesOf } from "../helpers/guests.ts";
import type { Raw } from "../helpers/raw.ts";

const LOOPBACK = "127.0.0.1";
/** Nothing listens on it. */
const CLOSED = 1;
const linux = process.platform === "linux";
if (!linux)
  console.log("Memory, timers and other loopback addresses are looked at on Linux only: those faults are not tried here.");
/** This machine as the others on its network see it. */
const lan = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
if (lan === undefined) console.log("This machine is on no network: what a client from elsewhere is told is not tried here.");

const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const NOTES = record("notes.txt");
const REPORT = record("report.pdf", { more: `;v=2;root=${ROOT}` });

/** A record as its holder writes it: the address is another's, the port is corrected by FILES. */
function record(name: string, { size = "7", port = "9", address = "192.0.2.9", more = "" } = {}): string {
  return `<${name},data,${size},01/02/03,${address},${port}${more}>`;
}

/** The same as others are told it. */
function seen(line: string, port: number, address = LOOPBACK): string {
  return line.replace(/,192\.0\.2\.9,\d+/, `,${address},${port}`);
}

class House extends Guests {
  /** How often somebody has joined. The log does not show all of many joins. */
  async joins(): Promise<number> {
    this.program.kill("SIGUSR1");
    const [line] = await this.program.waitFor(/\{[^\n]*"event":"status"[^\n]*\n/);
    return JSON.parse(line).rates.joins.total;
  }

  static async open(...args: string[]): Promise<House> {
    return new House(...(await Guests.started("--max-per-address", "2000", ...args)));
  }

  /** An accepted FT/2 peer; `hello` stands at the end of its HELLO. */
  async join(port: number, records = [NOTES], { from, hello = "" }: { from?: string; hello?: string } = {}): Promise<Peer> {
    const raw = await this.connect(from);
    raw.send(`HELLO FT/2 agent=test${hello}\n${files(port, ...records)}`);
    return new Peer(raw, valuesOf(await raw.line()), valuesOf(await raw.reply()));
  }

  /** Everything of one kind that the tracker has told so far. */
  events(event: string): Record<string, unknown>[] {
    return this.program.objects().filter((one) => one.event === event);
  }
}

/** Does something with each item; at most `width` at a time. */
async function each<Item, Result>(items: Item[], width: number, act: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let i = 0; i < items.length; i += width) results.push(...(await Promise.all(items.slice(i, i + width).map(act))));
  return results;
}

/** The first bytes that a TLS client sends. */
async function clientHello(): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const server = Bun.listen({ hostname: LOOPBACK, port: 0, socket: { data: (_, chunk) => resolve(chunk) } });
  const client = tls.connect({ host: LOOPBACK, port: server.port, rejectUnauthorized: false });
  client.on("error", () => undefined);
  try {
    return await promise;
  } finally {
    client.destroy();
    server.stop(true);
  }
}

const HTTP = "GET /index.html HTTP/1.1\r\nHost: tracker.local:1234\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n";
const STRANGERS: [what: string, bytes: string | Uint8Array][] = [
  ["an HTTP client", HTTP],
  ["a client of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["a TLS client", await clientHello()],
  ["an SSH client", "SSH-2.0-OpenSSH_9.9\r\n"],
  ["a mail client", "EHLO me.local\r\n"],
  ["a Redis client", "*1\r\n$4\r\nPING\r\n"],
  ["NULs", new Uint8Array(64)],
  ["binary rubbish", Uint8Array.from({ length: 997 }, (_, i) => (i * i * 31 + 7 * i + 200) & 255)],
  ["text that is not UTF-8", Buffer.concat([Buffer.from("SEARCH: "), Buffer.alloc(9, 0xfe), Buffer.from("\n")])],
  ["an FT/2 line that is not UTF-8", Buffer.concat([Buffer.from("HELLO FT/2 agent="), Buffer.of(0xed, 0xa0, 0x80, 10)])],
  ["an FT/2 line with a NUL", "HELLO FT/2 agent=x\nPI\0NG\n"],
  ["an FT/1 search that does not end", `SEARCH: ${"x".repeat(9000)}`],
  ["an FT/1 record that does not end", `<${"x".repeat(9000)}`],
  ["an FT/2 line that does not end", `HELLO FT/2 agent=${"x".repeat(9000)}`],
  ["somebody who says more than HELLO", "HELLO tracker, how are you?\n"],
];

describe("a stranger that speaks something else", () => {
  test.each(STRANGERS)(
    "%s is closed at once, in one event, and neither a peer that is here nor the next one notices",
    async (_, bytes) => {
      // Its bytes have it closed: the time in which it has to be accepted is longer than any test.
      await using house = await House.open("--accept-within", "3600");
      const here = await house.join(CLOSED);
      const stranger = await house.connect();
      stranger.send(bytes);
      // It had HI if it said HELLO, and a reason if it spoke FT/2: nothing else, and nothing of what it sent.
      const answer = (await stranger.rest()).toString();
      expect(answer).toMatch(/^(?:HI(?: FT\/2 name=[^\n]+\n)?)?(?:ERROR [a-z-]+ [A-Z][^\n\u0000-\u001f\u007f-\u009f]+\.\n)?$/);
      await house.program.waitFor(/"refused".*\n/);
      expect(await here.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${seen(NOTES, CLOSED)}`);
      expect((await house.join(CLOSED, [REPORT])).hi.get("you")).toBe(LOOPBACK);
      expect(house.events("refused")).toEqual([
        {
          event: "refused",
          address: LOOPBACK,
          code: expect.stringMatching(/^[a-z-]+$/),
          reason: expect.stringMatching(/^[A-Z].*\.$/),
          time: expect.any(String),
        },
      ]);
      expect(house.events("left")).toEqual([]);
    },
  );

  test("many of all kinds, some of whom send more than a limit, are all closed, and a peer that is here does not notice", async () => {
    await using house = await House.open();
    const chunk = Buffer.alloc(64 * 1024, "x");
    const here = await house.join(CLOSED);
    const visits = Array.from({ length: 10 * STRANGERS.length }, (_, i) => i);
    await each(visits, 20, async (i) => {
      const [, bytes = ""] = STRANGERS[i % STRANGERS.length] ?? [];
      const stranger = await house.connect();
      stranger.send(bytes);
      if (i % 4 === 0) stranger.send(chunk);
      if (i % 7 === 0) stranger.close();
      else await stranger.rest();
      stranger.close();
    });
    expect(await here.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${seen(NOTES, CLOSED)}`);
    expect(house.program.err).toBe("");
  });
});

describe("a client that is never accepted", () => {
  const TACTICS: [what: string, first: string, drip: string][] = [
    ["says nothing", "", ""],
    ["sends half a word and nothing more", "HEL", ""],
    ["sends its HELLO FT/2 byte by byte", "HELLO FT/2 agent=", "abcdefghijklmnopqrstuvwxyz"],
    ["is greeted and says nothing more", "HELLO FT/2 agent=x\n", ""],
    ["is greeted by two bytes and says nothing more", "HELLO", ""],
    ["sends its list byte by byte", "HELLO FT/2 agent=x\nFILES 1 port=1\n<", "abcdefghijklmnopqrstuvwxyz"],
    ["sends a record of FT/1 byte by byte", "<", "abcdefghijklmnopqrstuvwxyz"],
    ["sends empty lines", "HELLO\n", "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"],
    ["asks without ever sharing", "HELLO FT/2 agent=x\n", "PING\nPING\nPING\nPING\nPING\nPING\n"],
  ];

  test("is closed when its time is over, however it spends it; a peer that was accepted stays", async () => {
    await using house = await House.open("--accept-within", "1");
    const here = await house.join(CLOSED);
    const ends = await Promise.all(
      TACTICS.map(async ([what, first, drip]) => {
        const from = performance.now();
        const guest = await house.connect();
        guest.send(first);
        let at = 0;
        // It never falls silent: a time that begins anew with every byte would never be over.
        const timer = setInterval(() => guest.send(drip.charAt(at++ % drip.length)), 100);
        const answer = (await guest.rest()).toString();
        clearInterval(timer);
        return { what, answer, seconds: (performance.now() - from) / 1000 };
      }),
    );
    for (const { what, answer, seconds } of ends) {
      expect([what, answer]).toEqual([what, expect.stringMatching(/^(?:HI(?: FT\/2 name=[^\n]+\n)?)?$/)]);
      expect([what, seconds]).toEqual([what, expect.any(Number)]);
      expect(seconds).toBeGreaterThan(0.95);
    }
    // Each way of wasting time is one refusal; the accepted peer is older than all of them and still here.
    for (const _ of TACTICS) await house.program.waitFor(/"refused".*\n/);
    expect(await here.ask("PING")).toBe("PONG");
    expect(house.events("left")).toEqual([]);
  });
});

// That it is closed after a while without progress is in the tests of the limits, with --stall.
describe("a client that never reads its answers", () => {
  /** 2000 records of 240 bytes: an answer of nearly half a megabyte. */
  const MANY = Array.from({ length: 2000 }, (_, i) => record(`${"n".repeat(200)}${i}`));
  const LIST = "LIST limit=2000\n";

  test("is closed when too much waits for it, and nobody else notices", async () => {
    await using house = await House.open("--max-files", "2000");
    const other = await house.join(CLOSED, [NOTES]);
    const holder = await house.join(CLOSED, MANY);
    const deaf = await Promise.all(Array.from({ length: 3 }, () => house.join(CLOSED, [REPORT])));
    for (const { raw } of deaf) {
      raw.socket.pause();
      raw.send(LIST.repeat(100));
    }
    for (const _ of deaf) await house.program.waitFor(/"event":"left".*does not read.*\n/);
    expect(await other.ask("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await holder.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${seen(NOTES, CLOSED)}`);
  });

  test("and half-closes right behind its request gets the whole of a long answer once it does read", async () => {
    await using house = await House.open("--max-files", "2000", "--max-unsent", String(64 * 1024 ** 2));
    const holder = await house.join(CLOSED, MANY);
    const asker = await house.join(CLOSED, [NOTES]);
    asker.raw.socket.pause();
    asker.raw.send(LIST.replace("LIST", `LIST id=${holder.id}`).repeat(40));
    asker.raw.halfClose();
    await house.program.waitFor(/"event":"left"/);
    asker.raw.socket.resume();
    const answer = `FOUND: 2000\n${MANY.map((line) => `${seen(line, CLOSED)}\n`).join("")}`;
    const got = await asker.raw.replies();
    expect(got.length).toBe(answer.length * 40);
    expect(got === answer.repeat(40)).toBe(true);
  });
});

describe("half-closed right behind a request", () => {
  test("every request of FT/2 has its whole answer, and then comes the end", async () => {
    await using house = await House.open();
    const holder = await house.join(2001, [REPORT]);
    const open = `HELLO FT/2 agent=test\n${files(2002, NOTES, record("b.txt"))}`;
    const found = `FOUND: 1\n${seen(REPORT, 2001)}\n`;
    const requests: [string, string | RegExp][] = [
      ["PING\n", "PONG\n"],
      ["SEARCH: report.pdf\n", found],
      ["SEARCH: absent\n", "NOT FOUND\n"],
      ["FIND report\n", found],
      [`LIST id=${holder.id}\n`, found],
      [`LIST root=${ROOT}\n`, found],
      ["WHO\n", /^PEERS: 2\n(?:id=\S+ address=127\.0\.0\.1 port=200[12] files=\d bytes=\d+ agent=test since=\S+\n){2}$/],
      ["KNOWN 127.0.0.1\n", "YES\n"],
      [`ADD ${record("c.txt")}\n`, "OK\n"],
      ["DROP b.txt\n", "OK\n"],
      [files(2003, NOTES), /^WELCOME id=\S+ pass=\S+ peers=2 files=2\n$/],
      ["FROBNICATE\n", /^ERROR unknown-verb [^\n]+\n$/],
      ["FILES 99 port=1\n", /^ERROR too-many-files [^\n]+\n$/],
      ["BYE\n", "BYE\n"],
    ];
    for (const [request, wanted] of requests) {
      const answer = await house.say(open + request);
      const [, , behind = ""] =
        /^(HI [^\n]+\nWELCOME [^\n]+\n)((?:.|\n)*)$/.exec(answer.replace(/^REACH [^\n]+\n/gm, "")) ?? [];
      if (typeof wanted === "string") expect([request, behind]).toEqual([request, wanted]);
      else expect([request, behind]).toEqual([request, expect.stringMatching(wanted)]);
    }
  });

  test("every exchange of FT/1 has its whole answer, and then comes the end", async () => {
    await using house = await House.open();
    expect(await house.say("HELLO")).toBe("HI");
    for (let port = 3000; port < 3200; port += 1) expect(await house.say(record("many.txt", { port: String(port) }))).toBe("");
    const lines = Array.from({ length: 200 }, (_, i) => `<data,7,01/02/03,127.0.0.1,${3000 + i}>\n`);
    expect(await house.say("SEARCH: many.txt")).toBe(`FOUND: ${lines.join("")}`);
    expect(await house.say("SEARCH absent")).toBe("NOT FOUND");
    expect(await house.say("BYE")).toBe("");
    // Nobody from here is accepted any more.
    expect(await house.say("SEARCH: many.txt")).toBe("");
  });
});

describe("a message that is cut anywhere, comes byte by byte, or with many others in one piece", () => {
  /** Every way to cut a text in two, the text in one piece, and byte by byte. */
  function cutsOf(text: string): Uint8Array[][] {
    const bytes = Buffer.from(text);
    const inTwo = Array.from({ length: bytes.length - 1 }, (_, i) => [bytes.subarray(0, i + 1), bytes.subarray(i + 1)]);
    return [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte)), ...inTwo];
  }

  /** Sends the pieces so that they leave one by one. */
  async function sendCut(guest: Raw, pieces: Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      guest.send(piece);
      await new Promise((go) => setImmediate(go));
    }
  }

  test("of FT/2 is the same message", async () => {
    await using house = await House.open("--max-per-address", "100000");
    const SCRIPT = `HELLO FT/2 agent=test/1
FILES 2 port=1
${REPORT.replace("report", "report-NNNN")}
<Größe %25 NNNN.txt,text/plain,5,01/02/03,10.0.0.1,1>\r
PING
SEARCH: Größe %25 NNNN.txt
KNOWN 127.0.0.1
ADD <third-NNNN,data,0,01/01/00,1.2.3.4,9>
FIND third NNNN -draft
DROP third-NNNN
DROP third-NNNN
DROP Größe %25 NNNN.txt
DROP report-NNNN.pdf
FROBNICATE
BYE
`;
    const ANSWERS = `HI FT/2 name=NAME max=5 key=KEY you=127.0.0.1
WELCOME id=ID pass=PASS peers=N files=N
PONG
FOUND: 1
<Größe %25 NNNN.txt,text/plain,5,01/02/03,127.0.0.1,1>
YES
OK
FOUND: 1
<third-NNNN,data,0,01/01/00,127.0.0.1,1>
OK
NOT FOUND
OK
ERROR last-file WORDS
ERROR unknown-verb WORDS
BYE
`;
    const plain = (answer: string, number: string) =>
      answer
        .replaceAll(number, "NNNN")
        .replace(/ (name|key|id|pass)=\S+/g, (_, key: string) => ` ${key}=${key.toUpperCase()}`)
        .replace(/ (peers|files)=\d+/g, " $1=N")
        .replace(/^(ERROR \S+) .+$/gm, "$1 WORDS");
    const numbers = Array.from({ length: cutsOf(SCRIPT).length }, (_, i) => String(1000 + i));
    const wrong = await each(numbers, 40, async (number) => {
      const guest = await house.connect();
      const pieces = cutsOf(SCRIPT.replaceAll("NNNN", number))[Number(number) - 1000] ?? [];
      await sendCut(guest, pieces);
      const answer = plain(await guest.replies(), number);
      guest.close();
      return answer === ANSWERS ? [] : [{ cutBehind: pieces[0]?.length, pieces: pieces.length, answer }];
    });
    expect(wrong.flat()).toEqual([]);
    expect(house.events("refused")).toEqual([]);
    expect(await house.joins()).toBe(numbers.length);
  });

  test("of FT/1 is the same message", async () => {
    await using house = await House.open("--max-per-address", "100000");
    // Four digits each, so that all texts are cut at the same places.
    const list = (port: number) =>
      `HELLO${record(`my ${port}, too.txt`, { port: String(port) })}\n${record(`b ${port}`, { port: String(port) })}`;
    const ports = Array.from({ length: cutsOf(list(1000)).length }, (_, i) => 1000 + i);
    const greetings = await each(ports, 40, async (port) => {
      const guest = await house.connect();
      await sendCut(guest, cutsOf(list(port))[port - 1000] ?? []);
      guest.halfClose();
      const greeting = (await guest.rest()).toString();
      guest.close();
      return greeting;
    });
    expect([...new Set(greetings)]).toEqual(["HI"]);
    const missing = await each(ports, 40, async (port) => {
      const answer = `FOUND: <data,7,01/02/03,127.0.0.1,${port}>\n`;
      const got = [await house.say(`SEARCH: my ${port}, too.txt`), await house.say(`SEARCH: b ${port}`)];
      return got.every((one) => one === answer) ? [] : [{ port, got }];
    });
    expect(missing.flat()).toEqual([]);

    // A pause of 50 ms ends a search, so its pieces leave without one.
    const answers = await each(cutsOf("SEARCH: my 1000, too.txt\n"), 40, async (pieces) => {
      const guest = await house.connect();
      for (const piece of pieces) guest.send(piece);
      const answer = (await guest.rest()).toString();
      guest.close();
      return answer;
    });
    expect([...new Set(answers)]).toEqual(["FOUND: <data,7,01/02/03,127.0.0.1,1000>\n"]);
    expect(house.events("refused")).toEqual([]);
    for (const pieces of cutsOf("BYE")) {
      expect(await house.say(record("last", { port: "7000" }))).toBe("");
      const guest = await house.connect();
      await sendCut(guest, pieces);
      expect((await guest.rest()).toString()).toBe("");
      guest.close();
      expect(await house.say("SEARCH: last")).toBe("");
    }
  });
});

describe("numbers, ports and names", () => {
  const WRONG = ["-1", "+1", "1.5", "1e3", "01", "0x10", "9007199254740992", "9".repeat(40), "NaN", "", "١"];
  const BAD_PORTS = ["0", "70000", "65536", "-1", "+80", "80.0", "8e1", "080", "", "http"];
  const OFFENCES: [request: string, code: string][] = [
    ...WRONG.flatMap((number): [string, string][] => [
      [
        `FILES ${number} port=1\n`,
        number === "9007199254740992" || number.length === 40 ? "(?:bad-number|too-many-files)" : "bad-number",
      ],
      [`ADD ${record("a", { size: number })}\n`, "bad-record"],
      [`LIST offset=${number}\n`, "bad-number"],
      [`WHO limit=${number}\n`, "bad-number"],
      [`FIND notes max=${number}\n`, "bad-number"],
    ]),
    ...BAD_PORTS.flatMap((port): [string, string][] => [
      [`FILES 1 port=${port}\n${NOTES}\n`, "bad-port"],
      [`ADD ${record("a", { port })}\n`, "bad-port"],
      [`CONNECT address=127.0.0.1 port=${port} token=t\n`, "bad-port"],
    ]),
    ["ADD <a,data,7,32/01/26,192.0.2.9,1>\n", "bad-record"],
    ["ADD <a,data,7,01/13/26,192.0.2.9,1>\n", "bad-record"],
    ["ADD <a,data,7,01/02/03,300.0.2.9,1>\n", "bad-record"],
    ["ADD <a,data,7,01/02/03,192.0.2.09,1>\n", "bad-record"],
    [`ADD ${record("a", { more: ";root=9f86" })}\n`, "bad-record"],
    [`ADD ${record("a", { more: ";mtime=2026-13-01T00:00:00Z" })}\n`, "bad-record"],
    [`ADD ${record("")}\n`, "bad-name"],
    [`ADD ${record("a%00b")}\n`, "bad-name"],
    [`ADD ${record("a%ff")}\n`, "bad-escape"],
    [`ADD ${record("a%ED%A0%80")}\n`, "bad-escape"],
  ];

  const RECORDS = OFFENCES.filter(([request]) => request.startsWith("ADD "));
  const OTHERS = OFFENCES.filter(([request]) => !request.startsWith("ADD "));

  test("that are not as the protocol writes them are told why, once; the peer is gone and nobody else has noticed", async () => {
    await using house = await House.open();
    const other = await house.join(2001, [REPORT], { hello: " extras=1" });
    const wrong = await each(OTHERS, 10, async ([request, code]) => {
      const peer = await house.join(2002);
      // Whatever follows is not looked at any more.
      peer.raw.send(`${request}PING\nSEARCH: report.pdf\n`);
      const answer = await peer.raw.replies();
      peer.raw.close();
      return new RegExp(`^ERROR ${code} \\S[^\\n]+\\.\\n$`).test(answer) ? [] : [{ request, answer }];
    });
    expect(wrong.flat()).toEqual([]);
    expect(await other.ask("WHO")).toStartWith("PEERS: 1\n");
    expect(await other.ask("LIST")).toMatch(/^FOUND: 1\n<report\.pdf,/);
    expect(await house.joins()).toBe(1 + OTHERS.length);
    expect(house.program.err).toBe("");
  });

  test("in a record are refused with that record alone; the peer stays", async () => {
    await using house = await House.open();
    const other = await house.join(2001, [REPORT], { hello: " extras=1" });
    const wrong = await each(RECORDS, 10, async ([request, code]) => {
      const peer = await house.join(2002);
      peer.raw.send(`${request}PING\nBYE\n`);
      const answer = (await peer.raw.replies()).replace(/REACH [^\n]*\n/, "");
      peer.raw.close();
      return new RegExp(`^ERROR ${code} \\S[^\\n]+\\.\nPONG\nBYE\n$`).test(answer) ? [] : [{ request, answer }];
    });
    expect(wrong.flat()).toEqual([]);
    expect(await other.ask("LIST")).toMatch(/^FOUND: 1\n<report\.pdf,/);
    expect(house.program.err).toBe("");
  });

  test("of FT/1 that are wrong register nobody, without a word", async () => {
    await using house = await House.open();
    const other = await house.join(2001, [REPORT]);
    for (const number of WRONG)
      expect([number, await house.say(record("a", { size: number, port: "1" }))]).toEqual([number, ""]);
    for (const port of BAD_PORTS) expect([port, await house.say(record("a", { port }))]).toEqual([port, ""]);
    // One bad record spoils its whole list.
    expect(await house.say(`HELLO${record("a", { port: "1" })}\n${record("b", { port: "0" })}\n`)).toBe("HI");
    expect(await other.ask("WHO")).toStartWith("PEERS: 1\n");
    expect([await other.ask("SEARCH: a"), await other.ask("SEARCH: b")]).toEqual(["NOT FOUND", "NOT FOUND"]);
  });

  test("at the ends of their range are served", async () => {
    await using house = await House.open();
    const most = record("most", { size: "9007199254740991" });
    const none = record("none", { size: "0" });
    const peer = await house.join(65_535, [most, none]);
    expect(await peer.ask("SEARCH: most")).toBe(`FOUND: 1\n${seen(most, 65_535)}`);
    expect(await peer.ask("FIND none max=0")).toBe(`FOUND: 1\n${seen(none, 65_535)}`);
    expect(await peer.ask("FIND most min=9007199254740991")).toBe(`FOUND: 1\n${seen(most, 65_535)}`);
    expect(await peer.ask("LIST offset=9007199254740991")).toBe("NOT FOUND");
    expect(await peer.ask("LIST limit=0")).toBe("NOT FOUND");
    expect(await peer.ask("WHO limit=9007199254740991")).toStartWith("PEERS: 1\n");
  });

  test("__proto__, constructor and their like are names like any other, wherever they stand", async () => {
    await using house = await House.open("--max-files", "9");
    const names = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "__defineGetter__"];
    const other = await house.join(2001, [REPORT]);
    for (const name of names) {
      // Nobody has it, so nobody is found, whatever every object has by birth.
      for (const request of [
        `SEARCH: ${name}`,
        `FIND ${name}`,
        `FIND ext=${name}`,
        `FIND type=${name}`,
        `LIST id=${name}`,
        `DROP ${name}`,
      ]) {
        expect([request, await other.ask(request)]).toEqual([request, "NOT FOUND"]);
      }
      expect(await other.ask(`WHO ${name}=1 __proto__=x`)).toStartWith("PEERS: 1\n");
      expect(await other.ask(name)).toMatch(/^ERROR unknown-verb /);
      expect(await house.say(`SEARCH: ${name}`)).toBe("NOT FOUND");
    }
    const records = names.map((name) => record(name, { more: `;${name}=1;v=2` }));
    const peer = await house.join(2002, records, { hello: ` __proto__=x constructor=y session=__proto__.x` });
    for (const [i, name] of names.entries()) {
      const line = seen(record(name, { more: ";v=2" }), 2002);
      expect(await other.ask(`SEARCH: ${name}`)).toBe(`FOUND: 1\n${line}`);
      expect(await other.ask(`FIND ${name}`)).toBe(`FOUND: 1\n${line}`);
      expect(await house.say(`SEARCH: ${name}`)).toBe("FOUND: <data,7,01/02/03,127.0.0.1,2002>\n");
      expect(await peer.ask(`DROP ${name}`)).toMatch(i < names.length - 1 ? /^OK$/ : /^ERROR last-file /);
    }
    expect(await peer.ask("BYE")).toBe("BYE");
    expect(await other.ask("LIST")).toBe(`FOUND: 1\n${seen(REPORT, 2001)}`);
  });

  test("with line ends, brackets and separators in them come back escaped and make no line of their own", async () => {
    await using house = await House.open();
    const name = "a%0A%3Cb%2Cdata%2C7%2C01/02/03%2C192.0.2.1%2C1%3E%0ABYE";
    const agent = "x%0Aid=1%20address=192.0.2.1%0D%0A";
    const raw = await house.connect();
    raw.send(`HELLO FT/2 agent=${agent}\n${files(2001, record(name))}`);
    const peer = new Peer(raw, valuesOf(await raw.line()), valuesOf(await raw.reply()));
    const line = seen(record(name), 2001);
    expect(await peer.ask(`SEARCH: ${name}`)).toBe(`FOUND: 1\n${line}`);
    expect(await peer.ask("LIST")).toBe(`FOUND: 1\n${line}`);
    expect(await peer.ask("FIND bye")).toBe(`FOUND: 1\n${line}`);
    expect(await peer.ask("WHO")).toMatch(
      /^PEERS: 1\nid=\S+ address=127\.0\.0\.1 port=2001 files=1 bytes=7 agent=x%0Aid=1%20address=192\.0\.2\.1%0D%0A since=\S+$/,
    );
    expect(await peer.ask("PING")).toBe("PONG");
    expect(house.program.err).toBe("");
  });
});

describe("another host's address", () => {
  const OTHERS = [
    "192.0.2.9",
    "127.0.0.2",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "::1",
    "::ffff:192.0.2.9",
    "2001:db8::1",
  ];

  test("in a record is not believed: what is published is where its holder came from", async () => {
    await using house = await House.open("--max-files", "20");
    const records = OTHERS.map((address, i) => record(`file ${i}`, { address }));
    const peer = await house.join(2001, records);
    expect(peer.hi.get("you")).toBe(LOOPBACK);
    for (const [i] of OTHERS.entries()) {
      expect(await peer.ask(`SEARCH: file ${i}`)).toBe(`FOUND: 1\n<file ${i},data,7,01/02/03,127.0.0.1,2001>`);
    }
    expect(await peer.ask(`ADD ${record("added", { address: "192.0.2.77" })}`)).toBe("OK");
    expect(await peer.ask("SEARCH: added")).toBe("FOUND: 1\n<added,data,7,01/02/03,127.0.0.1,2001>");
    for (const [i, address] of OTHERS.entries()) {
      expect(await house.say(record(`old ${i}`, { address, port: "3001" }))).toBe("");
      expect(await house.say(`SEARCH: old ${i}`)).toBe("FOUND: <data,7,01/02/03,127.0.0.1,3001>\n");
    }
    expect(await peer.ask("LIST limit=2000")).not.toContain("192.0.2");
    expect(await peer.ask("WHO")).not.toContain("192.0.2");
    for (const address of ["192.0.2.9", "192.0.2.77", "127.0.0.2", "0.0.0.0", "2001:db8::1"]) {
      expect([address, await peer.ask(`KNOWN ${address}`)]).toEqual([address, "NO"]);
    }
  });

  test.skipIf(!linux)("of two peers, each has its own, in records, WHO, KNOWN and HI", async () => {
    await using house = await House.open();
    const one = await house.join(2001, [NOTES], { from: "127.0.0.2" });
    const other = await house.join(2001, [NOTES], { from: "127.0.0.3" });
    expect([one.hi.get("you"), other.hi.get("you")]).toEqual(["127.0.0.2", "127.0.0.3"]);
    expect(await one.ask("SEARCH: notes.txt")).toBe(
      `FOUND: 2\n${seen(NOTES, 2001, "127.0.0.2")}\n${seen(NOTES, 2001, "127.0.0.3")}`,
    );
    expect(await one.ask("WHO")).toMatch(/^PEERS: 2\nid=\S+ address=127\.0\.0\.2 [^\n]+\nid=\S+ address=127\.0\.0\.3 /);
    expect([await one.ask("KNOWN 127.0.0.3"), await one.ask("KNOWN 127.0.0.4")]).toEqual(["YES", "NO"]);
    // An FT/1 search is judged by where it comes from.
    expect(await house.say("SEARCH: notes.txt", "127.0.0.4")).toBe("");
    expect(await house.say("SEARCH: notes.txt", "127.0.0.3")).toStartWith("FOUND: <");
    expect(await other.ask("BYE")).toBe("BYE");
    expect(await one.ask("KNOWN 127.0.0.3")).toBe("NO");
    expect(await house.say("SEARCH: notes.txt", "127.0.0.3")).toBe("");
  });

  test.skipIf(lan === undefined)(
    "stands for loopback where the asker came from elsewhere: the tracker's own, which it reached",
    async () => {
      await using house = await House.open("--host", "0.0.0.0");
      const here = await house.join(2001, [NOTES]);
      const raw = await house.connect(undefined, lan);
      raw.send(`HELLO FT/2 agent=test\n${files(2002, REPORT)}`);
      const there = new Peer(raw, valuesOf(await raw.line()), valuesOf(await raw.reply()));
      expect(there.hi.get("you")).toBe(lan);
      expect(await there.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${seen(NOTES, 2001, lan)}`);
      expect(await there.ask("LIST")).not.toContain(LOOPBACK);
      expect(await there.ask("WHO")).not.toContain(LOOPBACK);
      expect(await here.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${seen(NOTES, 2001)}`);
    },
  );

  test("nor is what only the tracker can know: whether a holder is reached, and how many there are", async () => {
    await using house = await House.open();
    const told = record("boast.txt", { more: ";v=2;reach=no;holders=99" });
    const peer = await house.join(2001, [told, NOTES]);
    const line = seen(record("boast.txt", { more: ";v=2" }), 2001);
    for (const request of ["SEARCH: boast.txt", `LIST id=${peer.id} limit=1`, "FIND boast"]) {
      expect([request, await peer.ask(request)]).toEqual([request, `FOUND: 1\n${line}`]);
    }
    expect(await peer.ask("FIND boast group=1")).toBe(`FOUND: 1\n${line.slice(0, -1)};holders=1>`);
  });
});

describe("a stranger", () => {
  const extras = { hello: " extras=1" };

  /** Two FT/2 peers with sessions, and a program of FT/1, all at one address. */
  async function residents(house: House): Promise<{ owner: Peer; other: Peer; intact(): Promise<void> }> {
    const owner = await house.join(2001, [NOTES], extras);
    const other = await house.join(2002, [REPORT], extras);
    expect(await house.say(record("old.txt", { port: "2003" }))).toBe("");
    const intact = async () => {
      expect(await other.ask(`LIST id=${owner.id}`)).toBe(`FOUND: 1\n${reachless(seen(NOTES, 2001))}`);
      expect(await owner.ask(`LIST id=${other.id}`)).toBe(`FOUND: 1\n${reachless(seen(REPORT, 2002))}`);
      expect(await house.say("SEARCH: old.txt")).toBe("FOUND: <data,7,01/02/03,127.0.0.1,2003>\n");
      expect((await owner.ask("WHO")).split("\n")[0]).toBe("PEERS: 3");
    };
    // What is known of their ports comes once, and does not come between what is compared below.
    for (const peer of [owner, other]) expect(await peer.raw.push()).toStartWith("REACH no ");
    await intact();
    return { owner, other, intact };
  }

  function reachless(line: string): string {
    return `${line.slice(0, -1)};reach=no>`;
  }

  test("over FT/2 neither drops, replaces nor takes over what others share", async () => {
    await using house = await House.open();
    const { owner, other, intact } = await residents(house);
    const thief = await house.join(2001, [NOTES, REPORT, record("old.txt"), record("spare")]);
    expect([owner.id, other.id]).not.toContain(thief.id);
    // What is there is its own, and nothing else; where it says whose it means, that is not heard.
    const tries: [request: string, answer: RegExp][] = [
      ["DROP notes.txt", /^OK$/],
      ["DROP notes.txt", /^NOT FOUND$/],
      [`DROP report.pdf id=${other.id}`, /^NOT FOUND$/],
      [`DROP id=${owner.id} notes.txt`, /^NOT FOUND$/],
      [`ADD ${record("notes.txt", { size: "666", port: "2001", address: LOOPBACK })}`, /^OK$/],
      [`ADD ${record("report.pdf", { size: "666", port: "2002", more: `;v=2;root=${ROOT};id=${other.id}` })}`, /^OK$/],
      [`FILES 1 port=2002 id=${other.id}\n${record("report.pdf", { size: "666" })}`, new RegExp(`^WELCOME id=${thief.id} `)],
      [`LIST id=${owner.id} limit=0`, /^NOT FOUND$/],
      [`KICK ${owner.id}`, /^ERROR unknown-verb /],
      ["FT/1", /^ERROR unknown-verb /],
    ];
    for (const [request, answer] of tries) {
      expect([request, await thief.ask(request)]).toEqual([request, expect.stringMatching(answer)]);
    }
    expect(await owner.ask("SEARCH: report.pdf")).toContain(seen(REPORT, 2002).slice(0, -1));
    expect(await thief.ask(`BYE id=${owner.id}`)).toBe("BYE");
    for (const end of ["BYE\n", "FILES 0 port=2001\n", "FILES 9 port=2001\n", "\0\n"]) {
      expect(await house.say(`HELLO FT/2 agent=x id=${owner.id} you=${LOOPBACK}\n${end}`)).toMatch(
        /^HI [^\n]+\n(?:ERROR [^\n]+\n)?$/,
      );
    }
    await intact();
    expect(house.events("left")).toHaveLength(1);
  });

  test("over FT/1 neither replaces nor removes what a peer of FT/2 shares, of the same address and port", async () => {
    await using house = await House.open();
    const { owner, other } = await residents(house);
    expect(await house.say(`${record("notes.txt", { size: "666", port: "2001", address: LOOPBACK })}\n`)).toBe("");
    expect(await house.say(`${record("report.pdf", { size: "666", port: "2002" })}\n`)).toBe("");
    expect(await other.ask("SEARCH: notes.txt")).toBe(
      `FOUND: 2\n${reachless(seen(NOTES, 2001))}\n<notes.txt,data,666,01/02/03,127.0.0.1,2001>`,
    );
    expect(await house.say("BYE")).toBe("");
    expect(await other.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${reachless(seen(NOTES, 2001))}`);
    expect(await owner.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${reachless(seen(REPORT, 2002))}`);
    expect(await owner.ask("SEARCH: old.txt")).toBe("NOT FOUND");
  });

  test.skipIf(!linux)("over FT/1 from another address neither replaces nor removes a program of FT/1", async () => {
    await using house = await House.open();
    const { intact } = await residents(house);
    const from = "127.0.0.66";
    // It says the owner's address and port, which puts it beside the owner, under its own address.
    expect(await house.say(`${record("old.txt", { size: "666", port: "2003", address: LOOPBACK })}\n`, from)).toBe("");
    expect(await house.say("SEARCH: old.txt")).toBe(
      "FOUND: <data,7,01/02/03,127.0.0.1,2003>\n<data,666,01/02/03,127.0.0.66,2003>\n",
    );
    expect(await house.say(`${record("old.txt", { port: "2003" })}\n`.repeat(6), from)).toBe("");
    for (const bye of ["BYE", "BYE 127.0.0.1", "BYE\n127.0.0.1\n"]) expect(await house.say(bye, from)).toBe("");
    await intact();
  });

  test("takes nobody's place by a session that it guesses, borrows or makes up", async () => {
    await using house = await House.open();
    const { owner, other, intact } = await residents(house);
    const session = owner.welcome.get("session") ?? "";
    const [id = "", secret = ""] = session.split(".");
    const [, otherSecret = ""] = (other.welcome.get("session") ?? "").split(".");
    expect([id, secret]).toEqual([owner.id, expect.stringMatching(/^[\w-]{22}$/)]);
    expect(secret).not.toBe(otherSecret);
    const flipped = `${secret.slice(0, -1)}${secret.endsWith("A") ? "B" : "A"}`;
    const guesses = [
      "",
      ".",
      id,
      `${id}.`,
      `.${secret}`,
      `${id}.${otherSecret}`,
      `${other.id}.${secret}`,
      `${id}.${flipped}`,
      `${id}.${secret.slice(1)}`,
      `${id}.${secret}=`,
      `${id}.${secret}.${secret}`,
      `${id}.${secret}%00`,
      `${id}%20${secret}`,
      `${id}.${"A".repeat(22)}`,
      `${id}.%75ndefined`,
      "__proto__.constructor",
      `ft1-${LOOPBACK}-2003`,
      `ft1-${LOOPBACK}-2003.`,
      owner.welcome.get("pass") ?? "",
      `${id}.${owner.welcome.get("pass")}`,
    ];
    for (const guess of guesses) {
      const thief = await house.join(2009, [record("t")], { hello: ` extras=1 session=${guess}` });
      expect([guess, [owner.id, other.id].includes(thief.id)]).toEqual([guess, false]);
      expect(await thief.ask("BYE")).toBe("BYE");
    }
    await intact();
    // The secret stands nowhere that others could read it; its owner takes its own place with it, and the old one is closed.
    const heard = [await other.ask("WHO"), await other.ask("LIST"), house.program.out, ...other.raw.pushes].join("\n");
    expect(heard).not.toContain(secret);
    const back = await house.join(2001, [NOTES], { hello: ` extras=1 session=${session}` });
    expect(back.id).toBe(owner.id);
    expect((await owner.raw.rest()).toString()).toBe("");
    expect((await other.ask("WHO")).split("\n")[0]).toBe("PEERS: 3");
    // It was good once.
    const late = await house.join(2001, [NOTES], { hello: ` extras=1 session=${session}` });
    expect(late.id).not.toBe(owner.id);
    expect(await back.ask("PING")).toBe("PONG");
  });

  test("a client that is not accepted is not served, whatever it asks and however it opens", async () => {
    await using house = await House.open();
    const here = await house.join(2001, [REPORT], { hello: "" });
    const requests = `SEARCH: report.pdf\nFIND report\nLIST\nLIST id=${here.id}\nWHO\nKNOWN 127.0.0.1\nADD ${NOTES}\nDROP report.pdf\nPING\nCONNECT address=127.0.0.1 port=2001 token=t\n`;
    expect(await house.say(`HELLO FT/2 agent=x\n${requests}`)).toMatch(/^HI [^\n]+\n$/);
    for (const line of requests.trimEnd().split("\n")) {
      expect([line, await house.say(`HELLO FT/2 agent=x\n${line}\n`)]).toEqual([line, expect.stringMatching(/^HI [^\n]+\n$/)]);
    }
    // A list of nothing, and one of nothing but unfinished files, is no list.
    expect(await house.say("HELLO FT/2 agent=x\nFILES 0 port=5\nLIST\n")).toMatch(/^HI [^\n]+\n$/);
    expect(await house.say(`HELLO FT/2 agent=x\n${files(5, record("p", { more: ";v=2;part=1" }))}LIST\n`)).toMatch(
      /^HI [^\n]+\n$/,
    );
    expect(await here.ask("WHO")).toStartWith("PEERS: 1\n");
  });
});

describe("passes", () => {
  /** Checked by the protocol's text alone: base64url(payload).base64url(Ed25519 signature). */
  function check(pass: string, key: string): string | undefined {
    const [payload = "", signature = ""] = pass.split(".");
    const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: key }, format: "jwk" });
    const bytes = Buffer.from(payload, "base64url");
    return verify(null, bytes, publicKey, Buffer.from(signature, "base64url")) ? bytes.toString() : undefined;
  }

  test.skipIf(!linux)("are signed with the key of HI for that peer, where it came from, and ten minutes", async () => {
    await using house = await House.open();
    for (const from of [LOOPBACK, "127.0.0.7"]) {
      const peer = await house.join(2001, [NOTES], { from });
      const pass = peer.welcome.get("pass") ?? "";
      expect(pass).toMatch(/^[\w-]+\.[\w-]{86}$/);
      const [id, address, expires, ...more] = (check(pass, peer.hi.get("key") ?? "") ?? "").split(" ");
      expect([id, address, more]).toEqual([peer.id, from, []]);
      const left = Number(expires) - Date.now() / 1000;
      expect(left).toBeGreaterThan(500);
      expect(left).toBeLessThan(605);
    }
  });

  test("are renewed under the same id and key with every list, and with one letter changed are nobody's", async () => {
    await using house = await House.open();
    const peer = await house.join(2001);
    const key = peer.hi.get("key") ?? "";
    const first = peer.welcome.get("pass") ?? "";
    const again = valuesOf(await peer.ask(`FILES 1 port=2001\n${NOTES}`));
    const [payload, later] = [check(first, key), check(again.get("pass") ?? "", key)].map((one) => one?.split(" ") ?? []);
    expect([payload?.[0], again.get("id"), later?.[0]]).toEqual([peer.id, peer.id, peer.id]);
    expect(Number(later?.[2])).toBeGreaterThanOrEqual(Number(payload?.[2]));
    const letter = first.startsWith("A") ? "B" : "A";
    expect(check(`${letter}${first.slice(1)}`, key)).toBeUndefined();
  });

  test("of one tracker are none of the next one's, whose index knows nothing of before", async () => {
    await using house = await House.open();
    const before = await house.join(2001, [NOTES], { hello: " extras=1" });
    house.program.kill("SIGKILL");
    await house.program.exited;
    const { port } = await house.stage.tracker("--port", String(house.port));
    expect(port).toBe(house.port);
    const session = before.welcome.get("session") ?? "";
    const after = await house.join(2001, [REPORT], { hello: ` extras=1 session=${session}` });
    expect(after.id).not.toBe(before.id);
    expect(after.hi.get("key")).not.toBe(before.hi.get("key"));
    expect(check(before.welcome.get("pass") ?? "", after.hi.get("key") ?? "")).toBeUndefined();
    expect(await after.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
  });
});

describe("presence", () => {
  const ENDINGS: [what: string, end: (peer: Peer) => void, reason: RegExp][] = [
    ["says BYE", ({ raw }) => raw.send("BYE\n"), /^left$/],
    ["closes", ({ raw }) => raw.close(), /closed|broke/],
    ["half-closes", ({ raw }) => raw.halfClose(), /closed/],
    ["resets", ({ raw }) => void raw.socket.resetAndDestroy(), /\S/],
    ["shares nothing any more", ({ raw }) => raw.send("FILES 0 port=1\n"), /stopped sharing/],
    ["breaks the grammar", ({ raw }) => raw.send("\0\n"), /refused/],
  ];
  test.each(ENDINGS)("a peer that %s is gone, with all of its records", async (_, end, reason) => {
    await using house = await House.open();
    const other = await house.join(2001, [REPORT]);
    const peer = await house.join(2002, [NOTES, record("b"), record("c")]);
    expect(await peer.ask(`ADD ${record("p", { more: ";v=2;part=1" })}`)).toBe("OK");
    end(peer);
    const [line] = await house.program.waitFor(/\{"event":"left".*\n/);
    expect(JSON.parse(line)).toMatchObject({ id: peer.id, port: 2002, peers: 1, reason: expect.stringMatching(reason) });
    for (const name of ["notes.txt", "b", "c", "p"]) expect(await other.ask(`SEARCH: ${name}`)).toBe("NOT FOUND");
    expect(await other.ask("FIND notes")).toBe("NOT FOUND");
    expect(await other.ask("LIST")).toBe(`FOUND: 1\n${seen(REPORT, 2001)}`);
    expect(await other.ask("WHO")).toStartWith("PEERS: 1\n");
  });

  // A pulled cable is noticed by the keep-alive probes that the system sends; that takes about 25 s, so here only that they are on.
  test.skipIf(!linux)("is watched by keep-alive from both ends, 15 s after the last byte at the latest", async () => {
    await using house = await House.open();
    const folder = house.stage.folder();
    writeFileSync(join(folder, "notes.txt"), "notes");
    await house.stage.sharing(`${LOOPBACK}:${house.port}`, folder, 1);
    const end = `0100007F:${house.port.toString(16).toUpperCase().padStart(4, "0")}`;
    /** Of each end of an established connection with the tracker: which timer runs, and seconds until it fires. */
    const timers = () =>
      readFileSync("/proc/net/tcp", "utf8")
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        .filter(([, local, remote, state]) => (local === end || remote === end) && state === "01")
        .map(([, , , , , timer = ""]) => ({ which: timer.slice(0, 2), seconds: Number.parseInt(timer.slice(3), 16) / 100 }));
    // While something that was sent is not acknowledged another timer runs.
    let seen = timers();
    while (seen.length !== 2 || seen.some(({ which }) => which !== "02")) {
      await Bun.sleep(20);
      seen = timers();
    }
    expect(seen).toHaveLength(2);
    for (const { which, seconds } of seen) {
      expect(which).toBe("02");
      expect(seconds).toBeLessThanOrEqual(15.1);
    }
  });
});
