// A server with a disk in memory, and downloaders that speak bytes. Time is moved by hand.

import { expect } from "bun:test";
import { sha256 } from "../../lib/peer/content/hash.ts";
import { blockLayer, layerAbove, pieceHash, pieceSizeOf } from "../../lib/peer/content/merkle.ts";
import type { PieceSet } from "../../lib/peer/content/pieces.ts";
import { Server } from "../../lib/peer/serve/serve.ts";
import type { FileAsked, Known, Opened, Served, ServeEvent, ServeOptions, Upload } from "../../lib/peer/serve/types.ts";
import type { Address, Endpoint } from "../../lib/protocol/address.ts";
import { addressOf, connection, type Far, HandClock, type Side, settle } from "./channel.ts";

export const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
export const OTHER_ROOT = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
export const DOWNLOADER: Endpoint = { address: addressOf("192.168.1.30"), port: 51_000 };
export const PASS = "good.pass";
export const HELLO = `HELLO FT/2 pass=${PASS}\n`;
export const KiB = 1024;
export const MiB = 1024 * KiB;

/** An upload of a small file that has just begun. */
export function anUpload(more: Partial<Upload> = {}): Upload {
  const to = { address: addressOf("10.0.0.7"), port: 48_846 };
  const whole = { name: "a.txt", size: 9 };
  return { to, id: "p7", name: "a.txt", root: undefined, whole, wanted: 9, sent: 0, since: 0, seconds: 0, ...more };
}

/** The same bytes in every run, and different ones at every place. */
export function bytesOf(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >> 8) * 17 + (i >> 16)) & 255;
  return bytes;
}

interface Stored {
  bytes: Uint8Array;
  root?: string;
  pieces?: Uint8Array;
  /** Of a file that is still being fetched. */
  have?: PieceSet;
  /** Reading before this place keeps the program waiting. */
  busyUntil?: number;
}

/** The hashes of a content's pieces, one by one. */
export function piecesOf(bytes: Uint8Array): Uint8Array {
  const size = pieceSizeOf(bytes.length);
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    hashes.push(pieceHash(blockLayer(bytes.subarray(at, at + size), sha256), bytes.length, sha256));
  }
  return Buffer.concat(hashes);
}

/** A disk in memory, and everything that was done with it. */
export class Disk {
  readonly files = new Map<string, Stored>();
  /** Names asked for to be opened. */
  readonly asked: unknown[] = [];
  opened = 0;
  closed = 0;
  /** Where reads began. */
  readonly reads: number[] = [];
  readonly changed: string[] = [];
  /** What a read gives instead of the bytes; undefined lets it be. */
  onRead: ((name: string, at: number) => Promise<number> | undefined) | undefined;
  stale = false;

  look(root: string): Known | undefined {
    const [found] = [...this.files.values()].filter((file) => file.root === root);
    if (found === undefined) return undefined;
    const { bytes, have } = found;
    const pieces = found.pieces ?? Buffer.from(root, "hex");
    return { size: bytes.length, pieces, ...(have === undefined ? {} : { have }) };
  }

  open(wanted: FileAsked): Opened | undefined {
    this.asked.push(wanted);
    for (const [name, { bytes, root, have, busyUntil = 0 }] of this.files) {
      if (wanted.name !== undefined && wanted.name !== name) continue;
      if (wanted.root !== undefined && wanted.root !== root) continue;
      if (wanted.size !== undefined && wanted.size !== bytes.length) continue;
      this.opened += 1;
      const file: Served = {
        size: bytes.length,
        busyUntil,
        read: async (into, at) => {
          this.reads.push(at);
          const instead = this.onRead?.(name, at);
          if (instead !== undefined) return instead;
          const part = bytes.subarray(at, at + into.length);
          into.set(part);
          return part.length;
        },
        unchanged: () => !this.stale,
        ...(have === undefined
          ? {}
          : {
              has: (offset: number, length: number) => {
                const size = pieceSizeOf(bytes.length);
                for (let i = Math.floor(offset / size); i * size < offset + length; i++) if (!have.has(i)) return false;
                return true;
              },
            }),
        close: () => {
          this.closed += 1;
        },
      };
      return { name, root, file };
    }
    return undefined;
  }
}

/** The layer in which `step` pieces are one hash. */
export function layerOf(pieces: Uint8Array, size: number, step: number): Uint8Array {
  const steps = layerAbove(pieces, size, step, sha256);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** A server, its disk, and what it reported. */
export class Hall {
  readonly disk = new Disk();
  readonly clock = new HandClock();
  readonly events: ServeEvent[] = [];
  refusePass: (pass: string, from: Address) => string | undefined = (pass) =>
    pass === PASS ? undefined : "The pass is not from this peer's tracker.";
  known: (from: Address) => Promise<boolean> = async () => true;
  readonly server: Server;
  readonly #options: ServeOptions = {
    open: (wanted) => this.disk.open(wanted),
    changed: (name) => this.disk.changed.push(name),
    look: (root) => this.disk.look(root),
    clock: this.clock,
    sha256,
    readPass: (pass, from) => {
      const refusal = this.refusePass(pass, from);
      return refusal === undefined ? { id: from } : { refusal };
    },
    known: (from) => this.known(from),
    report: (event) => this.events.push(event.event === "download-refused" ? event : { ...event, upload: { ...event.upload } }),
  };

  constructor(more: (hall: Hall) => Partial<ServeOptions> = () => ({})) {
    this.server = new Server({ ...this.#options, ...more(this) });
    this.disk.files.set("hello.txt", { bytes: new TextEncoder().encode("Hello, world"), root: ROOT });
  }

  connect(from: Endpoint = DOWNLOADER): { near: Side; far: Far } {
    const both = connection(from, this.clock);
    this.server.accept(both.near);
    return both;
  }

  /** A downloader that has shown its pass and was greeted. */
  async welcome(from?: Endpoint): Promise<{ near: Side; far: Far }> {
    const both = this.connect(from);
    both.far.say(HELLO);
    expect(await both.far.line()).toBe("HI FT/2");
    return both;
  }

  /** Everything opened was closed, and nothing is going out any more. */
  async expectTidy(): Promise<void> {
    await settle();
    expect(this.disk.closed).toBe(this.disk.opened);
    expect(this.server.uploads.size).toBe(0);
  }
}
