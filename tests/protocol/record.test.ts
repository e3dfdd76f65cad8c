import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProtocolError } from "../../lib/error.ts";
import { localNameOf, splitExtension, whyRenamed } from "../../lib/peer/disk/local-name.ts";
import {
  type Address,
  formatEndpoint,
  hostOf,
  isHostAddress,
  isIPv6,
  isLinkLocal,
  isLoopback,
  parseAddress,
  parsePort,
  parseWhole,
  withoutZone,
} from "../../lib/protocol/address.ts";
import { formatBasicRecord, parseBasicRecord, parseFoundRecord } from "../../lib/protocol/basic.ts";
import { LINE_LIMIT } from "../../lib/protocol/lines.ts";
import {
  escapeField,
  escapeValue,
  type FileRecord,
  formatRecord,
  formatRecordAt,
  parseFileName,
  parseRecord,
  parseRoot,
  unescapeField,
} from "../../lib/protocol/record.ts";
import { byteLength } from "../../lib/text.ts";

/** Fixed, so that a run can be repeated; what is looked for does not depend on luck. */
const SEED = 20_261_122;
const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/** The code of the refusal, or what came instead of one. */
function refusal(run: () => unknown): string {
  try {
    return `no refusal but ${JSON.stringify(run())}`;
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
}

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`The test's own address ${text} is none.`);
  return address;
}

/** IPv6 in groups only: the dotted spelling has a test of its own. */
const groups = fc.ipV6().filter((text) => !text.includes("."));

/** Any text a file name may be: every code point but NUL and the halves of pairs. */
const character = fc
  .oneof(fc.nat(0x7f), fc.nat(0xffff), fc.nat(0x10ffff))
  .filter((code) => code !== 0 && (code < 0xd800 || code > 0xdfff))
  .map((code) => String.fromCodePoint(code));
const wellFormed = fc.string({ unit: fc.oneof(character, fc.constantFrom("%", ",", ";", "<", ">", " ", "\n", "\x85", "%2C")) });
const nameText = wellFormed.filter((text) => text !== "" && byteLength(text) <= 255);

describe("file names", () => {
  test("a name has 1 to 255 bytes of UTF-8", () => {
    for (const text of ["a", "x".repeat(255), "é".repeat(127), "漢".repeat(85), "😀".repeat(63), " ", ".", ".."]) {
      expect(String(parseFileName(text))).toBe(text);
    }
    for (const text of ["", "x".repeat(256), "é".repeat(128), `${"漢".repeat(85)}a`, "😀".repeat(64), "x".repeat(100_000)]) {
      expect(refusal(() => parseFileName(text))).toBe("bad-name");
    }
  });

  test("names that mean something to JavaScript are names like others", () => {
    for (const text of ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"]) {
      expect(String(parseFileName(text))).toBe(text);
      expect(parseRecord(`<${text},data,1,22/11/26,10.0.0.1,5>`).name).toBe(parseFileName(text));
    }
  });

  test("NUL and half a character are refused", () => {
    for (const text of ["\0", "a\0.txt", "a\ud800", "\udc00b", "\udc00\ud800"]) {
      expect(refusal(() => parseFileName(text))).toBe("bad-name");
    }
  });

  test("the text of a refusal does not repeat the name", () => {
    const evil = `\x1b[2J${"x".repeat(300)}`;
    expect(() => parseFileName(evil)).toThrow(/^The file name is longer than 255 bytes\.$/);
  });
});

