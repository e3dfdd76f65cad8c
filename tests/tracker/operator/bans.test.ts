import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { FtError } from "../../../lib/error.ts";
import { Bans } from "../../../lib/tracker/operator/bans.ts";
import { parseNetwork } from "../../../lib/tracker/operator/networks.ts";
import { addressOf } from "../../helpers/channel.ts";

const folder = mkdtempSync(join(tmpdir(), "ft-bans-"));
afterAll(() => rmSync(folder, { recursive: true }));

const NOON = Date.UTC(2026, 10, 22, 12, 0, 0);
let files = 0;
const file = (text?: string | Uint8Array) => {
  const path = join(folder, String(files++), "bans.txt");
  if (text === undefined) return path;
  mkdirSync(dirname(path));
  writeFileSync(path, text);
  return path;
};

function network(text: string) {
  const parsed = parseNetwork(text);
  if (parsed === undefined) throw new Error(`"${text}" is no network`);
  return parsed;
}

/** The sentence with which a file is refused. */
function refusalOf(path: string): string {
  try {
    new Bans(path);
  } catch (error) {
    if (error instanceof FtError) return error.message;
  }
  throw new Error("the file was not refused");
}

const addressesOf = (bans: Bans) => bans.list.map(({ address }) => address);

describe("a ban", () => {
  test("holds until the time is over, or for good", () => {
    let now = NOON;
    const bans = new Bans(file(), () => now);
    bans.add(network("10.0.0.1"), NOON + 60_000, "too loud");
    bans.add(network("fe80::1%eth0"), undefined, "");
    expect(bans.of(addressOf("10.0.0.1"))).toEqual({ address: "10.0.0.1", until: NOON + 60_000, reason: "too loud" });
    expect(bans.of(addressOf("fe80::1%eth1"))?.until).toBeUndefined();
    expect(bans.of(addressOf("10.0.0.2"))).toBeUndefined();
    now += 60_000;
    expect(bans.of(addressOf("10.0.0.1"))).toBeUndefined();
    expect(addressesOf(bans)).toEqual(["fe80::1"]);
  });

  test("of a network holds for each of its addresses, also beside one that is over", () => {
    const bans = new Bans(file(), () => NOON);
    bans.add(network("10.0.0.0/8"), undefined, "");
    bans.add(network("10.0.0.1"), NOON - 1, "");
    bans.add(network("2001:db8::/64"), undefined, "");
    const all = ["10.0.0.1", "10.255.0.1", "11.0.0.1", "2001:db8::77", "2001:db8:1::1"];
    expect(all.filter((one) => bans.whyRefused(addressOf(one)) !== undefined)).toEqual([
      "10.0.0.1",
      "10.255.0.1",
      "2001:db8::77",
    ]);
    expect(bans.whyRefused(addressOf("10.0.0.1"))).toEqual({ code: "banned", words: "You are banned from this tracker." });
  });

  test("ends once when it is taken back", () => {
    const bans = new Bans(file());
    bans.add(network("10.0.0.1"), undefined, "");
    expect([bans.remove(network("10.0.0.1")).was, bans.remove(network("10.0.0.1")).was]).toEqual(["banned", undefined]);
    expect(bans.of(addressOf("10.0.0.1"))).toBeUndefined();
  });

  test("is in a file that a person can read and only this user may, and is known after a restart", () => {
    const path = file();
    const bans = new Bans(path, () => NOON);
    bans.add(network("10.0.0.9"), NOON + 3_600_000, "sends rubbish");
    bans.add(network("10.0.0.0/24"), undefined, "");
    expect(readFileSync(path, "utf8")).toEndWith(
      "10.0.0.9  until 2026-11-22T13:00:00.000Z  sends rubbish\n10.0.0.0/24  for good\n",
    );
    expect(new Bans(path, () => NOON).list).toEqual(bans.list);
    expect(addressesOf(new Bans(path, () => NOON + 3_600_001))).toEqual(["10.0.0.0/24"]);
    expect(readdirSync(dirname(path))).toEqual(["bans.txt"]);
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("cannot write more than its line: control characters of its reason are shown", () => {
    const path = file();
    new Bans(path).add(network("10.0.0.1"), undefined, "a\n10.0.0.2  for good\n\u001b[2J");
    expect(addressesOf(new Bans(path))).toEqual(["10.0.0.1"]);
    expect(readFileSync(path, "utf8")).not.toContain("\u001b");
  });

  test("whatever its reason is, the file can be read again", () => {
    for (const reason of ["12:30 again", "# loud", "until tomorrow", "x".repeat(5000), " "]) {
      const path = file();
      new Bans(path, () => NOON).add(network("10.0.0.1"), NOON + 1, reason);
      expect(addressesOf(new Bans(path, () => NOON))).toEqual(["10.0.0.1"]);
    }
  });

  test("without a file holds as long as the program", () => {
    const before = existsSync(join(folder, "undefined"));
    const bans = new Bans(undefined);
    expect(bans.add(network("10.0.0.1"), undefined, "").fault).toBeUndefined();
    expect(bans.of(addressOf("10.0.0.1"))).toBeDefined();
    expect(existsSync(join(folder, "undefined"))).toBe(before);
  });
});

describe("a kick", () => {
  test("holds for a minute, of a network too, and is in no file", () => {
    let now = NOON;
    const path = file();
    const bans = new Bans(path, () => now);
    bans.kick(network("10.0.0.0/24"), bans.endOfKick());
    const words = "This tracker's operator has disconnected 10.0.0.7 until 2026-11-22T12:01:00Z.";
    expect(bans.whyRefused(addressOf("10.0.0.7"))).toEqual({ code: "kicked", words });
    now += 60_000;
    expect(bans.whyRefused(addressOf("10.0.0.7"))).toBeUndefined();
    bans.kick(network("10.0.0.7"), bans.endOfKick());
    expect(bans.remove(network("10.0.0.7")).was).toBe("kicked");
    expect(bans.whyRefused(addressOf("10.0.0.7"))).toBeUndefined();
    expect(existsSync(path)).toBe(false);
  });
});

describe("a file that a person wrote", () => {
  test("counts, whatever spaces, ends of lines and comments it has", () => {
    const bans = new Bans(
      file(
        "\ufeff  10.0.0.1   for good   because\r\n::ffff:10.0.0.2 until 2099-01-01T00:00:00Z\n\n \t\n10.1.0.0/16 for good\n# end",
      ),
    );
    expect(bans.list.map(({ address, reason }) => [address, reason])).toEqual([
      ["10.0.0.1", "because"],
      ["10.0.0.2", ""],
      ["10.1.0.0/16", ""],
    ]);
  });

  test.each([["", "# 10.0.0.1  for good\n", "\n\n"]])("without a ban in it keeps nobody out", (text) => {
    expect(new Bans(file(text)).list).toEqual([]);
  });

  test("keeps its comments and its own lines when a ban comes or goes", () => {
    const path = file(
      "# the noisy corner\n10.0.0.1 for good  because\n# the lab\n10.0.0.2 for good\n10.0.0.3 until 2026-11-22\n",
    );
    const bans = new Bans(path, () => NOON);
    bans.remove(network("10.0.0.2"));
    bans.add(network("10.0.0.4"), undefined, "");
    expect(readFileSync(path, "utf8")).toBe("# the noisy corner\n10.0.0.1 for good  because\n# the lab\n10.0.0.4  for good\n");
  });

  test("while the tracker runs is read before the next ban is written", () => {
    const path = file("10.0.0.1 for good\n");
    const bans = new Bans(path);
    writeFileSync(path, "10.0.0.2 for good\n");
    bans.add(network("10.0.0.3"), undefined, "");
    expect(addressesOf(bans)).toEqual(["10.0.0.2", "10.0.0.3"]);
    expect(readFileSync(path, "utf8")).toBe("10.0.0.2 for good\n10.0.0.3  for good\n");
  });

  test.each([
    ["a typo in an address", "10.0.0.1 for good\n300.1.1.1  for good\n", 2],
    ["half an address", "10.0.0\n", 1],
    ["an address without a time", "# who\n\n10.0.0.1\n", 3],
    ["a network with too many bits", "10.0.0.0/33 for good\n", 1],
    ["a wildcard", "10.0.0.* for good\n", 1],
    ["a word for a time", "10.0.0.1 until never\n", 1],
    ["a time without a day", "10.0.0.1 until 7\n", 1],
    ["a time in two words", "10.0.0.1 until 2026-11-22 20:00\n", 1],
    ["a day that there is not", "10.0.0.1 until 2026-13-01\n", 1],
    ["no word for a time", "10.0.0.1 forever\n", 1],
    ["rubbish", "\0\u0001\n<<<\n", 1],
  ])("with %s is refused with the number of the line, and is never written", (_, text, line) => {
    const path = file(text);
    expect(refusalOf(path)).toStartWith(`Line ${line} of "${path}" is no ban: "`);
    expect(refusalOf(path)).not.toContain("\0");
    expect(readFileSync(path, "utf8")).toBe(text);
  });

  test("that is broken while the tracker runs is not written; the ban holds until the program ends, and is saved later", () => {
    const path = file("10.0.0.1 for good\n");
    const bans = new Bans(path);
    writeFileSync(path, "10.0.0.1 for god\n10.0.0.2 for good\n");
    expect(bans.add(network("10.0.0.3"), undefined, "").fault).toStartWith("Line 1 of");
    expect(readFileSync(path, "utf8")).toBe("10.0.0.1 for god\n10.0.0.2 for good\n");
    expect(addressesOf(bans)).toEqual(["10.0.0.1", "10.0.0.3"]);
    writeFileSync(path, "10.0.0.1 for good\n10.0.0.2 for good\n");
    expect(bans.add(network("10.0.0.4"), undefined, "").fault).toBeUndefined();
    expect(addressesOf(bans)).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    expect(addressesOf(new Bans(path))).toEqual(addressesOf(bans));
  });

  test.each([
    ["too long", () => file("10.0.0.1 for good\n".repeat(270_000)), "it has more than 4.0 MB"],
    ["no UTF-8", () => file(Uint8Array.of(0x23, 0xff, 10)), "it is not UTF-8 text"],
    ["a folder", () => dirname(file("")), "it is no file"],
  ])("that is %s is refused", (_, make, why) => {
    const path = make();
    expect(refusalOf(path)).toBe(`Cannot read the bans in "${path}": ${why}. Mend that, or name another file with --bans.`);
  });

  test.skipIf(process.platform === "win32")("that others could have written is refused", () => {
    const path = file("10.0.0.1 for good\n");
    chmodSync(path, 0o666);
    expect(refusalOf(path)).toContain("every user may write in it");
    chmodSync(path, 0o644);
    expect(addressesOf(new Bans(path))).toEqual(["10.0.0.1"]);
    const link = join(dirname(path), "link");
    symlinkSync(path, link);
    expect(refusalOf(link)).toContain("it is a link to another file");
    Bun.spawnSync(["mkfifo", `${path}.pipe`]);
    expect(refusalOf(`${path}.pipe`)).toContain("it is no file");
  });

  test.skipIf(process.getuid?.() !== 0)("of another user is refused (only root can try this)", () => {
    const path = file("10.0.0.1 for good\n");
    chownSync(path, 12_345, 12_345);
    expect(refusalOf(path)).toContain("it belongs to another user");
  });

  test.skipIf(process.platform === "win32" || process.getuid?.() === 0)(
    "that cannot be read is refused (root can read all)",
    () => {
      const path = file("10.0.0.1 for good\n");
      chmodSync(path, 0);
      expect(refusalOf(path)).toContain("this user may not read it");
    },
  );
});
