// The requests of downloaders and their answers, byte for byte: FT/2, FT/1, passes, tokens, and hostile requests.

import { afterEach, describe, expect, spyOn, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Channel } from "../../../lib/net/channel.ts";
import { BLOCK } from "../../../lib/peer/content/merkle.ts";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { chooseFiles, Share } from "../../../lib/peer/disk/share.ts";
import type { Address } from "../../../lib/protocol/address.ts";
import { PassOffice, readPass } from "../../../lib/protocol/pass.ts";
import { addressOf, connection, type Far, type Side, settle } from "../../helpers/channel.ts";
import {
  bytesOf,
  DOWNLOADER,
  Hall,
  HELLO,
  KiB,
  layerOf,
  MiB,
  OTHER_ROOT,
  PASS,
  piecesOf,
  ROOT,
} from "../../helpers/serving.ts";

describe("Downloader: a pass that is revoked", () => {
  test("ends the connection of its peer at once, in the middle of a file too, and no other", async () => {
    const watched = new Map<string, (why: string) => void>();
    let ended = 0;
    const hall = new Hall(() => ({
      whenRevoked: (id, act) => {
        watched.set(id, act);
        return () => {
          ended += 1;
        };
      },
    }));
    hall.disk.files.set("big.bin", { bytes: bytesOf(8 * MiB), root: OTHER_ROOT });
    const { near, far } = await hall.welcome();
    const other = await hall.welcome({ ...DOWNLOADER, address: addressOf("192.168.1.99") });
    near.capacity = 64 * KiB;
    far.stopReading();
    far.say(`DOWNLOAD root=${OTHER_ROOT}\n`);
    await settle();
    expect(hall.server.uploads.size).toBe(1);
    watched.get(DOWNLOADER.address)?.("it was disconnected");
    await hall.expectTidy();
    expect([near.closed, other.near.closed, ended]).toEqual([true, false, 1]);
  });
});

describe("Downloader: FT/2, byte for byte", () => {
  test("every way to ask, and nothing but the answer", async () => {
    const cases: [string, string][] = [
      [`DOWNLOAD root=${ROOT} offset=0 length=5`, "FILE: length=5 size=12\nHello"],
      [`DOWNLOAD root=${ROOT}`, "FILE: length=12 size=12\nHello, world"],
      [`DOWNLOAD root=${ROOT.toUpperCase()} offset=7`, "FILE: length=5 size=12\nworld"],
      ["DOWNLOAD name=hello.txt offset=11 length=1", "FILE: length=1 size=12\nd"],
      [`DOWNLOAD name=hello.txt root=${ROOT} offset=4 length=3`, "FILE: length=3 size=12\no, "],
      ["DOWNLOAD name=%68ello.txt length=1 future=yes", "FILE: length=1 size=12\nH"],
      [`DOWNLOAD root=${ROOT} offset=10 length=1000000`, "FILE: length=2 size=12\nld"],
      [`DOWNLOAD root=${ROOT} offset=0 length=9007199254740991`, "FILE: length=12 size=12\nHello, world"],
      [`DOWNLOAD root=${ROOT} offset=12`, "FILE: length=0 size=12\n"],
      [`DOWNLOAD root=${ROOT} offset=0 length=0`, "FILE: length=0 size=12\n"],
      [`DOWNLOAD root=${OTHER_ROOT}`, "NOT FOUND\n"],
      [`DOWNLOAD root=${OTHER_ROOT} name=hello.txt`, "NOT FOUND\n"],
      [`DOWNLOAD root=${ROOT} name=other.txt`, "NOT FOUND\n"],
    ];
    for (const [request, answer] of cases) {
      const hall = new Hall();
      const { far } = hall.connect();
      far.say(`${HELLO}${request}\nBYE\n`);
      expect([request, (await far.rest()).toString()]).toEqual([request, `HI FT/2\n${answer}`]);
      await hall.expectTidy();
      expect(far.closed).toBe(false);
      far.close();
      await settle();
      expect(far.closed).toBe(true);
    }
  });

  test("requests in one piece, or in single bytes, or with CR LF, are answered in their order", async () => {
    const script = `${HELLO}DOWNLOAD root=${ROOT} offset=7\nDOWNLOAD name=nobody.has\nDOWNLOAD root=${ROOT} length=5\nDOWNLOAD root=${ROOT} offset=5 length=2\nBYE\n`;
    const answer = "HI FT/2\nFILE: length=5 size=12\nworldNOT FOUND\nFILE: length=5 size=12\nHelloFILE: length=2 size=12\n, ";
    for (const speak of [
      (far: Far) => far.say(script),
      (far: Far) => far.stutter(script),
      (far: Far) => far.say(script.replaceAll("\n", "\r\n")),
    ]) {
      const hall = new Hall();
      const { far } = hall.connect();
      speak(far);
      expect((await far.rest()).toString()).toBe(answer);
      await hall.expectTidy();
    }
  });

  test("a script cut in two at any byte is the same script", async () => {
    const script = `${HELLO}DOWNLOAD root=${ROOT} offset=7 length=2\nDOWNLOAD name=x\nBYE\n`;
    for (let cut = 1; cut < script.length; cut++) {
      const { far } = new Hall().connect();
      far.say(script.slice(0, cut));
      await settle();
      far.say(script.slice(cut));
      expect([cut, (await far.rest()).toString()]).toEqual([cut, "HI FT/2\nFILE: length=2 size=12\nwoNOT FOUND\n"]);
    }
  });

  test("a half-close right after the last request cuts nothing off", async () => {
    const hall = new Hall();
    hall.disk.files.set("big", { bytes: bytesOf(3 * MiB + 5) });
    const { far } = hall.connect();
    far.say(`${HELLO}DOWNLOAD name=big\nDOWNLOAD name=hello.txt\n`);
    far.halfClose();
    const all = await far.rest();
    const head = `HI FT/2\nFILE: length=${3 * MiB + 5} size=${3 * MiB + 5}\n`;
    expect(all.subarray(head.length, head.length + 3 * MiB + 5).equals(bytesOf(3 * MiB + 5))).toBe(true);
    expect(all.subarray(head.length + 3 * MiB + 5).toString()).toBe("FILE: length=12 size=12\nHello, world");
    await settle();
    expect(far.closed).toBe(true);
    await hall.expectTidy();
  });

  test("a thousand requests at once are all answered, few of them held in memory", async () => {
    const hall = new Hall();
    const { far, near } = hall.connect();
    const requests = Array.from({ length: 1000 }, (_, i) => `DOWNLOAD root=${ROOT} offset=${i % 12} length=1\n`);
    far.say(`${HELLO}${requests.join("")}BYE\n`);
    const answers = (await far.rest()).toString();
    const expected = Array.from({ length: 1000 }, (_, i) => `FILE: length=1 size=12\n${"Hello, world"[i % 12]}`).join("");
    expect(answers).toBe(`HI FT/2\n${expected}`);
    expect(near.pauses).toBeGreaterThan(0);
    await hall.expectTidy();
  });

  test("an empty file", async () => {
    const hall = new Hall();
    hall.disk.files.set("empty", { bytes: new Uint8Array(0) });
    const { far } = await hall.welcome();
    far.say("DOWNLOAD name=empty offset=0\nDOWNLOAD name=empty offset=1\nBYE\n");
    expect(await far.line()).toBe("FILE: length=0 size=0");
    expect(await far.line()).toMatch(/^ERROR bad-range /);
    await hall.expectTidy();
  });

  test("beyond the end is an error of that request only", async () => {
    const hall = new Hall();
    const { far } = await hall.welcome();
    far.say(`DOWNLOAD root=${ROOT} offset=13\nDOWNLOAD root=${ROOT} offset=11\nBYE\n`);
    expect(await far.line()).toMatch(/^ERROR bad-range \S/);
    expect((await far.rest()).toString()).toBe("FILE: length=1 size=12\nd");
    await hall.expectTidy();
  });

  test("an unknown request is said so, and the next one is served", async () => {
    const hall = new Hall();
    const { far } = await hall.welcome();
    far.say(`TEACH me\nDOWNLOAD root=${ROOT} length=1\nBYE\n`);
    expect(await far.line()).toMatch(/^ERROR unknown-verb \S/);
    expect((await far.rest()).toString()).toBe("FILE: length=1 size=12\nH");
  });

  test("what comes after BYE is not answered", async () => {
    const hall = new Hall();
    const { far } = await hall.welcome();
    far.say(`BYE\nDOWNLOAD root=${ROOT}\n`);
    expect((await far.rest()).length).toBe(0);
    expect(hall.disk.opened).toBe(0);
  });
});

