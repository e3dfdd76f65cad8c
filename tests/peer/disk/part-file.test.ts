import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reopenPart, tryNewFile } from "../../../lib/peer/disk/part-file.ts";

const folder = mkdtempSync(join(tmpdir(), "ft-part-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a link in the place of a part file is not written through, also on a system that follows it when it opens", () => {
  const own = tryNewFile(folder);
  const [secret, link, part] = [join(folder, "private.txt"), join(folder, ".ft-1.part"), join(folder, ".ft-2.part")];
  writeFileSync(secret, "private text", { mode: 0o600 });
  symlinkSync(secret, link);
  // Windows has no flag that says not to follow links.
  expect(reopenPart(link, 3, own, 0)).toBeUndefined();
  expect(readFileSync(secret, "utf8")).toBe("private text");
  writeFileSync(part, "part of it", { mode: 0o600 });
  const fd = reopenPart(part, 4, own, 0);
  expect(fd).toBeNumber();
  closeSync(fd ?? -1);
  expect(readFileSync(part, "utf8")).toBe("part");
});
