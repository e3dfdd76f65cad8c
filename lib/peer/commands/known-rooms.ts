// Remembers the private rooms that this peer was in, in a file that only this user can read: their keys, their certificates and names.

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { readPlainFile, replaceOwnFile } from "../../files.ts";
import { parsePort } from "../../protocol/address.ts";

/** The most rooms that are remembered. */
const REMEMBERED = 32;
/** A longer file is not read. Bytes. */
const FILE_LIMIT = 64 * 1024;
/** A longer name is cut. Characters. */
const NAME_LIMIT = 63;

export interface KnownRoom {
  /** Its tracker's address or name, as it was typed or found, and port. */
  address: string;
  /** The address at which it was reached last, if it is not the one above: that may be a host's name. */
  at?: string | undefined;
  port: number;
  /** The fingerprint of its tracker's certificate. */
  pin: string;
  key: string;
  /** Its name, as members see it. */
  name: string;
}

export class KnownRooms {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  all(): KnownRoom[] {
    try {
      const self = process.getuid?.();
      // A file that others can read has lost its keys; one that they can write could have other pins in it.
      const bytes = readPlainFile(this.#path, FILE_LIMIT, ({ uid, mode }) => {
        return self === undefined || (uid === self && (mode & 0o077) === 0);
      });
      const { rooms } = JSON.parse(bytes.toString()) as { rooms?: unknown };
      return Array.isArray(rooms) ? rooms.slice(0, REMEMBERED).flatMap((one) => roomOf(one) ?? []) : [];
    } catch {
      // There is no such file yet, or it holds something else.
      return [];
    }
  }

  /** The room at this address, or with this certificate, wherever it is. */
  find(isIt: (room: KnownRoom) => boolean): KnownRoom | undefined {
    return this.all().find(isIt);
  }

  /** Remembers a room, in place of what was known of it or of its address. Does nothing where that is not possible. */
  remember(room: KnownRoom): void {
    const others = this.all().filter((one) => one.pin !== room.pin && !isAt(room)(one));
    this.#write([{ ...room, name: room.name.slice(0, NAME_LIMIT) }, ...others]);
  }

  forget(isIt: (room: KnownRoom) => boolean): void {
    const all = this.all();
    const others = all.filter((one) => !isIt(one));
    if (others.length < all.length) this.#write(others);
  }

  #write(rooms: KnownRoom[]): void {
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      replaceOwnFile(this.#path, JSON.stringify({ rooms: rooms.slice(0, REMEMBERED) }));
    } catch {
      // The person is asked for the key again next time.
    }
  }
}

/** Whether a room is at this address and port. */
export function isAt({ address, port, others = [] }: { address: string; port: number; others?: string[] }) {
  const there = [address, ...others];
  return (room: KnownRoom) =>
    room.port === port && [room.address, room.at].some((one) => one !== undefined && there.includes(one));
}

function roomOf(value: unknown): KnownRoom | undefined {
  const { address, at, port, pin, key, name } = value as Record<string, unknown>;
  const isText = [address, pin, key, name].every((one) => typeof one === "string");
  if (!isText || parsePort(String(port)) === undefined || !/^[0-9a-f]{64}$/.test(String(pin))) return undefined;
  const reached = typeof at === "string" ? { at } : {};
  return { address: String(address), ...reached, port: Number(port), pin: String(pin), key: String(key), name: String(name) };
}