describe("Downloader: FT/1, byte for byte", () => {
  test("DOWNLOAD: with name, type and size, then a half-close", async () => {
    const hall = new Hall();
    const { far } = hall.connect();
    far.say("DOWNLOAD:hello.txt,text/plain,12");
    far.halfClose();
    expect((await far.rest()).toString()).toBe("FILE:Hello, world");
    await settle();
    expect(far.closed).toBe(true);
    await hall.expectTidy();
  });

  test("the written specification's DOWNLOAD name is answered with a space", async () => {
    const { far } = new Hall().connect();
    far.say("DOWNLOAD hello.txt\n");
    expect((await far.rest()).toString()).toBe("FILE: Hello, world");
  });

  test("without newline or half-close, 50 ms of silence end the request", async () => {
    const hall = new Hall();
    const { far } = hall.connect();
    far.say("DOWNLOAD:hello.txt,text/plain,12");
    await hall.clock.pass(49);
    expect(far.waiting.length).toBe(0);
    await hall.clock.pass(1);
    expect((await far.rest()).toString()).toBe("FILE:Hello, world");
  });

  test("the request may be cut at any byte", async () => {
    const request = "DOWNLOAD:hello.txt,text/plain,12";
    const answers = Array.from({ length: request.length - 1 }, async (_, i) => {
      const hall = new Hall();
      const { far } = hall.connect();
      far.say(request.slice(0, i + 1));
      await hall.clock.pass(49);
      far.say(request.slice(i + 1));
      await hall.clock.pass(50);
      return (await far.rest()).toString();
    });
    expect(new Set(await Promise.all(answers))).toEqual(new Set(["FILE:Hello, world"]));
  });

  test("a name with commas in it, and a size that does not fit", async () => {
    const hall = new Hall();
    hall.disk.files.set("a,b,c.txt", { bytes: new TextEncoder().encode("abc") });
    const ask = async (request: string) => {
      const { far } = hall.connect();
      far.say(`${request}\n`);
      return (await far.rest()).toString();
    };
    expect(await ask("DOWNLOAD:a,b,c.txt,data,3")).toBe("FILE:abc");
    expect(await ask("DOWNLOAD:a,b,c.txt,data,4")).toBe("NOT FOUND");
    expect(await ask("DOWNLOAD:hello.txt,application/whatever,12")).toBe("FILE:Hello, world");
    expect(await ask("DOWNLOAD:hello.txt,text/plain,-12")).toBe("");
    expect(await ask("DOWNLOAD:hello.txt")).toBe("");
    await hall.expectTidy();
  });

  test("a request that arrived, and ended, before anybody looked is served", async () => {
    const hall = new Hall();
    const { near, far } = connection(DOWNLOADER, hall.clock);
    far.say("DOWNLOAD:hello.txt,text/plain,12");
    far.halfClose();
    await settle();
    hall.server.accept(near);
    expect((await far.rest()).toString()).toBe("FILE:Hello, world");
  });

  test("an empty file is FILE: and the end", async () => {
    const hall = new Hall();
    hall.disk.files.set("empty", { bytes: new Uint8Array(0) });
    const { far } = hall.connect();
    far.say("DOWNLOAD:empty,data,0\n");
    expect((await far.rest()).toString()).toBe("FILE:");
    await hall.expectTidy();
  });

  test("one request is served; what else is said is thrown away", async () => {
    const hall = new Hall();
    const { far } = hall.connect();
    far.say("DOWNLOAD hello.txt\nDOWNLOAD hello.txt\nBYE\nrubbish");
    expect((await far.rest()).toString()).toBe("FILE: Hello, world");
    expect(hall.disk.opened).toBe(1);
  });
});

