// One connection to the tracker: bytes in any pieces, its presence, refusals, deadlines, and its turns.

import { describe, expect, test } from "bun:test";
import { HandClock, settle } from "../helpers/channel.ts";
import { files } from "../helpers/guests.ts";
import type { Raw } from "../helpers/raw.ts";
import {
  MemoryTracker,
  NOTES,
  NOTES_SEEN,
  OLD_REPORT,
  OLD_REPORT_FOUND,
  oldRecords,
  REPORT,
  REPORT_SEEN,
  THEN,
} from "../helpers/tracker.ts";

const SCRIPT = `HELLO FT/2 agent=test/1
FILES 2 port=40123
${REPORT}
<Größe %25.txt,text/plain,5,01/02/03,10.0.0.1,1>
PING
SEARCH: Größe %25.txt
SEARCH: absent.txt
KNOWN 127.0.0.1
KNOWN 203.0.113.1
ADD <third.txt,data,0,01/01/00,1.2.3.4,9>
LIST offset=2 limit=1
DROP third.txt
DROP third.txt
DROP Größe %25.txt
DROP report.pdf
FROBNICATE
WHO
BYE
`;

const SCRIPT_ANSWERS = `HI FT/2 name=Lab%203 max=5 key=KEY you=127.0.0.1
WELCOME id=ID pass=PASS peers=1 files=2
PONG
FOUND: 1
<Größe %25.txt,text/plain,5,01/02/03,127.0.0.1,40123>
NOT FOUND
YES
NO
OK
FOUND: 1
<third.txt,data,0,01/01/00,127.0.0.1,40123>
OK
NOT FOUND
OK
ERROR last-file WORDS
ERROR unknown-verb WORDS
PEERS: 1
id=ID address=127.0.0.1 port=40123 files=1 bytes=48213 agent=test/1 since=2023-11-14T22:13:20.000Z
BYE
`;

/** An answer with what is random in it replaced. */
function plain(answer: string): string {
  return answer
    .replace(/ key=\S+/, " key=KEY")
    .replace(/\bid=\S+/g, "id=ID")
    .replace(/ pass=\S+/, " pass=PASS")
    .replace(/^(ERROR \S+) .+$/gm, "$1 WORDS");
}

/** Says a script in pieces that arrive one by one. */
async function sayCut(guest: Raw, pieces: Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    guest.send(piece);
  }
}

/** Every way to cut a script in two, the script in one piece, and byte by byte. */
function cutsOf(script: string): Uint8Array[][] {
  const bytes = Buffer.from(script);
  const inTwo = Array.from({ length: bytes.length - 1 }, (_, i) => [bytes.subarray(0, i + 1), bytes.subarray(i + 1)]);
  return [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte)), ...inTwo];
}

/** Does something with each, some at a time. */
async function each<T, R>(items: T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += 50) results.push(...(await Promise.all(items.slice(i, i + 50).map(act))));
  return results;
}

