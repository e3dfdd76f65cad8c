// The mark of files from the network, as each system expects it.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { markOrigin, originMark, tryMark } from "../../../lib/peer/disk/origin.ts";

const NOW = new Date("2026-11-28T12:00:00.500Z");

describe("originMark", () => {
  test("on Windows it is a stream that says the internet zone and where the file came from", () => {
    const from = `ft://192.168.1.7:1235/${"ab".repeat(32)}`;
    expect(originMark("win32", from, NOW)).toEqual({
      stream: "Zone.Identifier",
      text: `[ZoneTransfer]\r\nZoneId=3\r\nHostUrl=${from}\r\n`,
    });
  });

  test("on Windows, without a source it says about:internet; nothing from outside makes a line of its own", () => {
    expect(originMark("win32", undefined, NOW)).toMatchObject({
      text: "[ZoneTransfer]\r\nZoneId=3\r\nHostUrl=about:internet\r\n",
    });
    expect(originMark("win32", "ft://x\r\nZoneId=0", NOW)).toMatchObject({
      text: "[ZoneTransfer]\r\nZoneId=3\r\nHostUrl=ft://x%0D%0AZoneId=0\r\n",
    });
  });

  test("on macOS it is the quarantine attribute with the time", () => {
    expect(originMark("darwin", "ft://x", NOW)).toEqual({
      attribute: "com.apple.quarantine",
      value: "0081;6a20e4c0;ft-peer;".replace("6a20e4c0", Math.floor(NOW.getTime() / 1000).toString(16)),
    });
  });

  test("elsewhere there is none", () => {
    for (const platform of ["linux", "freebsd", ""]) expect(originMark(platform, "ft://x", NOW)).toBeUndefined();
  });
});

describe("marking a file", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ft-origin-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test("leaves its bytes and its folder as they are", async () => {
    writeFileSync(join(folder, "a"), "bytes");
    await markOrigin(join(folder, "a"), undefined);
    expect(await Bun.file(join(folder, "a")).text()).toBe("bytes");
    await tryMark(folder);
    expect(readdirSync(folder)).toEqual(["a"]);
  });

  test("is never an error, also where there is no such folder", async () => {
    await markOrigin(join(folder, "none", "a"), undefined);
    expect(await tryMark(join(folder, "none"))).toBe(false);
  });
});