describe("Downloader: passes, and what the tracker knows", () => {
  test.each([
    ["no pass at all", "HELLO FT/2\n"],
    ["an empty pass", "HELLO FT/2 pass=\n"],
    ["a wrong pass", "HELLO FT/2 pass=bad.pass\n"],
    ["no HELLO", ""],
  ])("with %s not one byte of a file goes out", async (_what, hello) => {
    const hall = new Hall();
    hall.known = async () => false;
    const { far } = hall.connect();
    far.say(`${hello}DOWNLOAD root=${ROOT} offset=0\nDOWNLOAD name=hello.txt\n`);
    // Without HELLO it is a request of the basic profile, which gets no answer at all.
    expect((await far.rest()).toString()).toMatch(hello === "" ? /^$/ : /^ERROR not-accepted \S.*\n$/);
    expect(hall.disk.asked).toEqual([]);
    await hall.expectTidy();
    far.close();
    await settle();
    expect(far.closed).toBe(true);
  });

  test("real passes: only one of this tracker, for this address, that has not expired", async () => {
    const office = new PassOffice();
    const stranger = new PassOffice();
    const expires = 2_000_000_000;
    const good = office.issue({ id: "p9", address: DOWNLOADER.address, expires });
    const forged = stranger.issue({ id: "p9", address: DOWNLOADER.address, expires });
    const expired = office.issue({ id: "p9", address: DOWNLOADER.address, expires: 1_000_000_000 });
    const borrowed = office.issue({ id: "p8", address: addressOf("192.168.1.31"), expires });
    const [payload, signature] = good.split(".");
    const longer = Buffer.from(`p9 ${DOWNLOADER.address} ${expires + 9}`).toString("base64url");
    const passes: [string, string][] = [
      ["forged", forged],
      ["expired", expired],
      ["borrowed", borrowed],
      ["prolonged", `${longer}.${signature}`],
      ["unsigned", `${payload}.`],
      ["cut", good.slice(0, -2)],
      ["doubled", `${good}.${signature}`],
    ];
    const hall = new Hall();
    hall.refusePass = (text, from) => {
      const pass = readPass(text, office.key);
      if (pass === undefined) return "It is not this tracker's.";
      if (pass.expires < 1_900_000_000) return "It has expired.";
      return pass.address === from ? undefined : "It is for another address.";
    };
    for (const [what, pass] of passes) {
      const { far } = hall.connect();
      far.say(`HELLO FT/2 pass=${pass}\nDOWNLOAD root=${ROOT}\n`);
      expect([what, (await far.rest()).toString()]).toEqual([what, expect.stringMatching(/^ERROR not-accepted [^\n]+\n$/)]);
    }
    expect(hall.disk.opened).toBe(0);
    expect(hall.events).toHaveLength(passes.length);
    const { far } = hall.connect();
    far.say(`HELLO FT/2 pass=${good}\nDOWNLOAD root=${ROOT} length=1\nBYE\n`);
    expect((await far.rest()).toString()).toBe("HI FT/2\nFILE: length=1 size=12\nH");
  });

  test("the pass is held against the address that the connection comes from", async () => {
    const hall = new Hall();
    const from: Address[] = [];
    hall.refusePass = (_pass, address) => {
      from.push(address);
      return undefined;
    };
    await hall.welcome({ address: addressOf("2001:db8::7"), port: 1 });
    expect(from).toEqual([addressOf("2001:db8::7")]);
  });

  test("FT/1: only addresses that the tracker knows are served; others get nothing at all", async () => {
    for (const known of [async () => false, () => Promise.reject(new Error("the tracker is away"))]) {
      const hall = new Hall();
      const from: Address[] = [];
      hall.known = (address) => {
        from.push(address);
        return known();
      };
      const { far } = hall.connect();
      far.say("DOWNLOAD:hello.txt,text/plain,12");
      far.halfClose();
      expect((await far.rest()).length).toBe(0);
      expect(from).toEqual([DOWNLOADER.address]);
      expect(hall.disk.opened).toBe(0);
      expect(hall.events).toMatchObject([{ event: "download-refused", address: "192.168.1.30" }]);
      await settle();
      expect(far.closed).toBe(true);
    }
  });

  test("one refused downloader does not disturb another", async () => {
    const hall = new Hall();
    const { far: accepted } = await hall.welcome();
    const { far: refused } = hall.connect();
    refused.say("HELLO FT/2 pass=bad\n");
    await refused.rest();
    accepted.say(`DOWNLOAD root=${ROOT} length=1\n`);
    expect(await accepted.line()).toBe("FILE: length=1 size=12");
  });
});