// The clock stands still here: on a busy machine 50 ms could pass between two pieces, and that would end an FT/1 message.
describe("cut at every byte boundary, byte by byte and in one piece", () => {
  test("an FT/2 session gets the same answers in the same order", async () => {
    const answers = await each(cutsOf(SCRIPT), async (pieces) => {
      await using house = new MemoryTracker([], new HandClock(THEN));
      const guest = await house.connect();
      await sayCut(guest, pieces);
      return plain(await guest.replies());
    });
    expect(answers).toHaveLength(Buffer.byteLength(SCRIPT) + 1);
    expect([...new Set(answers)]).toEqual([SCRIPT_ANSWERS]);
  });

  for (const [how, list] of [
    ["with newlines", `${OLD_REPORT}\n<Größe, 1.txt,data,5,01/02/03,10.0.0.1,5001>\n`],
    ["without newlines", `${OLD_REPORT}<Größe, 1.txt,data,5,01/02/03,10.0.0.1,5001>`],
  ] as const) {
    test(`an FT/1 registration ${how} is the same registration`, async () => {
      const answers = await each(cutsOf(`HELLO${list}`), async (pieces) => {
        await using house = new MemoryTracker();
        const guest = await house.connect();
        await sayCut(guest, pieces);
        guest.halfClose();
        const answer = (await guest.rest()).toString();
        const found = [await house.exchangeAndShut("SEARCH: report.pdf"), await house.exchangeAndShut("SEARCH: Größe, 1.txt")];
        return [answer, ...found].join("|");
      });
      expect([...new Set(answers)]).toEqual([`HI|${OLD_REPORT_FOUND}|FOUND: <data,5,01/02/03,127.0.0.1,5001>\n`]);
    });
  }

  test("FT/1 searches and BYE are the same searches and the same BYE", async () => {
    await using house = new MemoryTracker(["--max-per-address", "1000"]);
    const say = async (pieces: Uint8Array[]) => {
      const guest = await house.connect();
      await sayCut(guest, pieces);
      guest.halfClose();
      return (await guest.rest()).toString();
    };
    await house.register("<Größe, 1.txt,data,5,01/02/03,10.0.0.1,5001>\n");
    const found = "FOUND: <data,5,01/02/03,127.0.0.1,5001>\n";
    expect([...new Set(await each(cutsOf("SEARCH: Größe, 1.txt"), say))]).toEqual([found]);
    expect([...new Set(await each(cutsOf("SEARCH Größe, 1.txt\r\n"), say))]).toEqual([found]);
    expect([...new Set(await each(cutsOf("SEARCH: Größe, 2.txt\n"), say))]).toEqual(["NOT FOUND"]);
    for (const pieces of cutsOf("BYE")) {
      expect(await say(pieces)).toBe("");
      expect(await house.exchangeAndShut("SEARCH: Größe, 1.txt")).toBe("");
      await house.register("<Größe, 1.txt,data,5,01/02/03,10.0.0.1,5001>\n");
    }
  });

  test("an FT/1 list with one file too many is refused whole, also when its records name two ports", async () => {
    const list = [...oldRecords(3, 5001), ...oldRecords(3, 5002)].join("\n");
    const outcomes = await each(cutsOf(`HELLO${list}\n`), async (pieces) => {
      await using house = new MemoryTracker();
      const guest = await house.connect();
      await sayCut(guest, pieces);
      guest.halfClose();
      const answer = (await guest.rest()).toString();
      return [answer, await house.exchangeAndShut("SEARCH: file 0.txt")].join("|");
    });
    expect([...new Set(outcomes)]).toEqual(["HI|"]);
  });
});

describe("FT/2: a first line that is held up on its way", () => {
  test("is still FT/2, wherever it was cut: no FT/1 message begins like it", async () => {
    const line = "HELLO FT/2 agent=test/1\n";
    const cuts = Array.from({ length: line.length - 1 }, (_, i) => i + 1);
    const accepted: number[] = [];
    for (const cut of cuts) {
      await using house = new MemoryTracker();
      const guest = await house.connect();
      guest.send(line.slice(0, cut));
      await house.pass(1_000);
      guest.send(`${line.slice(cut)}${files(40123, NOTES)}BYE\n`);
      if (/^HI FT\/2 [^\n]+\nWELCOME [^\n]+\nBYE\n$/.test(await guest.replies())) accepted.push(cut);
    }
    expect(accepted).toEqual(cuts);
  });
});

