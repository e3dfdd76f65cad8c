// Archives of programs: written so that the same files give the same bytes, and read back with all that is said of each file.

import { Zip, type ZipInputFile } from "fflate";
import { packTar, unpackTar } from "modern-tar";

type Bytes = Uint8Array<ArrayBuffer>;

export interface PackedFile {
  path: string;
  bytes: Bytes;
  mode: number;
}

export interface Entry extends PackedFile {
  /** Seconds since 1970, UTC; a zip archive's clock has no zone and is read as UTC. */
  time: number;
  /** Such as "0:0"; with the names, if any are kept. */
  owner: string;
}

export type Level = 0 | 1 | 6 | 9 | 10 | 12;
/** A release to try things with: made in a third of the time, and a tenth larger. */
const IS_QUICK = Boolean(process.env.RELEASE_QUICK);
/** Of libdeflate's 12: 2 % smaller than 9, half a minute longer for a whole release; 12 takes as much again for nothing more. */
const RELEASE_LEVEL: Level = IS_QUICK ? 1 : 10;

/** Unix, and the bits of its file type: a regular file. */
const UNIX = 3;
const REGULAR = 0o100000;
const DEFLATED = 8;
const LOCAL_HEADER = 30;
const CENTRAL_HEADER = 46;
const END_RECORD = 22;

/** The first bytes of each kind of archive. */
const STARTS = { "tar.gz": [0x1f, 0x8b], "tar.xz": [0xfd, 0x37], zip: [0x50, 0x4b] } as const;
type ArchiveKind = keyof typeof STARTS;

/**
 * How xz packs. Both programs hold the same runtime of 100 MB, and the second one costs almost nothing when the dictionary reaches back
 * to the first; each program is smaller than 128 MiB. Unpacking takes as much memory as the dictionary.
 * One thread, so that the bytes are the same on every machine.
 */
const XZ = ["--threads=1", "--check=crc64", `--lzma2=preset=${IS_QUICK ? 0 : 3},dict=128MiB`];

/** Whether this machine can make and read a `.tar.xz`. */
export const HAS_XZ = Bun.which("xz") !== null;

/** A `.tar.xz` with the files in this order. */
export async function packTarXz(files: PackedFile[], when: Date): Promise<Bytes> {
  return through(["xz", "--compress", "--stdout", ...XZ], await packed(files, when));
}

/** A `.tar.gz` with the files in this order. */
export async function packTarGz(files: PackedFile[], when: Date, level: Level = RELEASE_LEVEL): Promise<Bytes> {
  return Bun.gzipSync(await packed(files, when), { library: "libdeflate", level });
}

/** Another program's output for this input. It ends with this process. Throws a sentence's rest when it fails. */
async function through(command: string[], input: Bytes): Promise<Bytes> {
  const child = Bun.spawn(command, { stdin: input, stdout: "pipe", stderr: "pipe" });
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  const [out, said, code] = await Promise.all([child.stdout.bytes(), child.stderr.text(), child.exited]);
  process.off("exit", end);
  if (code !== 0) throw new RangeError(`is damaged: ${said.trim()}`);
  return out as Bytes;
}

/** A `.tar` with the files in this order. In a package, whose paths begin with `./`, each folder comes before the files in it. */
async function packed(files: PackedFile[], when: Date): Promise<Bytes> {
  const common = { mtime: when, uid: 0, gid: 0, uname: "", gname: "" };
  const known = new Set<string>();
  const foldersOf = (path: string) => {
    if (!path.startsWith("./")) return [];
    const names = [...path.matchAll(/\//g)].map(({ index }) => path.slice(0, index + 1)).filter((name) => !known.has(name));
    for (const name of names) known.add(name);
    return names.map((name) => ({ header: { ...common, name, size: 0, mode: 0o755, type: "directory" as const } }));
  };
  const entries = files.flatMap(({ path, bytes, mode }) => [
    ...foldersOf(path),
    { header: { ...common, name: path, size: bytes.length, mode, type: "file" as const }, body: bytes },
  ]);
  return (await packTar(entries)) as Bytes;
}

/** A `.zip` with the files in this order. */
export function packZip(files: PackedFile[], when: Date, level: Level = RELEASE_LEVEL): Bytes {
  const chunks: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    chunks.push(chunk);
  });
  // The format's clock has no zone, and the package writes what a local clock shows: made to show UTC.
  const [year, month, day] = [when.getUTCFullYear(), when.getUTCMonth(), when.getUTCDate()];
  const mtime = new Date(year, month, day, when.getUTCHours(), when.getUTCMinutes(), when.getUTCSeconds());
  for (const { path, bytes, mode } of files) {
    const file: ZipInputFile = {
      filename: path,
      size: bytes.length,
      crc: Bun.hash.crc32(bytes),
      compression: DEFLATED,
      os: UNIX,
      attrs: ((REGULAR | mode) << 16) >>> 0,
      mtime,
    };
    zip.add(file);
    file.ondata?.(null, Bun.deflateSync(bytes, { library: "libdeflate", level }), true);
  }
  zip.end();
  return new Uint8Array(Buffer.concat(chunks));
}