describe("Downloader: hostile requests", () => {
  let folder: string | undefined;
  afterEach(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    folder = undefined;
  });

  const NAMES = [
    "../secret.txt",
    "../../../../../../etc/passwd",
    "/etc/passwd",
    "..\\",
    "..\\secret.txt",
    "%2e%2e",
    "%2e%2e%2fsecret.txt",
    "C:\\",
    "C:\\Windows\\win.ini",
    "\\\\server\\share\\x",
    "report.txt:stream",
    "\0",
    "report.txt\0",
    "report.txt\0.jpg",
    "NUL",
    "",
    ".",
    "..",
    "./report.txt",
    "report.txt/",
    "report.txt/.",
    "sub/../report.txt",
    "REPORT.TXT",
    "report.txt.",
    "*",
    "~",
    "-rf",
    "\u202ereport.txt",
    "hidden.txt",
    ".env",
    "sub",
    "sub/inner.txt",
    "nobody.has",
    "x".repeat(300),
  ];

  function sharedFolder(more: { root?: string } = {}): Hall {
    folder = mkdtempSync(join(tmpdir(), "ft-serve-"));
    const shared = join(folder, "shared");
    mkdirSync(join(shared, "sub"), { recursive: true });
    writeFileSync(join(folder, "secret.txt"), "secret");
    writeFileSync(join(shared, "report.txt"), "report");
    writeFileSync(join(shared, "hidden.txt"), "not on the list");
    writeFileSync(join(shared, ".env"), "hidden");
    writeFileSync(join(shared, "sub", "inner.txt"), "inner");
    const share = new Share(chooseFiles([join(shared, "report.txt")], 5).taken);
    for (const file of share.files) Object.assign(file, more);
    const hall = new Hall();
    hall.disk.open = (wanted) => {
      const found = share.find(wanted);
      const file = found === undefined ? undefined : share.open(found);
      return found === undefined || file === undefined ? undefined : { name: found.name, file };
    };
    return hall;
  }

  const escaped = (name: string) => Array.from(Buffer.from(name), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");

  test("FT/2: whatever name is asked for, what is not on the list is NOT FOUND, the same for all", async () => {
    const hall = sharedFolder();
    const answers = new Map<string, string>();
    for (const name of NAMES) {
      const { far } = hall.connect();
      far.say(`${HELLO}DOWNLOAD name=${escaped(name)} offset=0\nDOWNLOAD name=report.txt\nBYE\n`);
      answers.set(name, (await far.rest()).toString());
    }
    expect(Object.fromEntries(answers)).toEqual(
      Object.fromEntries(NAMES.map((name) => [name, "HI FT/2\nNOT FOUND\nFILE: length=6 size=6\nreport"])),
    );
  });

  test.each([
    ["another file of the same size and time", (path: string, secret: string) => renameSync(secret, path)],
    ["a link to another file", (path: string, secret: string) => symlinkSync(secret, path)],
  ])(
    "a shared file that was exchanged for %s is NOT FOUND, by name and by content id, in both protocols",
    async (_what, put) => {
      const hall = sharedFolder({ root: ROOT });
      const path = join(folder ?? "", "shared", "report.txt");
      const { atime, mtime } = statSync(path);
      utimesSync(join(folder ?? "", "secret.txt"), atime, mtime);
      unlinkSync(path);
      put(path, join(folder ?? "", "secret.txt"));
      const { far } = hall.connect();
      far.say(`${HELLO}DOWNLOAD name=report.txt\nDOWNLOAD root=${ROOT}\nBYE\n`);
      expect((await far.rest()).toString()).toBe("HI FT/2\nNOT FOUND\nNOT FOUND\n");
      const { far: old } = hall.connect();
      old.say("DOWNLOAD:report.txt,text/plain,6\n");
      expect((await old.rest()).toString()).toBe("NOT FOUND");
    },
  );

  test("FT/1: the same", async () => {
    const hall = sharedFolder();
    const asked = NAMES.map(async (name) => {
      const { far } = hall.connect();
      far.say(`DOWNLOAD:${name},text/plain,6`);
      far.halfClose();
      return [name, (await far.rest()).toString()];
    });
    expect(await Promise.all(asked)).toEqual(NAMES.map((name) => [name, "NOT FOUND"]));
    const { far } = hall.connect();
    far.say("DOWNLOAD:report.txt,text/plain,6\n");
    expect((await far.rest()).toString()).toBe("FILE:report");
  });

  const BREAKS: [string, string | Uint8Array][] = [
    ["an endless line", "DOWNLOAD name=".padEnd(5000, "x")],
    ["a line of 5000 bytes", `${"x".repeat(5000)}\n`],
    ["a NUL in a line", "DOWNLOAD name=a\0b\n"],
    ["an escape code", "DOWNLOAD name=\u001b[2J\n"],
    ["bytes that are not UTF-8", Uint8Array.of(0x44, 0xff, 0xfe, 10)],
    ["a stray percent sign", "DOWNLOAD name=100%\n"],
    ["half a character", "DOWNLOAD name=%C3\n"],
    ["a negative offset", `DOWNLOAD root=${ROOT} offset=-1\n`],
    ["a fraction", `DOWNLOAD root=${ROOT} offset=1.5\n`],
    ["an exponent", `DOWNLOAD root=${ROOT} offset=1e3\n`],
    ["a leading zero", `DOWNLOAD root=${ROOT} offset=01\n`],
    ["hexadecimal", `DOWNLOAD root=${ROOT} offset=0x1\n`],
    ["more than 2^53", `DOWNLOAD root=${ROOT} length=9007199254740993\n`],
    ["an empty number", `DOWNLOAD root=${ROOT} length=\n`],
    ["a root that is none", "DOWNLOAD root=../etc/passwd\n"],
    ["neither root nor name", "DOWNLOAD offset=0\n"],
    ["a second HELLO", HELLO],
  ];

  test.each(BREAKS)("FT/2: %s is an ERROR and a close, and the peer lives", async (_what, bytes) => {
    const hall = new Hall();
    const { far } = await hall.welcome();
    far.say(bytes);
    far.say(`DOWNLOAD root=${ROOT}\n`);
    expect((await far.rest()).toString()).toMatch(/^ERROR [a-z-]+ [^\n]{5,}\n$/);
    await settle();
    far.close();
    await settle();
    expect(far.closed).toBe(true);
    expect(hall.disk.opened).toBe(0);
    expect(hall.events).toMatchObject([{ event: "download-refused" }]);
    const { far: next } = await hall.welcome();
    next.say(`DOWNLOAD root=${ROOT} length=1\nBYE\n`);
    expect((await next.rest()).toString()).toBe("FILE: length=1 size=12\nH");
  });

  test.each([
    ["a web browser", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ["TLS", Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03)],
    ["a secure shell", "SSH-2.0-OpenSSH_9.9\r\n"],
    ["zeros", new Uint8Array(100_000)],
    ["newlines", "\n\n\n\n"],
    ["a record", "<a,b,1,01/01/26,1.2.3.4,5>\n"],
  ])("%s on the port is closed without a byte", async (_what, bytes) => {
    const hall = new Hall();
    const { far } = hall.connect();
    far.say(bytes);
    await settle();
    expect((await far.rest()).length).toBe(0);
    far.close();
    await hall.expectTidy();
    expect(far.closed).toBe(true);
  });

  test.each([
    ["says nothing", ""],
    ["says half a word", "HEL"],
    ["says half a line", "HELLO FT/2 pass="],
  ])("somebody who %s is closed ten seconds after connecting", async (_what, start) => {
    const hall = new Hall();
    const { far } = hall.connect();
    far.say(start);
    await hall.clock.pass(9_900);
    expect(far.over).toBe(false);
    await hall.clock.pass(400);
    expect(far.closed).toBe(true);
    await hall.expectTidy();
  });

  test("a byte now and then does not put the ten seconds off", async () => {
    const hall = new Hall();
    const { far } = hall.connect();
    for (const letter of HELLO.slice(0, 11)) {
      far.say(letter);
      await hall.clock.pass(1000);
    }
    expect(far.closed).toBe(true);
  });

  test("an accepted downloader has time between requests, but not for ever", async () => {
    const hall = new Hall();
    const { far } = await hall.welcome();
    await hall.clock.pass(30_000);
    far.say(`DOWNLOAD root=${ROOT} length=1\n`);
    expect(await far.line()).toBe("FILE: length=1 size=12");
    await hall.clock.pass(600_000);
    expect(far.closed).toBe(true);
  });

  test("rubbish during a body is refused only after the body", async () => {
    const hall = new Hall();
    const bytes = bytesOf(600 * KiB);
    hall.disk.files.set("big", { bytes });
    const { far, near } = await hall.welcome();
    near.capacity = 64 * KiB;
    far.stopReading();
    far.say("DOWNLOAD name=big\n");
    await settle();
    far.say("DOWNLOAD root=oh-dear\nmore and more\n");
    await settle();
    far.readOn();
    expect(await far.line()).toBe(`FILE: length=${600 * KiB} size=${600 * KiB}`);
    expect((await far.take(600 * KiB)).equals(bytes)).toBe(true);
    expect((await far.rest()).toString()).toMatch(/^ERROR bad-request [^\n]+\n$/);
    await hall.expectTidy();
  });
});