describe("addresses", () => {
  test("every spelling of an address has the one canonical form", () => {
    const forms: [string, string][] = [
      ["192.168.1.17", "192.168.1.17"],
      ["0.0.0.0", "0.0.0.0"],
      ["255.255.255.255", "255.255.255.255"],
      ["::ffff:192.168.1.17", "192.168.1.17"],
      ["::FFFF:192.168.1.17", "192.168.1.17"],
      ["::ffff:c0a8:111", "192.168.1.17"],
      ["0:0:0:0:0:ffff:192.168.1.17", "192.168.1.17"],
      ["0000:0000:0000:0000:0000:FFFF:C0A8:0111", "192.168.1.17"],
      ["::ffff:127.0.0.1", "127.0.0.1"],
      ["::ffff:0:0", "0.0.0.0"],
      ["::1", "::1"],
      ["0:0:0:0:0:0:0:1", "::1"],
      ["0000:0000:0000:0000:0000:0000:0000:0001", "::1"],
      ["::", "::"],
      ["2001:DB8::A", "2001:db8::a"],
      ["2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"],
      ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
      ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
      ["fe80::1", "fe80::1"],
      ["FE80::1%eth0", "fe80::1%eth0"],
      ["fe80::1%12", "fe80::1%12"],
    ];
    for (const [text, canonical] of forms) expect([text, String(parseAddress(text))]).toEqual([text, canonical]);
  });

  test("the canonical form is its own canonical form", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), groups), (text) => {
        const address = addressOf(text);
        expect(parseAddress(address)).toBe(address);
        expect(address).not.toMatch(/^::ffff:/);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test("the last two groups of any IPv6 address may be dotted", () => {
    const forms: [string, string][] = [
      ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
      ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
      ["1:2:3:4::1.2.3.4", "1:2:3:4::102:304"],
      ["::1:2:3:4:1.2.3.4", "::1:2:3:4:102:304"],
      ["0:0::0:ffff:1.2.3.4", "1.2.3.4"],
    ];
    for (const [text, canonical] of forms) expect([text, String(parseAddress(text))]).toEqual([text, canonical]);
  });

  test("anything else is no address", () => {
    const others = ["", " ", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "0x7f.0.0.1"];
    const more = [
      "127.1",
      "2130706433",
      "1.2.3.-4",
      "1.2.3.4/8",
      "1.2.3.4:80",
      "[::1]",
      ":",
      ":::",
      "1::2::3",
      "12345::",
      "g::1",
    ];
    const further = [
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "::1.2.3",
      "::1.2.3.256",
      "::ffff:0x7f.1",
      "::1]/",
      "::1%",
      "fe80::1%a b",
    ];
    const rest = ["fe80::1%%", "１.2.3.4", "::1\n", "\0::1", `${"1:".repeat(2000)}1`, `fe80::1%${"z".repeat(33)}`, "__proto__"];
    for (const text of [...others, ...more, ...further, ...rest]) expect([text, parseAddress(text)]).toEqual([text, undefined]);
  });

  test("loopback is 127/8 and ::1 in every spelling", () => {
    for (const text of ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"]) {
      expect([text, isLoopback(addressOf(text))]).toEqual([text, true]);
    }
    for (const text of ["128.0.0.1", "12.7.0.0", "1.127.0.0", "::2", "::", "0.0.0.0", "fe80::1"]) {
      expect([text, isLoopback(addressOf(text))]).toEqual([text, false]);
    }
  });

  test("unspecified, multicast and broadcast addresses are no host's", () => {
    const none = [
      "0.0.0.0",
      "0.1.2.3",
      "224.0.0.1",
      "239.255.255.250",
      "240.0.0.1",
      "255.255.255.255",
      "::",
      "ff02::1",
      "FF0E::1",
    ];
    for (const text of [...none, "::ffff:0.0.0.0", "::ffff:224.0.0.251"]) {
      expect([text, isHostAddress(addressOf(text))]).toEqual([text, false]);
    }
    for (const text of ["1.0.0.1", "127.0.0.1", "192.168.1.7", "223.255.255.254", "::1", "fe80::1", "fd00::7", "2001:db8::1"]) {
      expect([text, isHostAddress(addressOf(text))]).toEqual([text, true]);
    }
  });

  test("one host is an IPv4 address or an IPv6 network of 64 bits", () => {
    for (const [text, host] of [
      ["10.0.0.1", "10.0.0.1"],
      ["2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"],
      ["2001:db8:0:1::5", "2001:db8:0:1::/64"],
      ["2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::/64"],
      ["2001:db8::5", "2001:db8:0:0::/64"],
      ["2001:0:0:1::", "2001:0:0:1::/64"],
      ["::1:0:0:0:5", "0:0:0:1::/64"],
      ["::1", "0:0:0:0::/64"],
      ["fe80::1", "fe80:0:0:0::/64"],
    ] as const) {
      expect([text, hostOf(addressOf(text))]).toEqual([text, host]);
    }
  });

  test("link-local is fe80::/10: the only one that needs a zone", () => {
    for (const text of ["fe80::1", "FE80::1%eth0", "fe9f::1", "febf:ffff::1", "fea0::%3"]) {
      expect([text, isLinkLocal(addressOf(text))]).toEqual([text, true]);
    }
    for (const text of ["fec0::1", "fe7f::1", "fe8::1", "::fe80", "169.254.1.1", "::ffff:169.254.1.1", "::1", "10.0.0.1"]) {
      expect([text, isLinkLocal(addressOf(text))]).toEqual([text, false]);
    }
  });

  test("without its zone an address is what others are told; one without a zone stays as it is", () => {
    for (const [text, bare] of [
      ["fe80::1%eth0", "fe80::1"],
      ["FE80:0::1%12", "fe80::1"],
      ["2001:db8::1%eth0", "2001:db8::1"],
      ["fe80::1", "fe80::1"],
      ["192.168.1.7", "192.168.1.7"],
    ] as const) {
      expect([text, String(withoutZone(addressOf(text)))]).toEqual([text, bare]);
    }
  });

  test("an address is of IPv6 unless it is of IPv4, whatever its spelling", () => {
    for (const text of ["::", "::1", "fe80::1%eth0", "64:ff9b::1.2.3.4"]) {
      expect([text, isIPv6(addressOf(text))]).toEqual([text, true]);
    }
    for (const text of ["1.2.3.4", "::ffff:1.2.3.4", "::ffff:102:304"]) {
      expect([text, isIPv6(addressOf(text))]).toEqual([text, false]);
    }
  });

  test("an endpoint puts IPv6 in brackets", () => {
    expect(formatEndpoint({ address: "192.168.1.7", port: 1234 })).toBe("192.168.1.7:1234");
    expect(formatEndpoint({ address: "fe80::1", port: 1 })).toBe("[fe80::1]:1");
  });
});

