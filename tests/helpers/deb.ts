// Writes a package for Debian and its relatives (deb(5)): the same files give the same bytes.

import { createHash } from "node:crypto";
import { HAS_XZ, type PackedFile, packTarGz, packTarXz } from "./archive.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface DebControl {
  /** The lines of the control file, such as Package, without Installed-Size. */
  fields: Record<string, string>;
  /** Scripts that run when the package is installed or removed, by their names. */
  scripts: Record<string, string>;
}

/** A `.deb` with these files, whose paths begin at the root of the system without a slash. */
export async function packDeb(files: PackedFile[], { fields, scripts }: DebControl, when: Date): Promise<Bytes> {
  const size = Math.ceil(files.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1024);
  const control = Object.entries({ ...fields, "Installed-Size": String(size) }).map(([key, value]) => `${key}: ${value}\n`);
  const sums = files.map(({ path, bytes }) => `${createHash("md5").update(bytes).digest("hex")}  ${path}\n`);
  const meta = [
    textFile("./control", control.join("")),
    textFile("./md5sums", sums.join("")),
    ...Object.entries(scripts).map(([name, text]) => ({ ...textFile(`./${name}`, text), mode: 0o755 })),
  ];
  const data = files.map((file) => ({ ...file, path: `./${file.path}` }));
  return ar(
    [
      ["debian-binary", new TextEncoder().encode("2.0\n")],
      ["control.tar.gz", await packTarGz(meta, when)],
      HAS_XZ ? ["data.tar.xz", await packTarXz(data, when)] : ["data.tar.gz", await packTarGz(data, when)],
    ],
    when,
  );
}

function textFile(path: string, text: string): PackedFile {
  return { path, bytes: new TextEncoder().encode(text), mode: 0o644 };
}

/** An archive of ar(5): a header of 60 characters before each file, and an even number of bytes behind it. */
function ar(files: [name: string, bytes: Uint8Array][], when: Date): Bytes {
  const parts: Uint8Array[] = [Buffer.from("!<arch>\n")];
  for (const [name, bytes] of files) {
    const columns: [string, number][] = [
      [name, 16],
      [String(when.getTime() / 1000), 12],
      ["0", 6],
      ["0", 6],
      ["100644", 8],
      [String(bytes.length), 10],
    ];
    parts.push(Buffer.from(`${columns.map(([text, width]) => text.padEnd(width)).join("")}\`\n`), bytes);
    if (bytes.length % 2 === 1) parts.push(Buffer.from("\n"));
  }
  return new Uint8Array(Buffer.concat(parts));
}
