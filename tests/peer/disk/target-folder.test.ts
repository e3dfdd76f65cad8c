import { expect, test } from "bun:test";
import { writeError } from "../../../lib/peer/disk/target-folder.ts";

const file = { folder: "/home/ana/talks", name: "report.docx", size: 1000 };
const said = (code: string, platform: string) => writeError(Object.assign(new Error(code), { code }), file, platform).message;

test("on Windows a file that another program has open is said as that, not as a folder that may not be written", () => {
  const open = `Cannot save "report.docx" into "/home/ana/talks": another program, such as an editor or a virus scanner, has a file of this name open`;
  for (const code of ["EBUSY", "EPERM", "EACCES"]) expect(said(code, "win32")).toStartWith(open);
  expect(said("EBUSY", "linux")).toStartWith(open);
  for (const code of ["EPERM", "EACCES"]) expect(said(code, "linux")).toContain("you may not write there");
});

test("other errors are the same sentences on each system", () => {
  for (const platform of ["win32", "darwin", "linux"]) {
    expect(said("ENOSPC", platform)).toContain("is full");
    expect(said("EROFS", platform)).toContain("it is read-only");
  }
});