describe("numbers", () => {
  const hostile = [
    "",
    "-1",
    "-0",
    "+1",
    "1.5",
    "1.0",
    ".5",
    "1e3",
    "1E3",
    "00",
    "01",
    "0x10",
    "0b1",
    "1_000",
    "1,000",
    " 1",
    "1 ",
  ];
  const more = ["1\n", "NaN", "Infinity", "-Infinity", "null", "true", "[]", "__proto__", "１", "١", "1n", "9".repeat(400)];
  const tooLarge = ["9007199254740992", "9007199254740993", "9999999999999999", "18446744073709551616"];

  test("a whole number is digits without a leading zero, up to 2^53 − 1", () => {
    const read: [string, number][] = [
      ["0", 0],
      ["7", 7],
      ["10", 10],
      ["4194304", 4_194_304],
      ["9007199254740991", 9_007_199_254_740_991],
    ];
    for (const [text, value] of read) expect(parseWhole(text)).toBe(value);
    for (const text of [...hostile, ...more, ...tooLarge]) expect([text, parseWhole(text)]).toEqual([text, undefined]);
  });

  test("a port is from 1 to 65535", () => {
    expect([parsePort("1"), parsePort("1234"), parsePort("65535")]).toEqual([1, 1234, 65_535]);
    for (const text of [...hostile, ...more, ...tooLarge, "0", "65536", "70000"]) {
      expect([text, parsePort(text)]).toEqual([text, undefined]);
    }
  });

  test("every whole number reads back as it is written", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect(parseWhole(String(value))).toBe(value);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  test("a content id is 64 hex digits, in lower case inside", () => {
    expect(parseRoot(ROOT)).toBe(ROOT);
    expect(parseRoot(ROOT.toUpperCase())).toBe(ROOT);
    for (const text of ["", ROOT.slice(1), `${ROOT}0`, `${ROOT.slice(1)}g`, `${ROOT}\n`, `0x${ROOT.slice(2)}`]) {
      expect(parseRoot(text)).toBeUndefined();
    }
  });
});

describe("escapes", () => {
  test("only what the grammar needs is written %XX", () => {
    expect(escapeField("report final.pdf")).toBe("report final.pdf");
    expect(escapeField("a,b;c<d>e%f\ng\x7fh")).toBe("a%2Cb%3Bc%3Cd%3Ee%25f%0Ag%7Fh");
    expect(escapeField("\x85\t\0")).toBe("%C2%85%09%00");
    expect(escapeField("Übung №3 漢字 😀=&+")).toBe("Übung №3 漢字 😀=&+");
    expect(escapeValue("Lab 3")).toBe("Lab%203");
    expect(escapeValue("50% <b>")).toBe("50%25%20%3Cb%3E");
  });

  test("both escapes are undone, in either case of the hex digits and where none was needed", () => {
    expect(unescapeField("Lab%203")).toBe("Lab 3");
    expect(unescapeField("%c3%9cbung%2c")).toBe("Übung,");
    expect(unescapeField("%C3%9Cbung%2C")).toBe("Übung,");
    expect(unescapeField("%F0%9F%98%80%61")).toBe("😀a");
    expect(unescapeField("a+b")).toBe("a+b");
    expect(unescapeField("%2525")).toBe("%25");
  });

  test("a stray percent sign, and bytes that are not UTF-8, are refused", () => {
    const stray = ["%", "a%", "%4", "%g0", "%0g", "% 41", "%%", "%u0041", "%-1"];
    const broken = ["%ff", "%80", "%c3", "%c3%28", "%c0%af", "%ed%a0%80", "%f5%80%80%80", "%e2%82", "%f8%88%80%80%80"];
    for (const text of [...stray, ...broken]) expect([text, refusal(() => unescapeField(text))]).toEqual([text, "bad-escape"]);
  });

  test("every text comes back from both, and neither leaves anything the grammar uses", () => {
    fc.assert(
      fc.property(wellFormed, (text) => {
        const field = escapeField(text);
        const value = escapeValue(text);
        expect(field).not.toMatch(/[,;<>\u0000-\u001f\u007f-\u009f]/);
        expect(value).not.toMatch(/[,;<> \u0000-\u001f\u007f-\u009f]/);
        expect(unescapeField(field)).toBe(text);
        expect(unescapeField(value)).toBe(text);
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });
});

describe("FT/2 records", () => {
  const line = `<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,40123;v=2;mtime=2026-11-22T10:04:05Z;root=${ROOT}>`;
  const record: FileRecord = {
    name: parseFileName("report.pdf"),
    type: "application/pdf",
    size: 48_213,
    date: "22/11/26",
    address: addressOf("192.168.1.17"),
    port: 40_123,
    v2: true,
    mtime: "2026-11-22T10:04:05Z",
    root: ROOT,
  };

  test("the record of the specification is read and written", () => {
    expect(parseRecord(line)).toEqual(record);
    expect(formatRecord(record)).toBe(line);
    expect(formatRecordAt(record, { address: addressOf("10.0.0.9"), port: 7 })).toBe(
      line.replace("192.168.1.17,40123", "10.0.0.9,7"),
    );
  });

  test("the attributes may be absent", () => {
    const bare = "<a.txt,data,0,01/01/00,::1,1>";
    const read = parseRecord(bare);
    expect(read).toStrictEqual({
      name: parseFileName("a.txt"),
      type: "data",
      size: 0,
      date: "01/01/00",
      address: addressOf("::1"),
      port: 1,
      v2: false,
    });
    expect(formatRecord(read)).toBe(bare);
  });

  test("names are escaped, and everything else that needs it", () => {
    const escaped = "<a%2Cb%3Bc%3Cd%3E%25%0A .txt,text/plain%3Bcharset=utf-8,1,22/11/26,10.0.0.1,5;v=2>";
    const read = parseRecord(escaped);
    expect(String(read.name)).toBe("a,b;c<d>%\n .txt");
    expect(read.type).toBe("text/plain;charset=utf-8");
    expect(formatRecord(read)).toBe(escaped);
  });

  test("unknown attributes are ignored, and known ones may come in any order", () => {
    const odd = `<a,data,1,22/11/26,10.0.0.1,5;parts=1;colour=blue;root=${ROOT.toUpperCase()};x;;__proto__=y;constructor=z;=q;mtime=2026-11-22T10:04:05.123Z;v=2>`;
    const read = parseRecord(odd);
    expect([read.v2, read.root, read.mtime]).toEqual([true, ROOT, "2026-11-22T10:04:05.123Z"]);
    expect(Object.keys(read).sort()).toEqual(["address", "date", "mtime", "name", "port", "root", "size", "type", "v2"]);
  });

  test("only v=2 says that the holder speaks FT/2", () => {
    for (const version of ["1", "3", "22", "2.0", ""]) {
      expect([version, parseRecord(`<a,data,1,22/11/26,10.0.0.1,5;v=${version}>`).v2]).toEqual([version, false]);
    }
  });

  test("part=1;whole=1, in either order, says that the holder has all of a file that does not count", () => {
    const beyond = `<a,data,1,22/11/26,10.0.0.1,5;v=2;root=${ROOT};part=1;whole=1>`;
    for (const text of [beyond, beyond.replace(";part=1;whole=1", ";whole=1;part=1")]) {
      expect(parseRecord(text)).toMatchObject({ beyond: true });
      expect(parseRecord(text).part).toBeUndefined();
      expect(formatRecord(parseRecord(text))).toBe(beyond);
    }
    for (const attributes of [";whole=1", ";part=1;whole=0", ";part=1;whole", ""]) {
      expect(parseRecord(`<a,data,1,22/11/26,10.0.0.1,5${attributes}>`).beyond).toBeUndefined();
    }
  });

  test("part=1, and nothing else, says that the holder is still fetching the file", () => {
    const unfinished = `<a,data,1,22/11/26,10.0.0.1,5;v=2;mtime=2026-11-22T10:04:05.123Z;root=${ROOT};part=1>`;
    const read = parseRecord(unfinished);
    expect(read.part).toBe(true);
    expect(formatRecord(read)).toBe(unfinished);
    expect(parseRecord("<a,data,1,22/11/26,10.0.0.1,5;part=%31>").part).toBe(true);
    for (const attribute of ["part", "part=", "part=0", "part=2", "part=11", "part=true", "PART=1", "apart=1"]) {
      expect([attribute, "part" in parseRecord(`<a,data,1,22/11/26,10.0.0.1,5;${attribute}>`)]).toEqual([attribute, false]);
    }
  });

  test("reach=no, and nothing else, says that its holder could not be connected to", () => {
    const blocked = `<a,data,1,22/11/26,10.0.0.1,5;v=2;mtime=2026-11-22T10:04:05.123Z;root=${ROOT};part=1;reach=no>`;
    const read = parseRecord(blocked);
    expect([read.unreachable, read.part]).toEqual([true, true]);
    expect(formatRecord(read)).toBe(blocked);
    expect(parseRecord("<a,data,1,22/11/26,10.0.0.1,5;reach=n%6F>").unreachable).toBe(true);
    for (const attribute of ["reach", "reach=", "reach=yes", "reach=NO", "reach=nobody", "reach=0", "REACH=no", "breach=no"]) {
      expect([attribute, "unreachable" in parseRecord(`<a,data,1,22/11/26,10.0.0.1,5;${attribute}>`)]).toEqual([
        attribute,
        false,
      ]);
    }
    expect(formatBasicRecord(read)).toBe("<a,data,1,22/11/26,10.0.0.1,5>");
  });

  test("FT/1 has no word for an unfinished file, and nobody makes one up there", () => {
    expect(formatBasicRecord(parseRecord("<a,data,1,22/11/26,10.0.0.1,5;v=2;part=1>"))).toBe("<a,data,1,22/11/26,10.0.0.1,5>");
    expect(refusal(() => parseBasicRecord("<a,data,1,22/11/26,10.0.0.1,5;part=1>"))).toBe("bad-port");
  });

  test("an unknown attribute without a value is ignored, whatever known one it resembles", () => {
    const read = parseRecord("<a,data,1,22/11/26,10.0.0.1,5;v=2;vx;roots;mtimes>");
    expect([read.v2, read.root, read.mtime]).toEqual([true, undefined, undefined]);
  });

  test("what is not six fields between < and > is refused", () => {
    const five = "<a,data,1,22/11/26,10.0.0.1>";
    const seven = "<a,b,data,1,22/11/26,10.0.0.1,5>";
    const open = [
      "",
      "<",
      ">",
      "a,data,1,22/11/26,10.0.0.1,5",
      "<a,data,1,22/11/26,10.0.0.1,5",
      "a,data,1,22/11/26,10.0.0.1,5>",
    ];
    for (const text of [five, seven, ...open, "<>", "<,,,,>", " <a,data,1,22/11/26,10.0.0.1,5>"]) {
      expect([text, refusal(() => parseRecord(text))]).toEqual([text, "bad-record"]);
    }
  });

  test("every field is read strictly", () => {
    const template = { name: "a", type: "data", size: "1", date: "22/11/26", address: "10.0.0.1", port: "5" };
    const hostile: [keyof typeof template, string[], string][] = [
      ["name", ["", "x".repeat(256), "%00", "%C3%A9".repeat(128)], "bad-name"],
      ["name", ["%", "%ff", "%ed%a0%80"], "bad-escape"],
      ["type", ["", "x".repeat(128), "a%2Cb", "a%3Eb", "%1B[2J", "%C2%9B"], "bad-record"],
      ["size", ["", "-1", "1.5", "1e3", "007", "+1", "0x1", "9007199254740992", " 1"], "bad-record"],
      [
        "date",
        ["", "22/11/2026", "32/11/26", "00/11/26", "22/13/26", "22/00/26", "2/1/26", "22-11-26", "22/11/26 "],
        "bad-record",
      ],
      ["address", ["", "localhost", "1.2.3", "256.1.1.1", "[::1]", "1.2.3.4:5"], "bad-record"],
      ["port", ["", "0", "-1", "65536", "70000", "1.5", "1e3", "080"], "bad-port"],
    ];
    for (const [field, texts, code] of hostile) {
      for (const text of texts) {
        const fields = Object.values({ ...template, [field]: text });
        expect([field, text, refusal(() => parseRecord(`<${fields.join(",")};v=2>`))]).toEqual([field, text, code]);
      }
    }
  });

  test("a known attribute with a bad value is refused", () => {
    const times = ["", "yesterday", "2026-11-22", "2026-11-22T10:04:05", "2026-11-22T10:04:05+01:00", "2026-13-01T00:00:00Z"];
    for (const time of [...times, "2026-11-22T25:00:00Z", "+002026-11-22T10:04:05Z", "2026-11-22t10:04:05z"]) {
      expect([time, refusal(() => parseRecord(`<a,data,1,22/11/26,10.0.0.1,5;mtime=${time}>`))]).toEqual([time, "bad-record"]);
    }
    for (const root of ["", "abc", `${ROOT}0`, ROOT.replace("9", "g")]) {
      expect([root, refusal(() => parseRecord(`<a,data,1,22/11/26,10.0.0.1,5;root=${root}>`))]).toEqual([root, "bad-record"]);
    }
  });

  test("an address with a zone survives the record", () => {
    const linkLocal = { ...record, address: addressOf("fe80::1%eth0") };
    expect(parseRecord(formatRecord(linkLocal))).toEqual(linkLocal);
    const numbered = { ...record, address: addressOf("fe80::1%12") };
    expect(parseRecord(formatRecord(numbered))).toEqual(numbered);
  });

  test("every record comes back, on one line within the limit", () => {
    const two = (n: number) => String(n).padStart(2, "0");
    const anyRecord = fc.record(
      {
        name: nameText.map(parseFileName),
        type: fc
          .string({ unit: character, minLength: 1, maxLength: 127 })
          .filter((text) => text.length <= 127 && !/[<>,\u0000-\u001f\u007f-\u009f]/.test(text)),
        size: fc.maxSafeNat(),
        date: fc
          .tuple(fc.integer({ min: 1, max: 31 }), fc.integer({ min: 1, max: 12 }), fc.nat(99))
          .map(([day, month, year]) => `${two(day)}/${two(month)}/${two(year)}`),
        address: fc.oneof(fc.ipV4(), groups).map(addressOf),
        port: fc.integer({ min: 1, max: 65_535 }),
        v2: fc.boolean(),
        mtime: fc
          .date({ min: new Date(0), max: new Date("2099-12-31"), noInvalidDate: true })
          .map((date) => date.toISOString()),
        root: fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 64, maxLength: 64 }),
        part: fc.constant<true>(true),
        unreachable: fc.constant<true>(true),
      },
      { requiredKeys: ["name", "type", "size", "date", "address", "port", "v2"] },
    );
    fc.assert(
      fc.property(anyRecord, (any) => {
        const text = formatRecord(any);
        expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
        expect(byteLength(text) + 1).toBeLessThanOrEqual(LINE_LIMIT);
        expect(parseRecord(text)).toStrictEqual(any);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  test("the longest record there can be fits in a line", () => {
    const longest = formatRecord({
      ...record,
      name: parseFileName("%".repeat(255)),
      type: "漢".repeat(127),
      size: Number.MAX_SAFE_INTEGER,
      address: addressOf("2001:db8:1111:2222:3333:4444:5555:6666"),
      port: 65_535,
      part: true,
      unreachable: true,
    });
    expect(byteLength(`${longest}\n`)).toBeLessThanOrEqual(LINE_LIMIT);
    expect(formatRecord(parseRecord(longest))).toBe(longest);
  });
});

describe("FT/1 records", () => {
  test("a registered record is read and written with its name raw", () => {
    const text = "<my report.pdf,application/pdf,48213,22/11/26,192.168.1.17,40123>";
    const read = parseBasicRecord(text);
    expect(read).toStrictEqual({
      name: parseFileName("my report.pdf"),
      type: "application/pdf",
      size: 48_213,
      date: "22/11/26",
      address: addressOf("192.168.1.17"),
      port: 40_123,
      v2: false,
    });
    expect(formatBasicRecord(read)).toBe(text);
  });

  test("commas, semicolons and percent signs in a name mean nothing", () => {
    for (const name of ["a,b.txt", ",", "a,b,c,d,e,f,g", "100%.txt", "%41", "a;v=2", "__proto__"]) {
      const read = parseBasicRecord(`<${name},data,1,22/11/26,10.0.0.1,5>`);
      expect([String(read.name), read.v2]).toEqual([name, false]);
      expect(formatBasicRecord(read)).toBe(`<${name},data,1,22/11/26,10.0.0.1,5>`);
    }
  });

  test("a found record has five fields and takes the name that was asked for", () => {
    const name = parseFileName("a,b.txt");
    expect(parseFoundRecord("<data,7,22/11/26,10.0.0.1,5>", name)).toStrictEqual({
      name,
      type: "data",
      size: 7,
      date: "22/11/26",
      address: addressOf("10.0.0.1"),
      port: 5,
      v2: false,
    });
    for (const text of ["<a,data,7,22/11/26,10.0.0.1,5>", "<7,22/11/26,10.0.0.1,5>", "<>", "data,7,22/11/26,10.0.0.1,5"]) {
      expect(refusal(() => parseFoundRecord(text, name))).toBe("bad-record");
    }
  });

  test("its fields are read as strictly as those of FT/2", () => {
    const hostile: [string, string][] = [
      ["<,data,1,22/11/26,10.0.0.1,5>", "bad-name"],
      ["<a\0b,data,1,22/11/26,10.0.0.1,5>", "bad-name"],
      [`<${"x".repeat(256)},data,1,22/11/26,10.0.0.1,5>`, "bad-name"],
      ["<data,1,22/11/26,10.0.0.1,5>", "bad-name"],
      ["<a,data,-1,22/11/26,10.0.0.1,5>", "bad-record"],
      ["<a,data,1e3,22/11/26,10.0.0.1,5>", "bad-record"],
      ["<a,data,1,1/1/26,10.0.0.1,5>", "bad-record"],
      ["<a,data,1,22/11/26,nowhere,5>", "bad-record"],
      ["<a,data,1,22/11/26,10.0.0.1,0>", "bad-port"],
      ["<a,data,1,22/11/26,10.0.0.1,70000>", "bad-port"],
      ["<a,data,1,22/11/26,10.0.0.1,5;v=2>", "bad-port"],
    ];
    for (const [text, code] of hostile) expect([text, refusal(() => parseBasicRecord(text))]).toEqual([text, code]);
  });
});

/** Why a name would surprise somebody as a path's last component, here or on Windows; "" when it would not. */
function surprise(name: string): string {
  if (name === "" || name === "." || name === "..") return "no name";
  if (/[/\\:*?"<>|]/.test(name)) return "a character with a meaning";
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return "a control character";
  if (/[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/.test(name)) return "an invisible character";
  if (!name.isWellFormed()) return "half a character";
  if (/^[.-]/.test(name)) return "a leading dot or dash";
  if (/^\s|[\s.]$/.test(name)) return "a space or dot at its edge";
  if (byteLength(name) > 240) return "too long";
  // Windows looks only at what stands before the first dot, without the spaces behind it.
  const stem = (name.split(".")[0] ?? "").trimEnd();
  if (/^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])$/i.test(stem)) return "a device";
  return "";
}

describe("localNameOf", () => {
  test("ordinary names stay as they are", () => {
    const names = [
      "notes.txt",
      "Übung №3.pdf",
      "archive.tar.gz",
      "a b  c.txt",
      "漢字.pdf",
      "_x",
      "a-b.c",
      "50 %.txt",
      "console.log",
    ];
    for (const name of [...names, "com10.txt", "nullable.ts", "a.con", "file (1).txt", "x".repeat(240)]) {
      expect(localNameOf(name)).toBe(name);
    }
  });

  test("hostile names become one harmless component", () => {
    const renamed: [string, string][] = [
      ["../x", "__x"],
      ["../../etc/passwd", "__.._etc_passwd"],
      ["/etc/passwd", "_etc_passwd"],
      ["..\\..\\evil.bat", "__.._evil.bat"],
      ["C:\\Windows\\x.dll", "C__Windows_x.dll"],
      ["\\\\server\\share", "__server_share"],
      ["x:y", "x_y"],
      ["notes.txt:hidden", "notes.txt_hidden"],
      ["CON", "_CON"],
      ["nul.txt", "_nul.txt"],
      ["Com1.tar.gz", "_Com1.tar.gz"],
      ["LPT9", "_LPT9"],
      ["com¹.txt", "_com¹.txt"],
      ["con .txt", "_con .txt"],
      ["aux.", "_aux"],
      ["prn ", "_prn"],
      ["CONIN$", "_CONIN$"],
      ["name.", "name"],
      ["name ", "name"],
      ["name. . .", "name"],
      [" name", "_name"],
      ["-rf", "_rf"],
      ["--to=x", "_to=x"],
      [".bashrc", "_bashrc"],
      ["...", "file"],
      ["..", "file"],
      [".", "file"],
      ["", "file"],
      [" ", "file"],
      ["/", "file"],
      ["annual\u202efdp.exe", "annual_fdp.exe"],
      ["in\u200bvisible\ufeff.txt", "in_visible_.txt"],
      ["two\nlines\x1b[2J", "two_lines_[2J"],
      ["half\ud800.txt", "half_.txt"],
      ["a\0b", "a_b"],
      ['what?*"<>|', "what______"],
      ["%2e%2e%2fx", "%2e%2e%2fx"],
    ];
    for (const [name, local] of renamed) expect([name, localNameOf(name)]).toEqual([name, local]);
    for (const [, local] of renamed) expect([local, surprise(local)]).toEqual([local, ""]);
  });

  test("the same letters in two encodings are one name", () => {
    expect(localNameOf("e\u0301te\u0301.txt")).toBe("été.txt");
  });

  test("every device of Windows is renamed, with any case and extension", () => {
    const numbered = ["com", "lpt"].flatMap((device) => [..."0123456789¹²³"].map((digit) => device + digit));
    for (const device of ["con", "prn", "aux", "nul", "conin$", "conout$", ...numbered]) {
      for (const name of [
        device,
        device.toUpperCase(),
        `${device}.txt`,
        `${device}.a.b`,
        `${device} `,
        `${device}.`,
        `${device} .x`,
      ]) {
        expect([name, surprise(localNameOf(name))]).toEqual([name, ""]);
      }
    }
  });

  test("a name of 300 bytes is cut to at most 240 and keeps its extension", () => {
    const cases: [stem: string, extension: string][] = [
      ["x".repeat(296), ".txt"],
      ["漢".repeat(99), ".pdf"],
      ["x".repeat(300), ""],
      [`${"x".repeat(225)}   ${"y".repeat(60)}`, ".txt"],
      [`a.${"x".repeat(300)}`, ""],
    ];
    for (const [stem, extension] of cases) {
      const local = localNameOf(stem + extension);
      expect([local, surprise(local)]).toEqual([local, ""]);
      expect(local).toEndWith(extension);
      const kept = local.slice(0, local.length - extension.length);
      expect(stem).toStartWith(kept);
      expect(byteLength(kept)).toBeGreaterThan(220);
    }
  });

  test("a cut never tears a character apart", () => {
    const local = localNameOf(`${"👍🏽".repeat(31)}.txt`);
    expect(local).toMatch(/^(?:👍🏽){20,29}\.txt$/u);
  });

  test("a letter under a tower of accents is still a name", () => {
    for (const name of [`a${"\u0301".repeat(127)}`, `a${"\u0301".repeat(120)}.txt`, `x${"\u0489".repeat(126)}.pdf`]) {
      expect([name, surprise(localNameOf(name))]).toEqual([name, ""]);
    }
  });

  test("no invisible character and no tower of accents is in a stored name, and it is never empty", () => {
    const renamed: [string, string][] = [
      ["\u3164", "file"],
      ["\u3164\u2800\u115f.pdf", "___.pdf"],
      ["a\u{e0101}\u034f\u180b\uffa0\ufe0f.pdf", "a_____.pdf"],
      ["❤\ufe0f.txt", "❤\ufe0f.txt"],
      [`a${"\u0302".repeat(90)}.txt`, `â${"\u0302".repeat(4)}.txt`],
      ["\u0302\u0302.txt", "_.txt"],
      ["desktop.ini\u3164", "desktop.ini_"],
    ];
    for (const [name, local] of renamed) expect([name, localNameOf(name)]).toEqual([name, local]);
    for (let code = 0; code <= 0x10ffff; code++) {
      const character = String.fromCodePoint(code);
      if (/\p{Default_Ignorable_Code_Point}/u.test(character)) expect(localNameOf(`a${character}b`)).toBe("a_b");
    }
  });

  test("a file that a system acts upon by itself gets a harmless extension, on every system, and the reason is told", () => {
    const acted = [
      "desktop.ini",
      "DESKTOP.INI",
      "de\u017fktop.ini",
      "autorun.inf",
      "Thumbs.db",
      "ehthumbs.db",
      "report.lnk",
      "report.pdf.LNK",
      "site.url",
      "x.scf",
      "x.library-ms",
      "x.search-ms",
      "x.searchConnector-ms",
      "x.desktop",
      "x.command",
      "x.webloc",
      "x.{ED7BA470-8E54-465E-825C-99712043E01C}",
    ];
    for (const name of acted) {
      expect(localNameOf(name)).toBe(`${name}.download`);
      for (const end of [" ", ".", ". ."]) expect(localNameOf(name + end)).toBe(`${name}.download`);
      expect(localNameOf(`${name}.download`)).toBe(`${name}.download`);
      expect(whyRenamed(name)).toBe("a computer may act by itself on a file of that name");
    }
    const long = localNameOf(`${"x".repeat(300)}.lnk`);
    expect([byteLength(long), surprise(long)]).toEqual([239, ""]);
    expect(long).toEndWith("x.lnk.download");
    for (const name of ["my desktop.ini", "desktop.ini.txt", "url", "lnk.txt", "commands.txt", "setup.exe", "run.sh"]) {
      expect([localNameOf(name), whyRenamed(name)]).toEqual([name, undefined]);
    }
    expect(whyRenamed("a:b.txt")).toBe("that name is not safe on every computer");
    expect(whyRenamed("e\u0301.txt")).toBeUndefined();
  });

  test("no device appears where a long name is cut", () => {
    for (const name of [`con${" ".repeat(247)}x.txt`, `nul${" ".repeat(245)}y.tar`, `COM1${"\u3000".repeat(82)}z.a`]) {
      expect([name, surprise(localNameOf(name))]).toEqual([name, ""]);
    }
  });

  test("whatever the name, the result is harmless and stays as it is the second time", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "/",
        "\\",
        ":",
        "..",
        ".",
        " ",
        "-",
        "~",
        "%2e",
        "con",
        "NUL",
        "com1",
        "$",
        "\0",
        "\n",
        "\u202e",
        "\u200d",
      ),
      fc.constantFrom(
        "\ud800",
        "\udc00",
        "\u0301",
        "\u00a0",
        "\u3000",
        "\u2028",
        "\ufeff",
        "\u037e",
        "\u212a",
        "x".repeat(120),
        ".txt",
      ),
      fc.nat(0x10ffff).map((code) => String.fromCodePoint(code)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const local = localNameOf(pieces.join(""));
        expect([pieces, surprise(local)]).toEqual([pieces, ""]);
        expect(localNameOf(local)).toBe(local);
        expect(String(parseFileName(local))).toBe(local);
      }),
      { seed: SEED, numRuns: 3000 },
    );
  });

  test("an extension is what follows the last dot, if it is short and not all there is", () => {
    expect(splitExtension("notes.txt")).toEqual(["notes", ".txt"]);
    expect(splitExtension("a.tar.gz")).toEqual(["a.tar", ".gz"]);
    expect(splitExtension("README")).toEqual(["README", ""]);
    expect(splitExtension(".bashrc")).toEqual([".bashrc", ""]);
    expect(splitExtension(`a.${"x".repeat(15)}`)).toEqual(["a", `.${"x".repeat(15)}`]);
    expect(splitExtension(`a.${"x".repeat(16)}`)).toEqual([`a.${"x".repeat(16)}`, ""]);
  });
});

describe("a record that takes long to read", () => {
  const record = (more: string) => `<a,text/plain,1,01/01/26,10.0.0.1,1234;v=2${more}>`;

  test("the name of a holder is read from a tracker only, and once", () => {
    expect(parseRecord(record(";by=Ben;by=%20Eve%20"), "tracker").by).toBe("Eve");
    expect(parseRecord(record(";by=Ben"), "peer").by).toBeUndefined();
  });

  test("has too many attributes", () => {
    expect(parseRecord(record(";x=1".repeat(63))).v2).toBe(true);
    expect(() => parseRecord(record(";x=1".repeat(64)))).toThrow("too many attributes");
    expect(() => parseRecord(record(";".repeat(4000)))).toThrow("too many attributes");
  });
});