describe("Downloader: a connection that says a token", () => {
  const SAYS = "HELLO FT/2 token=aB3-_x\n";
  const DOES = ["start", "limit", "send", "offer", "pause", "resume", "halfClose", "finish", "destroy"] as const;

  /** A hall that takes over who says the token, and every connection that it took. */
  function expecting(): { hall: Hall; taken: Channel[]; tokens: string[] } {
    const taken: Channel[] = [];
    const tokens: string[] = [];
    const hall = new Hall(() => ({
      arrived: (token, channel) => {
        tokens.push(token);
        if (token === "aB3-_x") taken.push(channel);
        return token === "aB3-_x";
      },
    }));
    return { hall, taken, tokens };
  }

  /** One that has been handed over, and what is done to it from then on. */
  async function handedOver(say: (far: Far) => void = (far) => far.say(SAYS)): Promise<{
    hall: Hall;
    near: Side;
    far: Far;
    done: () => string[];
  }> {
    const { hall, taken } = expecting();
    const { near, far } = hall.connect();
    say(far);
    await settle();
    expect(taken).toEqual([near]);
    const spies = DOES.map((name) => ({ name: String(name), spy: spyOn(near, name) }));
    const done = () => spies.flatMap(({ name, spy }) => spy.mock.calls.map(() => name));
    return { hall, near, far, done };
  }

  test.each([
    ["in one piece", (far: Far) => far.say(SAYS)],
    ["in single bytes", (far: Far) => far.stutter(SAYS)],
    ["with CR LF", (far: Far) => far.say(SAYS.replace("\n", "\r\n"))],
    ["among words of later versions", (far: Far) => far.say("HELLO FT/2 future=1 token=aB3-_x more=2\n")],
  ])("%s is handed over as it is: open, without a limit, and without a word", async (_how, say) => {
    const { hall, near, far, done } = await handedOver(say);
    expect([near.closed, near.paused, far.total]).toEqual([false, false, 0]);
    expect([near.limits.deadline, near.limits.idle]).toEqual([undefined, undefined]);
    expect(hall.clock.untilNext).toBe(Number.POSITIVE_INFINITY);
    expect([done(), hall.events, hall.server.waiting]).toEqual([[], [], 0]);
  });

  test.each([
    ["says something", (far: Far) => far.say(`HI FT/2\nFILE: length=5 size=12\nHello`)],
    ["asks for something", (far: Far) => far.say(`DOWNLOAD root=${ROOT}\nTREE root=${ROOT} piece=65536\nBYE\n`)],
    ["sends rubbish", (far: Far) => far.say(new Uint8Array(100_000).fill(10))],
    ["says all at once", (far: Far) => far.say("BYE\n".repeat(1000))],
    ["ends", (far: Far) => far.halfClose()],
    ["breaks", (far: Far) => far.reset()],
    ["is silent for an hour", () => undefined],
  ])("what it does afterwards is somebody else's: one that %s", async (_what, act) => {
    const { hall, far, done } = await handedOver();
    act(far);
    await hall.clock.pass(3_600_000);
    expect([done(), far.total, hall.events, hall.disk.asked]).toEqual([[], 0, [], []]);
    await hall.expectTidy();
  });

  test("the side that took it hears all that comes, and is not disturbed when it ends", async () => {
    const { hall, near, far } = await handedOver();
    const heard: string[] = [];
    near.start({
      data: (chunk) => heard.push(Buffer.from(chunk).toString()),
      end: () => heard.push("end"),
      close: () => heard.push("close"),
    });
    near.send("HELLO FT/2 pass=p.s\n");
    expect(await far.line()).toBe("HELLO FT/2 pass=p.s");
    far.say("HI FT/2\n");
    await settle();
    far.halfClose();
    await settle();
    expect([heard.join(""), near.closed]).toEqual(["HI FT/2\nend", false]);
    near.finish();
    await settle();
    expect([heard.at(-1), hall.events]).toEqual(["close", []]);
  });

  test("one that nobody asked for is refused like anybody else, once", async () => {
    const { hall, tokens } = expecting();
    const { far } = hall.connect();
    far.say("HELLO FT/2 token=guess\n");
    expect((await far.rest()).toString()).toBe("ERROR not-accepted Nobody here has asked for this connection.\n");
    expect(tokens).toEqual(["guess"]);
    expect(hall.events).toEqual([
      { event: "download-refused", address: DOWNLOADER.address, reason: "Nobody here has asked for this connection." },
    ]);
    await hall.expectTidy();
  });

  test("a peer that never asks for connections refuses all tokens", async () => {
    const hall = new Hall();
    const { far } = hall.connect();
    far.say(SAYS);
    expect(await far.line()).toStartWith("ERROR not-accepted ");
  });

  test.each(["token=%00", "token=a%0Ab", "token", "token=%20"])("%s is no token of anybody", async (word) => {
    const { hall, taken } = expecting();
    const { far } = hall.connect();
    far.say(`HELLO FT/2 ${word}\n`);
    expect(await far.line()).toStartWith("ERROR not-accepted ");
    expect(taken).toEqual([]);
  });

  test.each([
    ["behind its token", `${SAYS}DOWNLOAD root=${ROOT}\n`],
    ["behind its token, not even a whole line", `${SAYS}D`],
    ["a second time", `${SAYS}${SAYS}`],
    ["after a pass", `${HELLO}${SAYS}`],
  ])("more is said %s: it is not handed over, and gets no byte", async (_what, script) => {
    const { hall, taken } = expecting();
    const { far } = hall.connect();
    far.say(script);
    const answer = (await far.rest()).toString();
    expect(answer).toMatch(/^(?:HI FT\/2\n)?ERROR unexpected [^\n]*\n$/);
    expect([taken, hall.disk.opened, hall.events.length]).toEqual([[], 0, 1]);
  });

  test("slots of others are not touched by one that was handed over", async () => {
    const { hall } = expecting();
    const { far } = hall.connect();
    far.say(SAYS);
    const downloader = await hall.welcome();
    downloader.far.say(`DOWNLOAD root=${ROOT}\n`);
    expect(await downloader.far.line()).toBe("FILE: length=12 size=12");
    far.reset();
    await settle();
    downloader.far.say(`DOWNLOAD root=${ROOT} offset=7\n`);
    expect((await downloader.far.take(12)).toString()).toBe("Hello, world");
    expect(await downloader.far.line()).toBe("FILE: length=5 size=12");
  });
});