describe("FT/2: the connection is the peer's presence", () => {
  const ways: [string, (raw: Raw) => void][] = [
    ["closed", (raw) => raw.close()],
    ["half-closed", (raw) => raw.halfClose()],
    ["reset", (raw) => raw.socket.resetAndDestroy()],
  ];
  for (const [how, leave] of ways) {
    test(`${how}, its records are gone at once`, async () => {
      await using house = new MemoryTracker();
      const other = await house.join([REPORT]);
      const peer = await house.join([NOTES]);
      expect(await other.ask("SEARCH: notes.txt")).toStartWith("FOUND: 1\n");
      leave(peer.raw);
      expect(await house.event("left")).toMatchObject({ id: peer.id, port: 40123, peers: 1 });
      expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
      expect(await other.ask("WHO")).toStartWith("PEERS: 1\n");
      expect(house.all("left")).toHaveLength(1);
    });
  }

  test("half-closed with requests that still wait for their turn, its records are gone before those are answered", async () => {
    await using house = new MemoryTracker();
    const other = await house.join([REPORT]);
    const peer = await house.join([NOTES]);
    peer.raw.send("PING\n".repeat(230));
    peer.raw.halfClose();
    await house.event("left");
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
    expect(peer.raw.ended).toBe(false);
  });

  test("BYE is answered with BYE and a close, and its records are gone", async () => {
    await using house = new MemoryTracker();
    const other = await house.join([REPORT]);
    const peer = await house.join([NOTES]);
    peer.raw.send("BYE\nPING\n");
    expect(await peer.raw.replies()).toBe("BYE\n");
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
    expect(house.all("left")).toHaveLength(1);
  });

  test("who pings every 45 s stays for hours; who is silent for 90 s is gone", async () => {
    await using house = new MemoryTracker();
    const steady = await house.join([REPORT]);
    for (let i = 0; i < 40; i += 1) {
      await house.pass(45_000);
      expect(await steady.ask("PING")).toBe("PONG");
    }
    const silent = await house.join([NOTES]);
    await house.pass(45_000);
    expect(await steady.ask("PING")).toBe("PONG");
    await house.pass(44_000);
    expect(await steady.ask("SEARCH: notes.txt")).toStartWith("FOUND: 1\n");
    await house.pass(2_000);
    expect(await house.event("left")).toMatchObject({ id: silent.id });
    expect(await steady.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
    expect(await silent.raw.replies()).toBe("");
  });

  test("one byte is a sign of life, too", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join();
    await house.pass(80_000);
    peer.raw.send("P");
    await house.pass(80_000);
    peer.raw.send("ING\n");
    expect(await peer.raw.reply()).toBe("PONG");
  });
});

