import { expect, test } from "bun:test";
import { isHidden } from "../../../lib/peer/disk/hidden.ts";

test("the names that systems and office programs hide are hidden everywhere, others are not", () => {
  for (const name of [".profile", "desktop.ini", "Thumbs.db", "ntuser.dat.LOG1", "~$report.docx", "Icon\r", "$RECYCLE.BIN"])
    expect({ name, hidden: isHidden(`/home/ana/${name}`, undefined) }).toEqual({ name, hidden: true });
  for (const name of ["a.b", "icon", "my desktop.ini", "thumbs.db.txt", "~report.docx"])
    expect({ name, hidden: isHidden(`/home/ana/${name}`, undefined) }).toEqual({ name, hidden: false });
  expect(isHidden("/home/.config/report.pdf", undefined)).toBe(false);
});

test("on Windows a file is hidden by its attribute, which is asked for by the whole path", () => {
  const attributes: Record<string, number> = {
    "/d/plain.txt": 0x20,
    "/d/secret.txt": 0x22,
    "/d/system.txt": 0x26,
    "/d/s": 0x24,
  };
  const attributesOf = (path: string) => attributes[path] ?? 0xffffffff;
  expect(Object.keys(attributes).filter((path) => isHidden(path, attributesOf))).toEqual(["/d/secret.txt", "/d/system.txt"]);
  // Windows does not tell: the file is gone, or this user may not look at it.
  expect(isHidden("/d/gone.txt", attributesOf)).toBe(false);
});