describe("Downloader: the pieces of a file", () => {
  const SIZE = 5 * 64 * KiB + 17;
  const bytes = bytesOf(SIZE);
  const pieces = piecesOf(bytes);
  const big = { bytes, root: OTHER_ROOT, pieces };

  test("TREE gives the layer of the standard pieces, and of all larger ones up to the root", async () => {
    const hall = new Hall();
    hall.disk.files.set("big", big);
    const { far } = await hall.welcome();
    for (const [piece, count] of [
      [64 * KiB, 6],
      [128 * KiB, 3],
      [256 * KiB, 2],
      [512 * KiB, 1],
      [2 ** 40, 1],
    ] as const) {
      far.say(`TREE root=${OTHER_ROOT} piece=${piece}\n`);
      expect(await far.line()).toBe(`TREE: ${count}`);
      const layer = await far.take(count * 32);
      expect([piece, layer.toHex()]).toEqual([piece, layerOf(pieces, SIZE, piece / (64 * KiB)).toHex()]);
    }
    far.say(`TREE root=${OTHER_ROOT.toUpperCase()} piece=65536\nBYE\n`);
    expect((await far.rest()).equals(Buffer.concat([Buffer.from("TREE: 6\n"), pieces]))).toBe(true);
    await hall.expectTidy();
    // Nothing of it is an upload, and nothing was opened for it.
    expect([hall.events, hall.disk.opened]).toEqual([[], 0]);
  });

  test("the hashes are those of the blocks, by hand", async () => {
    const hall = new Hall();
    hall.disk.files.set("big", big);
    const { far } = await hall.welcome();
    far.say(`TREE root=${OTHER_ROOT} piece=65536\n`);
    await far.line();
    const layer = await far.take(6 * 32);
    const hashOf = (...parts: Uint8Array[]) => Buffer.from(Bun.SHA256.hash(Buffer.concat(parts)) as Uint8Array);
    const leaves = [0, 1, 2, 3].map((i) => hashOf(bytes.subarray(i * BLOCK, (i + 1) * BLOCK)));
    const [a, b, c, d] = leaves as [Buffer, Buffer, Buffer, Buffer];
    expect(layer.subarray(0, 32).equals(hashOf(hashOf(a, b), hashOf(c, d)))).toBe(true);
    // The last piece has one short block; the rest of it is padding.
    const zero = Buffer.alloc(32);
    const last = hashOf(bytes.subarray(5 * 64 * KiB));
    expect(layer.subarray(-32).equals(hashOf(hashOf(last, zero), hashOf(zero, zero)))).toBe(true);
  });

  test.each([0, 1, 16_384, 32_768, 65_535, 65_537, 3 * 65_536, 196_608, 65_536 * 1.5, Number.MAX_SAFE_INTEGER])(
    "TREE of pieces of %d bytes, which the file does not have, is an error of that request only",
    async (piece) => {
      const hall = new Hall();
      hall.disk.files.set("big", big);
      const { far } = await hall.welcome();
      far.say(`TREE root=${OTHER_ROOT} piece=${piece}\nDOWNLOAD root=${ROOT} length=1\nBYE\n`);
      expect(await far.line()).toMatch(/^ERROR bad-piece .*65536/);
      expect((await far.rest()).toString()).toBe("FILE: length=1 size=12\nH");
    },
  );

  test("HAVE of a whole file is all ones, spare bits too", async () => {
    const hall = new Hall();
    hall.disk.files.set("big", big);
    const { far } = await hall.welcome();
    far.say(`HAVE root=${OTHER_ROOT}\nHAVE root=${ROOT}\nBYE\n`);
    expect((await far.rest()).toString("latin1")).toBe("HAVE: 1\n\u00ffHAVE: 1\n\u00ff");
  });

  test("HAVE of an unfinished file is what has arrived, bit 7 of the first byte first, and grows with it", async () => {
    const hall = new Hall();
    const have = new PieceSet(6);
    hall.disk.files.set("big", { ...big, have });
    const { far } = await hall.welcome();
    const ask = async () => {
      far.say(`HAVE root=${OTHER_ROOT}\n`);
      expect(await far.line()).toBe("HAVE: 1");
      return (await far.take(1)).toString("hex");
    };
    expect(await ask()).toBe("00");
    have.add(0);
    have.add(4);
    expect(await ask()).toBe("88");
    for (let i = 0; i < 6; i++) have.add(i);
    expect(await ask()).toBe("ff");
  });

  test("of an empty file there are none", async () => {
    const hall = new Hall();
    hall.disk.files.set("empty", { bytes: new Uint8Array(0), root: OTHER_ROOT, pieces: new Uint8Array(0) });
    const { far } = await hall.welcome();
    far.say(`TREE root=${OTHER_ROOT} piece=65536\nHAVE root=${OTHER_ROOT}\nBYE\n`);
    expect((await far.rest()).toString()).toBe("TREE: 0\nHAVE: 0\n");
  });

  test.each(["TREE root=%s piece=65536", "HAVE root=%s"])(
    "%s: of what is not here, NOT FOUND; the next request is answered",
    async (form) => {
      const hall = new Hall();
      const { far } = await hall.welcome();
      far.say(`${form.replace("%s", OTHER_ROOT)}\n${form.replace("%s", ROOT)}\nBYE\n`);
      const answer = (await far.rest()).toString("latin1");
      expect(answer).toMatch(/^NOT FOUND\n(?:TREE|HAVE): 1\n/);
    },
  );

  test.each(["TREE root=%s piece=65536", "HAVE root=%s", "TREE root=%s piece=1"])(
    "%s without a pass is refused before anything is said of the file",
    async (form) => {
      for (const hello of ["HELLO FT/2\n", "HELLO FT/2 pass=bad.pass\n"]) {
        const hall = new Hall();
        const { far } = hall.connect();
        far.say(`${hello}${form.replace("%s", ROOT)}\n`);
        expect((await far.rest()).toString()).toMatch(/^ERROR not-accepted [^\n]+\n$/);
      }
      // In place of HELLO it is no message of any profile.
      const hall = new Hall();
      const { far } = hall.connect();
      far.say(`${form.replace("%s", ROOT)}\n`);
      expect((await far.rest()).toString()).not.toMatch(/TREE|HAVE|bad-piece/);
      expect(hall.events).toMatchObject([{ event: "download-refused" }]);
    },
  );

  test("what has not arrived yet is ERROR not-here, of that request only, and takes no slot", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    const have = new PieceSet(6);
    for (const piece of [0, 1, 5]) have.add(piece);
    hall.disk.files.set("big", { ...big, have });
    const { far } = await hall.welcome();
    const piece = 64 * KiB;
    const refused = [
      [2 * piece, 1],
      [2 * piece - 1, 2],
      [0, 2 * piece + 1],
      [0, SIZE],
      [4 * piece + 5, piece],
      [4 * piece, 9_999_999],
    ];
    for (const [offset, length] of refused) {
      far.say(`DOWNLOAD root=${OTHER_ROOT} offset=${offset} length=${length}\n`);
      expect([offset, length, await far.line()]).toEqual([offset, length, expect.stringMatching(/^ERROR not-here \S/)]);
    }
    far.say(`DOWNLOAD root=${OTHER_ROOT}\n`);
    expect(await far.line()).toMatch(/^ERROR not-here /);
    const other = await hall.welcome({ address: addressOf("192.168.1.31"), port: 1 });
    other.far.say(`DOWNLOAD root=${ROOT} length=1\nBYE\n`);
    expect((await other.far.rest()).toString()).toBe("FILE: length=1 size=12\nH");
    for (const [offset, length] of [
      [0, 2 * piece],
      [piece + 1, piece - 1],
      [5 * piece, 17],
      [5 * piece + 3, 9_999_999],
      [SIZE, 5],
    ] as const) {
      far.say(`DOWNLOAD root=${OTHER_ROOT} offset=${offset} length=${length}\n`);
      const count = Math.min(length, SIZE - offset);
      expect(await far.line()).toBe(`FILE: length=${count} size=${SIZE}`);
      expect((await far.take(count)).equals(bytes.subarray(offset, offset + count))).toBe(true);
    }
    // What arrives meanwhile can be had.
    have.add(2);
    far.say(`DOWNLOAD root=${OTHER_ROOT} offset=${2 * piece} length=1\nDOWNLOAD root=${OTHER_ROOT} offset=${SIZE + 1}\nBYE\n`);
    expect(await far.line()).toBe(`FILE: length=1 size=${SIZE}`);
    await far.take(1);
    expect(await far.line()).toMatch(/^ERROR bad-range /);
    await hall.expectTidy();
  });
});

