// Executable files from their first bytes: which system and processor they are for, and whether macOS takes their signature.

/** Mach-O: the load commands that are looked at, and the size of the header before them. */
const LC_SEGMENT_64 = 0x19;
const LC_CODE_SIGNATURE = 0x1d;
const MACH_HEADER = 32;
/** A signature's parts are big-endian; the rest of the file is not. */
const EMBEDDED_SIGNATURE = 0xfade0cc0;
const CODE_DIRECTORY = 0xfade0c02;
const CODE_DIRECTORY_VERSION = 0x20400;
const CODE_DIRECTORY_HEADER = 88;
/** Signed by nobody, as a linker does it: what every program on Apple's own processors needs at least. */
const ADHOC_LINKER_SIGNED = 0x20002;
const SHA256_BYTES = 32;
const SHA256_TYPE = 2;
const PAGE_BITS = 12;
const MAIN_BINARY = 1n;
/** The memory of a segment is a multiple of this. Bytes. */
const MEMORY_PAGE = 16_384;

const ELF_MACHINES = new Map([
  [0x3e, "x86-64"],
  [0xb7, "aarch64"],
]);
const MACHO_PROCESSORS = new Map([
  [0x01000007, "x86-64"],
  [0x0100000c, "aarch64"],
]);
const PE_MACHINES = new Map([
  [0x8664, "x86-64"],
  [0xaa64, "aarch64"],
]);

/** Such as "ELF x86-64 /lib64/ld-linux-x86-64.so.2", "Mach-O aarch64" or "PE x86-64"; "unknown" for anything else. */
export function describeBinary(bytes: Uint8Array): string {
  try {
    const view = viewOf(bytes);
    const magic = view.getUint32(0);
    // 64 bits, little-endian.
    if (magic === 0x7f454c46 && view.getUint16(4) === 0x0201) return describeElf(bytes, view);
    if (magic === 0xcffaedfe) return `Mach-O ${MACHO_PROCESSORS.get(view.getUint32(4, true)) ?? "of another processor"}`;
    if (magic >>> 16 === 0x4d5a) {
      const header = view.getUint32(0x3c, true);
      if (view.getUint32(header) !== 0x50450000) return "unknown";
      return `PE ${PE_MACHINES.get(view.getUint16(header + 4, true)) ?? "of another processor"}`;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return "unknown";
}

/** With the program interpreter, by which glibc and musl are told apart. */
function describeElf(bytes: Uint8Array, view: DataView): string {
  const machine = ELF_MACHINES.get(view.getUint16(18, true)) ?? "of another processor";
  const table = Number(view.getBigUint64(32, true));
  const [entrySize, count] = [view.getUint16(54, true), view.getUint16(56, true)];
  for (let i = 0; i < count; i++) {
    const entry = table + i * entrySize;
    const isInterpreter = view.getUint32(entry, true) === 3;
    if (!isInterpreter) continue;
    const [offset, size] = [Number(view.getBigUint64(entry + 8, true)), Number(view.getBigUint64(entry + 32, true))];
    return `ELF ${machine} ${new TextDecoder().decode(bytes.subarray(offset, offset + size - 1))}`;
  }
  return `ELF ${machine} static`;
}

/** Why macOS would not take the signature of a Mach-O file; undefined when it would. Held against the hash of every page. */
export function signatureFault(bytes: Uint8Array): string | undefined {
  const view = viewOf(bytes);
  const { signature, linkedit } = loadCommands(view);
  if (signature === undefined) return "has no code signature";
  // macOS ends a program whose last segment has less memory than bytes in the file.
  if (linkedit !== undefined && linkedit.memory < linkedit.size) return "has no memory for its code signature";
  const { offset, size } = signature;
  if (offset + size !== bytes.length) return "does not end with its code signature";
  if (view.getUint32(offset) !== EMBEDDED_SIGNATURE) return "has a damaged code signature";
  const directory = offset + view.getUint32(offset + 16);
  if (view.getUint32(directory) !== CODE_DIRECTORY) return "has no code directory";
  const field = (index: number) => view.getUint32(directory + 4 * index);
  const [hashes, count, limit] = [field(4), field(7), field(8)];
  const page = 2 ** view.getUint8(directory + 39);
  if (view.getUint8(directory + 36) !== SHA256_BYTES || view.getUint8(directory + 37) !== SHA256_TYPE)
    return "is not signed by SHA-256";
  if (limit !== offset || count !== Math.ceil(limit / page)) return `is signed up to byte ${limit}, its code ends at ${offset}`;
  for (let i = 0; i < count; i++) {
    const hash = sha256(bytes.subarray(i * page, Math.min((i + 1) * page, limit)));
    const kept = directory + hashes + i * SHA256_BYTES;
    if (!hash.equals(bytes.subarray(kept, kept + SHA256_BYTES))) return `was changed in page ${i} after it was signed`;
  }
  return undefined;
}

/** The name in the signature of a Mach-O file, by which firewalls and lists of permissions tell programs apart; undefined without one. */
export function signatureIdentifier(bytes: Uint8Array): string | undefined {
  const view = viewOf(bytes);
  const { signature } = loadCommands(view);
  if (signature === undefined) return undefined;
  const directory = signature.offset + view.getUint32(signature.offset + 16);
  const start = directory + view.getUint32(directory + 20);
  return new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start)));
}

