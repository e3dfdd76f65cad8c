import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Bans } from "../../lib/tracker/bans.ts";
import { addressOf } from "../helpers/channel.ts";

const folder = mkdtempSync(join(tmpdir(), "ft-bans-"));
afterAll(() => rmSync(folder, { recursive: true }));

const NOON = Date.UTC(2026, 10, 22, 12, 0, 0);
let files = 0;
const file = (text?: string) => {
  const path = join(folder, String(files++), "bans.txt");
  if (text !== undefined) {
    const plain = join(folder, `plain-${files}.txt`);
    writeFileSync(plain, text);
    return plain;
  }
  return path;
};

describe("who is kept out", () => {
  test("is kept out until the time is over, or for good", () => {
    let now = NOON;
    const bans = new Bans(file(), () => now);
    bans.add(addressOf("10.0.0.1"), NOON + 60_000, "too loud");
    bans.add(addressOf("fe80::1%eth0"), undefined, "");
    expect(bans.of(addressOf("10.0.0.1"))).toEqual({
      address: addressOf("10.0.0.1"),
      until: NOON + 60_000,
      reason: "too loud",
    });
    expect(bans.of(addressOf("fe80::1"))?.until).toBeUndefined();
    expect(bans.of(addressOf("10.0.0.2"))).toBeUndefined();
    now += 60_000;
    expect(bans.of(addressOf("10.0.0.1"))).toBeUndefined();
    expect(bans.list.map(({ address }) => address)).toEqual([addressOf("fe80::1")]);
  });

  test("is let in again, once", () => {
    const bans = new Bans(file());
    bans.add(addressOf("10.0.0.1"), undefined, "");
    expect([bans.remove(addressOf("10.0.0.1")), bans.remove(addressOf("10.0.0.1"))]).toEqual([true, false]);
    expect(bans.of(addressOf("10.0.0.1"))).toBeUndefined();
  });

  test("stands in a file that a person can read, and is known after a restart", () => {
    const path = file();
    const bans = new Bans(path, () => NOON);
    bans.add(addressOf("10.0.0.9"), NOON + 3_600_000, "sends rubbish");
    bans.add(addressOf("10.0.0.1"), undefined, "");
    expect(readFileSync(path, "utf8")).toEndWith(
      "10.0.0.1  for good\n10.0.0.9  until 2026-11-22T13:00:00.000Z  sends rubbish\n",
    );
    expect(new Bans(path, () => NOON).list).toEqual(bans.list);
    expect(new Bans(path, () => NOON + 3_600_001).list.map(({ address }) => address)).toEqual([addressOf("10.0.0.1")]);
  });

  test("cannot write more than its line: what a reason has of control characters is shown", () => {
    const path = file();
    new Bans(path).add(addressOf("10.0.0.1"), undefined, "a\n10.0.0.2  for good\n\u001b[2J");
    const again = new Bans(path);
    expect(again.list.map(({ address }) => address)).toEqual([addressOf("10.0.0.1")]);
    expect(readFileSync(path, "utf8")).not.toContain("\u001b");
  });

  test.each([
    ["nothing", ""],
    ["rubbish", "\0\u0001\n<<<\n10.0.0\n10.0.0.1\n10.0.0.1 until never\n300.1.1.1  for good\n"],
    ["comments", "# 10.0.0.1  for good\n"],
  ])("a file with %s in it keeps nobody out", (_, text) => {
    expect(new Bans(file(text)).list).toEqual([]);
  });

  test("lines that a person wrote count, whatever stands around them", () => {
    const bans = new Bans(file("  10.0.0.1   for good   because\r\n::ffff:10.0.0.2 until 2099-01-01T00:00:00Z\n\n# end"));
    expect(bans.list.map(({ address, reason }) => [address, reason])).toEqual([
      [addressOf("10.0.0.1"), "because"],
      [addressOf("10.0.0.2"), ""],
    ]);
  });

  test("without a file holds as long as the program", () => {
    const before = existsSync(join(folder, "undefined"));
    const bans = new Bans(undefined);
    bans.add(addressOf("10.0.0.1"), undefined, "");
    expect(bans.of(addressOf("10.0.0.1"))).toBeDefined();
    expect(existsSync(join(folder, "undefined"))).toBe(before);
  });
});
