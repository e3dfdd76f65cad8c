// The key of a tracker: it stays, and it is its own.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { newKey, PassOffice } from "../../../lib/protocol/pass.ts";
import { ownKey } from "../../../lib/tracker/system/own-key.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ft-key-"));
  path = join(folder, "state", "key-1234.pem");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const publicOf = () => new PassOffice(ownKey(path)).key;

describe("ownKey", () => {
  test("is the same at the next start, in a file that only this user reads", () => {
    const first = publicOf();
    expect(publicOf()).toBe(first);
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test.each([
    ["something else", () => writeFileSync(path, "no key", { mode: 0o600 })],
    [
      "a link",
      () => {
        writeFileSync(`${path}.other`, newKey().export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
        symlinkSync(`${path}.other`, path);
      },
    ],
    [
      "a file with two names",
      () => {
        writeFileSync(`${path}.other`, newKey().export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
        linkSync(`${path}.other`, path);
      },
    ],
    [
      "a file that others can read",
      () => {
        writeFileSync(path, newKey().export({ format: "pem", type: "pkcs8" }));
        chmodSync(path, 0o644);
      },
    ],
  ])("is a new one each time where there is %s, which stays as it is", (_what, prepare) => {
    mkdirSync(dirname(path), { recursive: true });
    prepare();
    const before = readFileSync(path, "utf8");
    expect(publicOf()).not.toBe(publicOf());
    expect(readFileSync(path, "utf8")).toBe(before);
  });
});