describe("a line that breaks the grammar or a limit is told why, then the connection is closed", () => {
  const offences: [string, string | Uint8Array, string][] = [
    ["FILES -1", "FILES -1 port=1\n", "bad-number"],
    ["FILES 1.5", "FILES 1.5 port=1\n", "bad-number"],
    ["FILES 1e1", "FILES 1e1 port=1\n", "bad-number"],
    ["FILES 01", "FILES 01 port=1\n", "bad-number"],
    ["FILES 2^53 + 1", "FILES 9007199254740993 port=1\n", ""],
    ["FILES without a number", "FILES port=1\n", "bad-number"],
    ["FILES without a port", `FILES 1\n${NOTES}\n`, "bad-port"],
    ["port 0", `FILES 1 port=0\n${NOTES}\n`, "bad-port"],
    ["port 70000", `FILES 1 port=70000\n${NOTES}\n`, "bad-port"],
    ["a negative port", `FILES 1 port=-1\n${NOTES}\n`, "bad-port"],
    ["a record with port 0", "FILES 1 port=1\n<a,data,1,01/02/03,10.0.0.1,0>\n", "bad-port"],
    ["a record without brackets", "ADD a,data,1,01/02/03,10.0.0.1,1\n", "bad-record"],
    ["a line of another kind among the records", `FILES 2 port=1\n${NOTES}\nPING\n`, "bad-record"],
    ["an escape that is none", "SEARCH: 100%\n", "bad-escape"],
    ["an escape that is not UTF-8", "SEARCH: %ff%fe\n", "bad-escape"],
    ["an escaped NUL in a name", "SEARCH: a%00b\n", "bad-name"],
    ["an empty name", "SEARCH: \n", "bad-name"],
    ["a name of 256 bytes", `SEARCH: ${"ü".repeat(128)}\n`, "bad-name"],
    ["a negative offset", "LIST offset=-1\n", "bad-number"],
    ["a limit with an exponent", "WHO limit=1e3\n", "bad-number"],
    ["an offset above 2^53", "LIST offset=9007199254740993\n", "bad-number"],
    ["an address that is none", "KNOWN nowhere\n", "bad-address"],
    ["an address with a port", "KNOWN 127.0.0.1:80\n", "bad-address"],
    ["a second HELLO", "HELLO FT/2 agent=again\n", "unexpected"],
    ["CONNECT without anything", "CONNECT\n", "bad-line"],
    ["CONNECT without an address", "CONNECT port=5 token=t\n", "bad-line"],
    ["CONNECT without a port", "CONNECT address=10.0.0.1 token=t\n", "bad-line"],
    ["CONNECT without a token", "CONNECT address=10.0.0.1 port=5\n", "bad-line"],
    ["CONNECT to a name", "CONNECT address=localhost port=5 token=t\n", "bad-address"],
    ["CONNECT to an endpoint", "CONNECT address=10.0.0.1:5 port=5 token=t\n", "bad-address"],
    ["CONNECT to port 0", "CONNECT address=10.0.0.1 port=0 token=t\n", "bad-port"],
    ["CONNECT to port 65536", "CONNECT address=10.0.0.1 port=65536 token=t\n", "bad-port"],
    ["CONNECT to a negative port", "CONNECT address=10.0.0.1 port=-5 token=t\n", "bad-port"],
    ["CONNECT with an empty token", "CONNECT address=10.0.0.1 port=5 token=\n", "bad-token"],
    ["CONNECT with a token of 65 letters", `CONNECT address=10.0.0.1 port=5 token=${"x".repeat(65)}\n`, "bad-token"],
    ["CONNECT with a token that is a line of its own", "CONNECT address=10.0.0.1 port=5 token=t%0ABYE\n", "bad-token"],
    ["CONNECT with a token that says more", "CONNECT address=10.0.0.1 port=5 token=t%20address=6.6.6.6\n", "bad-token"],
    ["CONNECT with a token that is not ASCII", "CONNECT address=10.0.0.1 port=5 token=ü\n", "bad-token"],
    ["a NUL", "PING\0\n", "bad-line"],
    ["an escape sequence", "SEARCH: \x1b[2J\n", "bad-line"],
    [
      "bytes that are not UTF-8",
      Uint8Array.of(0x53, 0x45, 0x41, 0x52, 0x43, 0x48, 0x3a, 0x20, 0xff, 0xfe, 0x0a),
      "bad-encoding",
    ],
    ["a line of 4097 bytes", `WHO x=${"y".repeat(4090)}\n`, "line-too-long"],
    ["an endless line", "x".repeat(5000), "line-too-long"],
  ];
  for (const [what, bytes, code] of offences) {
    test(`${what}`, async () => {
      await using house = new MemoryTracker();
      const other = await house.join([REPORT]);
      const peer = await house.join([NOTES]);
      peer.raw.send(bytes);
      // Whatever follows is not looked at any more.
      peer.raw.send("PING\nSEARCH: report.pdf\n");
      const answer = await peer.raw.replies();
      expect(answer).toMatch(/^ERROR [a-z-]+ \S[^\n]+\n$/);
      if (code !== "") expect(answer).toStartWith(`ERROR ${code} `);
      // The offender is gone, and nobody else has noticed.
      expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
      expect(await other.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN}`);
      expect(house.all("refused")).toHaveLength(1);
      expect(house.all("left")).toHaveLength(1);
    });
  }

  test("but what is just within the limits is served: a line of 4096 bytes, a name of 255", async () => {
    await using house = new MemoryTracker();
    const name = `${"ü".repeat(127)}y`;
    const peer = await house.join([`<${name},data,9007199254740991,01/02/03,10.0.0.1,65535>`], { port: 65535 });
    expect(await peer.ask(`WHO x=${"y".repeat(4089)}`)).toStartWith("PEERS: 1\n");
    expect(await peer.ask(`SEARCH: ${name}`)).toBe(`FOUND: 1\n<${name},data,9007199254740991,01/02/03,127.0.0.1,65535>`);
  });
});

describe("a record with a value that the tracker does not take is refused alone", () => {
  const unfit: [string, string, string][] = [
    ["a record with a negative size", "ADD <a,data,-1,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record with a fraction of a byte", "ADD <a,data,1.5,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record with an exponent", "ADD <a,data,1e9,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record with a leading zero", "ADD <a,data,010,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record above 2^53", "ADD <a,data,9007199254740993,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record with seven fields", "ADD <a,b,data,1,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a root that is none", "ADD <a,data,1,01/02/03,10.0.0.1,1;root=abc>\n", "bad-record"],
    ["an mtime that is none", "ADD <a,data,1,01/02/03,10.0.0.1,1;mtime=yesterday>\n", "bad-record"],
    ["a name of 256 bytes", `ADD <${"x".repeat(256)},data,1,01/02/03,10.0.0.1,1>\n`, "bad-name"],
  ];
  test.each(unfit)("%s: the connection and the other files go on", async (_, bytes, code) => {
    await using house = new MemoryTracker();
    const other = await house.join([REPORT]);
    const peer = await house.join([NOTES]);
    expect(await peer.ask(bytes.trimEnd())).toStartWith(`ERROR ${code} `);
    expect(await peer.ask("PING")).toBe("PONG");
    expect(await other.ask("SEARCH: notes.txt")).toStartWith("FOUND: 1\n");
    expect(house.all("left")).toEqual([]);
  });
});

describe("strangers that speak something else", () => {
  const hello = Buffer.from("16030100c8010000c40303", "hex");
  const strangers: [string, string | Uint8Array][] = [
    ["HTTP", "GET / HTTP/1.1\r\nHost: tracker\r\n\r\n"],
    ["TLS", Buffer.concat([hello, Buffer.alloc(189, 7)])],
    ["SSH", "SSH-2.0-OpenSSH_9.9\r\n"],
    ["NUL", new Uint8Array(64)],
    ["bytes that are not UTF-8", Buffer.alloc(64, 0xff)],
    [
      "a search for bytes that are not UTF-8",
      Buffer.concat([Buffer.from("SEARCH: "), Buffer.alloc(8, 0xfe), Buffer.from("\n")]),
    ],
    ["an endless search", `SEARCH: ${"x".repeat(9000)}`],
    ["an endless record", `<${"x".repeat(9000)}`],
    ["an endless HELLO FT/2", `HELLO FT/2 ${"x".repeat(9000)}`],
    ["words after HELLO", "HELLO there, tracker\n"],
  ];
  for (const [what, bytes] of strangers) {
    test(`${what}: closed at once, said in one event, and the next is served`, async () => {
      await using house = new MemoryTracker();
      const guest = await house.connect();
      guest.send(bytes);
      const answer = (await guest.rest()).toString();
      // Who came with HELLO had its HI; a line in FT/2 is refused in words; nobody else is told anything.
      expect(answer).toMatch(/^(?:HI)?(?:ERROR [^\n]+\n)?$/);
      expect(house.all("refused")).toHaveLength(1);
      expect(house.all("refused")[0]?.reason).toMatch(/\S/);
      const peer = await house.join();
      expect(await peer.ask("PING")).toBe("PONG");
    });
  }

  test("one that sends for as long as it is let is stopped at the limit", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("<");
    const chunk = Buffer.alloc(64 * 1024, "x");
    const flood = setInterval(() => guest.send(chunk), 1);
    expect((await guest.rest()).toString()).toBe("");
    clearInterval(flood);
    expect(house.all("refused")).toMatchObject([{ code: "line-too-long" }]);
  });
});

describe("a connection that does not come to the point is closed 10 s after it was made", () => {
  const tactics: [string, string, string][] = [
    ["says nothing", "", ""],
    ["sends its first line byte by byte", "", "HELLO FT/"],
    ["sends an FT/2 HELLO byte by byte", "HELLO FT/2 agent=", "abcdefghi"],
    ["sends an FT/1 record byte by byte", "<", "abcdefghi"],
    ["says HELLO and then sends a record byte by byte", "HELLO<", "abcdefghi"],
    ["greets and sends its list byte by byte", "HELLO FT/2 agent=x\nFILES 1 port=1\n<", "abcdefghi"],
    ["greets and then sends empty lines", "HELLO\n", "\n\n\n\n\n\n\n\n\n"],
    ["greets, is heard no more", "HELLO FT/2 agent=x\n", ""],
  ];
  for (const [what, first, drip] of tactics) {
    test(`which ${what}`, async () => {
      await using house = new MemoryTracker();
      const guest = await house.connect();
      guest.send(first);
      for (let second = 0; second < 9; second += 1) {
        await house.pass(1_000);
        guest.send(drip.slice(second, second + 1));
      }
      await house.pass(500);
      expect(guest.ended).toBe(false);
      await house.pass(1_000);
      await guest.rest();
      expect(house.all("joined")).toEqual([]);
      expect(house.all("refused")).toHaveLength(1);
    });
  }

  test("which asks without ever sharing", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=x\n");
    await guest.line();
    for (let second = 0; second < 9; second += 1) {
      guest.send("PING\n");
      await house.pass(1_000);
    }
    expect(guest.ended).toBe(false);
    await house.pass(1_500);
    expect((await guest.rest()).toString()).toBe("");
  });

  test("but one that was accepted in time stays", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    await house.pass(9_000);
    guest.send(`HELLO FT/2 agent=x\n${files(40123, NOTES)}`);
    await guest.line();
    await guest.line();
    await house.pass(20_000);
    guest.send("PING\n");
    expect(await guest.reply()).toBe("PONG");
  });
});

describe("too much", () => {
  test("requests are answered 200 at once, then 50 a second, in order", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES]);
    // HELLO and the list were requests, too. So 198 requests are answered now, and 22 have to wait for their turn.
    peer.raw.send(`${"PING\nSEARCH: notes.txt\n".repeat(109)}KNOWN 127.0.0.1\nKNOWN 203.0.113.1\n`);
    const answered = () => peer.raw.waiting.toString().match(/^(?:PONG|FOUND: 1|YES|NO)$/gm)?.length ?? 0;
    await settle();
    expect(answered()).toBe(198);
    await house.pass(200);
    expect(answered()).toBe(208);
    await house.pass(1_000);
    for (let i = 0; i < 109; i += 1) {
      expect(await peer.raw.reply()).toBe("PONG");
      expect(await peer.raw.reply()).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    }
    expect([await peer.raw.reply(), await peer.raw.reply()]).toEqual(["YES", "NO"]);
  });

  test("a guest may make ten requests before its list; the next one ends its connection with a sentence", async () => {
    await using house = new MemoryTracker();
    for (const request of ["PING", "WHO", "LIST limit=2000", "FIND a*b", "FROBNICATE"]) {
      const guest = await house.connect();
      guest.send(`HELLO FT/2 agent=x\n${`${request}\n`.repeat(10)}`);
      await settle();
      expect(guest.ended).toBe(false);
      guest.send(`${request}\n`.repeat(12_000));
      expect(await guest.replies()).toMatch(/^HI FT\/2 [^\n]+\nERROR not-accepted \S[^\n]+\n$/);
    }
    expect(house.all("joined")).toEqual([]);
  });

  test("all connections of a host share the work, guests too, and another host is answered at once", async () => {
    await using house = new MemoryTracker(["--max-files", "500"]);
    const records = Array.from({ length: 500 }, (_, i) => `<f${i},data,1,01/02/03,127.0.0.1,40123>`);
    const six = (i: number) => ({ from: `2001:db8:0:1::${i + 1}`, port: 5000 + i });
    const peers = await Promise.all(Array.from({ length: 20 }, (_, i) => house.join(i === 0 ? records : [NOTES], six(i))));
    for (const { raw } of peers) raw.send("LIST limit=500\n".repeat(100));
    await settle();
    const answered = () => peers.reduce((sum, { raw }) => sum + raw.waiting.toString().split("FOUND").length - 1, 0);
    // An answer is 25 kB, which counts as six requests more. The joins were about 120.
    expect(answered()).toBeWithin(150, 300);
    const late = await house.connect(six(99));
    late.send(`HELLO FT/2 agent=x\n${files(5099, NOTES)}`);
    await settle();
    expect(late.waiting.toString()).toBe("");
    const other = await house.join([NOTES], { from: "2001:db8:0:2::1" });
    expect(await other.ask("LIST limit=500")).toStartWith("FOUND: 500\n");
    const before = answered();
    await house.pass(1000);
    expect(answered() - before).toBeWithin(40, 100);
    expect(await late.line()).toStartWith("HI FT/2 ");
  });

  test("a list of FT/1 counts also when its host is out of work and its connection closes at once", async () => {
    await using house = new MemoryTracker();
    const peers = await Promise.all(Array.from({ length: 20 }, (_, i) => house.join([NOTES], { port: 5000 + i })));
    for (const { raw } of peers) raw.send("PING\n".repeat(200));
    await settle();
    const guest = await house.connect();
    guest.send(`${OLD_REPORT}\n`);
    guest.close();
    await house.pass(1000);
    expect(house.tracker.catalog.basicMembers()).toHaveLength(1);
  });

  test("an agent as long as a line does not make a line of WHO too long", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES], { agent: "<".repeat(3000) });
    const [, line = ""] = (await peer.ask("WHO")).split("\n");
    expect(line).toMatch(/ agent=\S+ since=\S+$/);
    expect(Buffer.byteLength(`${line}\n`)).toBeLessThanOrEqual(4096);
  });
});