/**
 * A Mach-O file with an ad-hoc signature in the place of the one that it has. The compiler signs for Apple's processors; on the
 * others it leaves the runtime's own signature, which is not right for the compiled file.
 */
export function signed(bytes: Uint8Array<ArrayBuffer>, identifier: string): Uint8Array<ArrayBuffer> {
  const { signature, linkedit, text } = loadCommands(viewOf(bytes));
  if (signature === undefined || linkedit === undefined || text === undefined)
    throw new RangeError("has no place for a signature");
  const limit = signature.offset;
  const name = new TextEncoder().encode(`${identifier}\0`);
  const pages = Math.ceil(limit / 2 ** PAGE_BITS);
  const hashes = CODE_DIRECTORY_HEADER + name.length;
  const length = hashes + pages * SHA256_BYTES;
  const blob = 20;
  const size = Math.ceil((blob + length) / 16) * 16;

  const out = new Uint8Array(limit + size);
  out.set(bytes.subarray(0, limit));
  const view = viewOf(out);
  view.setUint32(signature.command + 12, size, true);
  const linkeditSize = limit + size - linkedit.offset;
  view.setBigUint64(linkedit.command + 48, BigInt(linkeditSize), true);
  const memory = Math.max(linkedit.memory, Math.ceil(linkeditSize / MEMORY_PAGE) * MEMORY_PAGE);
  view.setBigUint64(linkedit.command + 32, BigInt(memory), true);

  const put = (at: number, ...values: number[]) => values.forEach((value, i) => void view.setUint32(at + 4 * i, value));
  put(limit, EMBEDDED_SIGNATURE, blob + length, 1, 0, blob);
  const directory = limit + blob;
  put(directory, CODE_DIRECTORY, length, CODE_DIRECTORY_VERSION, ADHOC_LINKER_SIGNED);
  put(directory + 16, hashes, CODE_DIRECTORY_HEADER, 0, pages, limit);
  out.set([SHA256_BYTES, SHA256_TYPE, 0, PAGE_BITS], directory + 36);
  view.setBigUint64(directory + 64, BigInt(text.offset));
  view.setBigUint64(directory + 72, BigInt(text.size));
  view.setBigUint64(directory + 80, MAIN_BINARY);
  out.set(name, directory + CODE_DIRECTORY_HEADER);
  for (let i = 0; i < pages; i++) {
    const page = out.subarray(i * 2 ** PAGE_BITS, Math.min((i + 1) * 2 ** PAGE_BITS, limit));
    out.set(sha256(page), directory + hashes + i * SHA256_BYTES);
  }
  return out;
}

interface Part {
  /** Where its load command is. */
  command: number;
  /** Where its bytes are in the file, and how many. */
  offset: number;
  size: number;
}

/** A part that is loaded: with the number of bytes that it has in memory. */
interface Segment extends Part {
  memory: number;
}

function loadCommands(view: DataView): { signature?: Part; linkedit?: Segment; text?: Segment } {
  const found: { signature?: Part; linkedit?: Segment; text?: Segment } = {};
  let command = MACH_HEADER;
  for (let left = view.getUint32(16, true); left > 0; left--) {
    const kind = view.getUint32(command, true);
    if (kind === LC_CODE_SIGNATURE) {
      found.signature = { command, offset: view.getUint32(command + 8, true), size: view.getUint32(command + 12, true) };
    } else if (kind === LC_SEGMENT_64) {
      const name = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + command + 8, 16)).replace(/\0+$/, "");
      const [offset, size] = [view.getBigUint64(command + 40, true), view.getBigUint64(command + 48, true)];
      const memory = Number(view.getBigUint64(command + 32, true));
      const part = { command, offset: Number(offset), size: Number(size), memory };
      if (name === "__LINKEDIT") found.linkedit = part;
      if (name === "__TEXT") found.text = part;
    }
    command += view.getUint32(command + 4, true);
  }
  return found;
}

function sha256(bytes: Uint8Array): Buffer {
  return new Bun.CryptoHasher("sha256").update(bytes).digest();
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
