import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { givenRoomKey, roomKey, roomSecret, roomSecretLater } from "../../lib/program/room-key.ts";

describe("roomKey", () => {
  test("is the same however a person types it", () => {
    const key = "acid acorn acre acts afar affix";
    const typed = [key, "  Acid  acorn acre ACTS\tafar affix \n", "ａcid acorn acre acts afar affix", `${key}\r`];
    for (const one of typed) expect(roomKey(one)).toBe(key);
    expect(roomKey("Große Prüfung")).toBe(roomKey("große pru\u0308fung"));
  });

  test("refuses keys that are empty, too short or too long", () => {
    expect(() => roomKey(" \n")).toThrow("The key is empty. A room's key has at least 8 characters.");
    expect(() => roomKey("1234567")).toThrow("The key is too short: a room's key has at least 8 characters.");
    expect(() => roomKey("x".repeat(257))).toThrow("The key is too long: a room's key has at most 256 characters.");
    expect(roomKey("12345678")).toBe("12345678");
  });
});

test("roomSecret is the same for the same key, and another for another", async () => {
  const secret = roomSecret("acid acorn");
  expect(secret).toHaveLength(32);
  expect(await roomSecretLater("acid acorn")).toEqual(secret);
  expect(roomSecret("acid acorn")).toEqual(secret);
  expect(roomSecret("acid acorm")).not.toEqual(secret);
});

describe("givenRoomKey", () => {
  const folder = mkdtempSync(join(tmpdir(), "ft-key-"));
  const file = (name: string, content: string | Uint8Array, mode = 0o600) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };

  test("takes the first line of a file before the variable", () => {
    const path = file("key", "from a file\nmore\n");
    expect(givenRoomKey(path, { FT_ROOM: "from the variable" })).toBe("from a file");
    expect(givenRoomKey(undefined, { FT_ROOM: "from the variable" })).toBe("from the variable");
    expect(givenRoomKey(undefined, { FT_ROOM: "" })).toBeUndefined();
    expect(givenRoomKey(undefined, {})).toBeUndefined();
  });

  test("says why a key will not do, and never the key", () => {
    expect(() => givenRoomKey(undefined, { FT_ROOM: "short" })).toThrow("The key in FT_ROOM is too short");
    expect(() => givenRoomKey(file("empty", ""), {})).toThrow(`The key in "${join(folder, "empty")}" is empty`);
    expect(() => givenRoomKey(join(folder, "none"), {})).toThrow("there is no such file");
    expect(() => givenRoomKey(join(folder, "x".repeat(300)), {})).toThrow(/: its name is too long\.$/);
    expect(() => givenRoomKey(folder, {})).toThrow("it is not a small text file");
    expect(() => givenRoomKey(file("binary", new Uint8Array([255, 254, 0, 1, 2, 3, 4, 5])), {})).toThrow(
      "it is not UTF-8 text.",
    );
  });

  test.skipIf(process.platform === "win32")("takes no file that everybody may read", () => {
    const path = file("open", "acid acorn", 0o644);
    expect(() => givenRoomKey(path, {})).toThrow(`everybody on this computer may read it. Try: chmod 600 "${path}"`);
  });
});