/** The kind of an archive by its first bytes; undefined for anything else. */
export function kindOf(archive: Uint8Array): ArchiveKind | undefined {
  const kinds = Object.keys(STARTS) as ArchiveKind[];
  return kinds.find((kind) => STARTS[kind].every((byte, i) => archive[i] === byte));
}

/** The entries of an archive. Throws a sentence's rest if it is damaged or of no known kind. */
export async function readArchive(archive: Bytes): Promise<Entry[]> {
  switch (kindOf(archive)) {
    case "tar.gz":
      return readTar(Bun.gunzipSync(archive));
    case "tar.xz":
      return readTar(await through(["xz", "--decompress", "--stdout"], archive));
    case "zip":
      return readZip(archive);
    default:
      throw new RangeError("is no archive");
  }
}

async function readTar(tar: Bytes): Promise<Entry[]> {
  const entries = await unpackTar(tar, { strict: true });
  return entries.map(({ header, data = new Uint8Array() }) => {
    if (header.type !== "file") throw new RangeError(`holds "${header.name}", which is no file but a ${header.type}`);
    const names = [header.uname, header.gname].filter((name) => name);
    const owner = [`${header.uid}:${header.gid}`, ...names].join(" ");
    return { path: header.name, bytes: data, mode: header.mode ?? 0, time: Math.floor(Number(header.mtime) / 1000), owner };
  });
}

/** Read by its central directory (APPNOTE.TXT 4.3.12), as programs that unpack it do; not by the package that wrote it. */
function readZip(archive: Bytes): Entry[] {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  const end = archive.length - END_RECORD;
  if (end < 0 || view.getUint32(end) !== 0x504b0506) throw new RangeError("is a .zip without an end");
  const entries: Entry[] = [];
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at) !== 0x504b0102) throw new RangeError("is a .zip with a damaged directory");
    const word = (offset: number) => view.getUint16(at + offset, true);
    const long = (offset: number) => view.getUint32(at + offset, true);
    const path = new TextDecoder().decode(archive.subarray(at + CENTRAL_HEADER, at + CENTRAL_HEADER + word(28)));
    const [day, clock] = [word(14), word(12)];
    const time = Date.UTC(1980 + (day >> 9), ((day >> 5) & 15) - 1, day & 31, clock >> 11, (clock >> 5) & 63, (clock & 31) * 2);
    const attributes = long(38) >>> 16;
    if (word(4) >> 8 !== UNIX || (attributes & 0o170000) !== REGULAR) throw new RangeError(`holds "${path}", which is no file`);
    const local = long(42);
    if (view.getUint32(local) !== 0x504b0304) throw new RangeError(`has no "${path}" where its directory says`);
    const start = local + LOCAL_HEADER + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const bytes = Bun.inflateSync(archive.subarray(start, start + long(20)), { library: "libdeflate" });
    if (bytes.length !== long(24) || Bun.hash.crc32(bytes) !== long(16)) throw new RangeError(`holds a damaged "${path}"`);
    // Extra fields are where a zip archive would keep an owner and finer times.
    const owner = word(30) === 0 ? "0:0" : `${word(30)} bytes of extra fields`;
    entries.push({ path, bytes, mode: attributes & 0o7777, time: time / 1000, owner });
    at += CENTRAL_HEADER + word(28) + word(30) + word(32);
  }
  return entries;
}