describe("a downloader whose address is not the one in its pass", () => {
  const PROOF = "PROOF address=192.168.1.31 port=1235 proof=right\n";

  function proving(): Hall {
    return new Hall(() => ({
      readPass: (_pass, _from, keyed) => ({
        id: "p7",
        nonce: "sign-this-and-no-other",
        accepts: ({ address, port }, proof) => `${address}:${port} ${proof} ${keyed}` === "192.168.1.31:1235 right keyed.pass",
      }),
    }));
  }

  test("gets a nonce; after its proof it is accepted, and the requests that came before it are answered in their order", async () => {
    const { far } = proving().connect();
    far.say(`HELLO FT/2 pass=${PASS} keyed=keyed.pass\nHAVE root=${ROOT}\nDOWNLOAD root=${ROOT} offset=0 length=5\n`);
    expect(await far.line()).toBe("PROVE nonce=sign-this-and-no-other");
    await settle();
    expect(far.waiting.toString()).toBe("");
    far.say(PROOF);
    expect(await far.line()).toBe("HI FT/2");
    expect(await far.line()).toBe("HAVE: 1");
    await far.take(1);
    expect(await far.line()).toBe("FILE: length=5 size=12");
    expect((await far.take(5)).toString()).toBe("Hello");
  });

  test("with a wrong proof, or a proof that nobody asked for, is refused before any byte of a file", async () => {
    const hall = proving();
    const wrong = hall.connect().far;
    wrong.say(
      `HELLO FT/2 pass=${PASS} keyed=keyed.pass\nDOWNLOAD root=${ROOT} offset=0 length=5\nPROOF address=192.168.1.31 port=1235 proof=wrong\n`,
    );
    expect(await wrong.line()).toStartWith("PROVE ");
    expect((await wrong.rest()).toString()).toMatch(/^ERROR not-accepted [^\n]+\n$/);
    const early = hall.connect().far;
    early.say(`HELLO FT/2 pass=${PASS}\n`);
    await early.line();
    early.say(PROOF);
    expect((await early.rest()).toString()).toMatch(/^ERROR not-accepted [^\n]+\n$/);
    expect(hall.disk.opened).toBe(0);
  });

  test("that never proves anything is closed at the deadline of its first request", async () => {
    const hall = proving();
    const { far, near } = hall.connect();
    far.say(`HELLO FT/2 pass=${PASS} keyed=keyed.pass\n${`HAVE root=${ROOT}\n`.repeat(200)}`);
    expect(await far.line()).toStartWith("PROVE ");
    await settle();
    expect([hall.disk.opened, near.limits.deadline]).toEqual([0, 10_000]);
  });
});
