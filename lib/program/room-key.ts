// Reads the key of a private room from where people and services keep it, and makes the secret of it that both sides prove to have.

import { type ScryptOptions, scrypt, scryptSync } from "node:crypto";
import { promisify } from "node:util";
import { codeOf, pathFault, UsageError } from "../error.ts";
import { readPlainFile } from "../files.ts";
import { printable } from "../text.ts";

/** The variable in the environment that has the key. It is no option: everybody on a computer can see the arguments of a program. */
export const ROOM_VARIABLE = "FT_ROOM";
/** A shorter key is guessed too easily. Characters. */
export const SHORTEST_KEY = 8;
/** The longest key. Characters. */
const LONGEST_KEY = 256;
/** A longer file is no file with a key. Bytes. */
const FILE_LIMIT = 4096;
/** The work of scrypt: 32 MiB of memory, and about a tenth of a second. It is done once for a key. */
const WORK = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
/** Stands beside the key, so that tables of the secrets of other programs' passwords are of no use here. */
const SALT = "FileTracker private room";
/** The length of the secret. Bytes. */
const SECRET_BYTES = 32;
const scryptLater = promisify<string, string, number, ScryptOptions, Uint8Array>(scrypt);

/** The same key for all ways to write it: in any case, with any spaces, in any form of its characters. Throws a `UsageError`. */
export function roomKey(typed: string, where = "The key"): string {
  const key = typed.normalize("NFKC").toLowerCase().normalize("NFKC").replace(/\s+/gu, " ").trim();
  const { length } = [...key];
  if (length === 0) throw new UsageError(`${where} is empty. A room's key has at least ${SHORTEST_KEY} characters.`);
  if (length < SHORTEST_KEY)
    throw new UsageError(`${where} is too short: a room's key has at least ${SHORTEST_KEY} characters.`);
  if (length > LONGEST_KEY) throw new UsageError(`${where} is too long: a room's key has at most ${LONGEST_KEY} characters.`);
  return key;
}

/** The secret that comes of a key. Slow on purpose. */
export function roomSecret(key: string): Uint8Array {
  return scryptSync(key, SALT, SECRET_BYTES, WORK);
}

/** The same, computed beside other work of the program. */
export async function roomSecretLater(key: string): Promise<Uint8Array> {
  const secret = await scryptLater(key, SALT, SECRET_BYTES, WORK);
  // By itself the runtime keeps the 32 MiB for a while, beside what a download needs.
  Bun.gc(true);
  return secret;
}

/** The key that was given by a file or by the environment; undefined when none was. A file comes before the environment. */
export function givenRoomKey(
  file: string | undefined,
  environment: Record<string, string | undefined> = process.env,
): string | undefined {
  if (file !== undefined) return roomKey(readKeyFile(file), `The key in "${printable(file)}"`);
  const text = environment[ROOM_VARIABLE];
  return text === undefined || text === "" ? undefined : roomKey(text, `The key in ${ROOM_VARIABLE}`);
}

/** The first line of a file that only its owner may read. */
function readKeyFile(path: string): string {
  const cannot = `Cannot read the room's key from "${printable(path)}"`;
  let isOpen = false;
  try {
    const bytes = readPlainFile(path, FILE_LIMIT, ({ mode }) => {
      isOpen = process.platform !== "win32" && (mode & 0o004) !== 0;
      return !isOpen;
    });
    const [line = ""] = new TextDecoder("utf-8", { fatal: true }).decode(bytes).split("\n");
    return line;
  } catch (error) {
    if (isOpen) throw new UsageError(`${cannot}: everybody on this computer may read it. Try: chmod 600 "${printable(path)}"`);
    throw new UsageError(`${cannot}: ${codeOf(error) === "" ? "it is not a small text file" : pathFault(error)}.`);
  }
}
