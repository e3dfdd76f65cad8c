import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasPassword, parseRedisUrl, readRedisFile, withoutPassword } from "../../../lib/tracker/group/redis.ts";
import { parseTrackerArguments } from "../../../lib/tracker/options.ts";

describe("parseRedisUrl", () => {
  test.each([
    ["redis://10.0.0.5", "10.0.0.5:6379"],
    [" redis://10.0.0.5:7000/3\n", "10.0.0.5:7000"],
    ["rediss://ann:secret@redis.example.org", "redis.example.org:6379 (TLS)"],
    ["valkey://[fd00::5]:6380", "[fd00::5]:6380"],
  ])("shows %j without a password", (text, shown) => {
    expect(parseRedisUrl(text, "--redis").shown).toBe(shown);
  });

  test.each(["", "10.0.0.5", "http://:secret@10.0.0.5", "redis://", "redis://:secret@10.0.0.5/name", "redis://:sec ret@"])(
    "refuses %j in a sentence that does not repeat it",
    (text) => {
      expect(() => parseRedisUrl(text, "FT_REDIS")).toThrow(
        /^FT_REDIS needs the URL of a Redis, such as redis:\/\/10\.0\.0\.5:6379/,
      );
      expect(() => parseRedisUrl(text, "FT_REDIS")).not.toThrow(/secret|sec ret/);
    },
  );
});

test("withoutPassword and hasPassword", () => {
  expect(withoutPassword("redis://ann:secret@10.0.0.5:1")).toBe("redis://ann:***@10.0.0.5:1");
  expect(withoutPassword("redis://10.0.0.5:1")).toBe("redis://10.0.0.5:1");
  expect([hasPassword("redis://:a@b"), hasPassword("redis://b"), hasPassword("")]).toEqual([true, false, false]);
});

describe("--redis and --redis-file", () => {
  test("a file that others can read, or that has no URL, is refused; a good one is read", () => {
    const folder = mkdtempSync(join(tmpdir(), "ft-test-"));
    const file = join(folder, "url");
    try {
      writeFileSync(file, "redis://:secret@10.0.0.5\n");
      if (process.platform !== "win32") {
        chmodSync(file, 0o644);
        expect(() => readRedisFile(file, "--redis-file")).toThrow(/every user of this machine can read/);
      }
      chmodSync(file, 0o600);
      expect(parseTrackerArguments(["--redis-file", file])).toMatchObject({ options: { redis: { shown: "10.0.0.5:6379" } } });
      expect(() => parseTrackerArguments(["--redis-file", file, "--redis", "redis://b"])).toThrow(/both name a Redis/);
      writeFileSync(file, "secret");
      expect(() => readRedisFile(file, "--redis-file")).toThrow(/needs the URL of a Redis/);
      expect(() => readRedisFile(join(folder, "none"), "--redis-file")).toThrow(/cannot read/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("a password that others can see is warned of, and goes into no service", () => {
    expect(parseTrackerArguments(["--redis", "redis://:secret@b"])).toMatchObject({
      remark: expect.stringContaining("--redis-file FILE"),
    });
    expect(parseTrackerArguments(["--redis", "redis://b"])).not.toHaveProperty("remark");
    expect(() => parseTrackerArguments(["service", "--redis", "redis://:secret@b"])).toThrow(/--redis-file FILE/);
    const environment = { FT_REDIS: "redis://:secret@b", FT_GROUP: "campus" };
    const parsed = parseTrackerArguments([], { path: undefined, text: undefined, environment, home: "" });
    expect(parsed).toMatchObject({ options: { group: "campus", redis: { shown: "b:6379" } } });
    expect(parsed).not.toHaveProperty("remark");
  });
});
