// Downloads files: looks into the folder, fetches into a part file, publishes it. Meanwhile other peers may read the part.

import { FtError } from "../error.ts";
import { type Endpoint, formatEndpoint } from "../protocol/address.ts";
import { HASH } from "../protocol/messages.ts";
import type { FileName, FileRecord } from "../protocol/record.ts";
import { printable } from "../text.ts";
import { type HashingOptions, type HashPool, sha256 } from "./content/hash.ts";
import { pieceSizeOf } from "./content/merkle.ts";
import { PieceSet } from "./content/pieces.ts";
import { checkFolder, Incoming, lookForTarget, openForHashing, partKeyOf } from "./disk/incoming.ts";
import { fetchFile } from "./fetch/fetch.ts";
import type { FetchEvent, OpenHolder } from "./fetch/types.ts";
import type { RateLimit } from "./rate-limit.ts";
import type { Known, Served } from "./serve/serve.ts";

export interface DownloadOptions {
  folder: string;
  overwrite: boolean;
  /** Fetches from the given holders only, not from others that come online meanwhile. */
  only?: boolean;
  signal: AbortSignal;
  report(event: FetchEvent): void;
}

/** A finished download. */
export interface Downloaded {
  path: string;
  size: number;
  verified: boolean;
  outcome: "new" | "already here" | "replaced";
  holders: FileRecord[];
}

export interface DownloadTools {
  dial: OpenHolder;
  pool: HashPool;
  limit: RateLimit | undefined;
  pass(): string;
  /** Whether the network or the tracker is away. */
  away(): boolean;
  /** Whether it was away until a moment ago: other peers may not be online yet. */
  unsettled(): boolean;
  /** The records of a content now. */
  look(root: string): Promise<FileRecord[]>;
  /** Whether a record's holder can be asked: another peer, at an address that can be dialled. */
  isFetchable(record: FileRecord): boolean;
  /** Whether a record is this peer's own. */
  isOwn(record: FileRecord): boolean;
  /** A part can be served from now on. */
  announce(record: FileRecord): void;
  /** A part cannot be served any more. */
  withdraw(record: FileRecord): void;
  /** A download is finished: this is the file, and the hashes of its pieces. */
  finished(path: string, root: string, pieces: Uint8Array): void;
}

/** The part of a download that has arrived and is verified. */
interface Part {
  record: FileRecord;
  pieces: Uint8Array;
  have: PieceSet;
  incoming: Incoming;
  /** One open file for all readers and the download; the last of these `users` closes it. */
  reader: ReturnType<Incoming["openForReading"]>;
  users: number;
}

/** The downloads of this peer, and their parts. */
export class Downloads {
  readonly #tools: DownloadTools;
  readonly #parts = new Map<string, Part>();
  readonly #running = new Set<Promise<unknown>>();

  constructor(tools: DownloadTools) {
    this.#tools = tools;
  }

  /** Fetches one content; the records are its holders. Throws a sentence. */
  start(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded> {
    const running = this.#download(records, options);
    this.#running.add(running);
    const ended = () => this.#running.delete(running);
    running.then(ended, ended);
    return running;
  }

  /** Whether a download is running. */
  get running(): boolean {
    return this.#running.size > 0;
  }

  /** Resolves when all downloads have ended and closed their part files. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** The records of the parts, for the tracker. */
  records({ address, port }: Endpoint): FileRecord[] {
    return [...this.#parts.values()].map(({ record }) => ({ ...record, address, port }));
  }

  /** The pieces of a part that are here. */
  look(root: string): Known | undefined {
    const part = this.#parts.get(root);
    return part === undefined ? undefined : { size: part.record.size, pieces: part.pieces, have: part.have };
  }

  /** Opens a part for reading. Only verified pieces may be read. */
  open(root: string): { name: FileName; file: Served } | undefined {
    const part = this.#parts.get(root);
    if (part === undefined) return undefined;
    const { have, reader, record } = part;
    const { size, name } = record;
    const pieceSize = pieceSizeOf(size);
    const has = (offset: number, length: number) => {
      for (let i = Math.floor(offset / pieceSize); i * pieceSize < offset + length; i++) if (!have.has(i)) return false;
      return true;
    };
    part.users += 1;
    let open = true;
    const close = () => {
      if (open) this.#giveBack(part);
      open = false;
    };
    return { name, file: { size, read: reader.read, unchanged: () => true, has, close } };
  }

  #giveBack(part: Part): void {
    part.users -= 1;
    if (part.users === 0) part.reader.close();
  }

  async #download(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded> {
    const { folder, overwrite } = options;
    const [{ name, size, root }] = records;
    const holders = records.filter((record) => this.#tools.isFetchable(record));
    checkFolder(folder);
    const here = overwrite ? undefined : await this.#alreadyHere(options, records[0]);
    if (here !== undefined) return { path: here, size, verified: true, outcome: "already here", holders: [] };
    if (holders.length === 0) {
      const own = records.some((record) => this.#tools.isOwn(record));
      const why = own ? "only you share it" : "no host can have the address in its record";
      throw new FtError("no-holder", `Cannot fetch "${printable(name)}": ${why}.`);
    }
    const key = root?.slice(0, 32) ?? partKeyOf(name, size, formatEndpoint(records[0]));
    const incoming = await Incoming.open({ folder, name, size, key, resume: root !== undefined });
    try {
      let fetched = await this.#fetch(incoming, holders, options);
      if (root !== undefined && !incoming.looksWhole) {
        // Another program has cut the part file: it is checked again, and the missing pieces are fetched.
        this.#endPart(root, incoming);
        fetched = await this.#fetch(incoming, holders, options);
      }
      const { pieces } = (root === undefined ? undefined : this.#parts.get(root)) ?? {};
      const published = await incoming.publish(overwrite);
      if (root !== undefined && pieces !== undefined) this.#tools.finished(published.path, root, pieces);
      return { ...published, size, ...fetched };
    } catch (error) {
      await incoming.keep();
      throw error;
    } finally {
      if (root !== undefined) this.#endPart(root, incoming);
    }
  }

  #fetch(incoming: Incoming, holders: FileRecord[], { only, signal, report }: DownloadOptions) {
    const { dial, pool, limit, pass, away, unsettled, look, isFetchable } = this.#tools;
    const [record] = holders;
    if (record === undefined) throw new FtError("no-holder", "There is no holder to fetch from.");
    const { name, size, root } = record;
    return fetchFile(
      { name, size, root, holders },
      {
        dial,
        target: incoming,
        pass,
        away,
        unsettled,
        layer: (memory, length) => pool.layer({ memory, length, fileSize: size }),
        sha256,
        report,
        present: (pieces, onHashed) => this.#check(incoming, size, pieces, { onHashed, signal }),
        begun: (pieces, have) => {
          if (root === undefined) return;
          const { part: _, ...whole } = record;
          const reader = incoming.openForReading();
          const part: Part = { record: { ...whole, part: true }, pieces, have, incoming, reader, users: 1 };
          this.#parts.set(root, part);
          this.#tools.announce(part.record);
        },
        ...(root === undefined || only ? {} : { look: async () => (await look(root)).filter(isFetchable) }),
        limit,
        signal,
      },
    );
  }

  /** The pieces of a part file whose hashes are right. */
  async #check(incoming: Incoming, size: number, pieces: Uint8Array, options: HashingOptions): Promise<PieceSet> {
    const have = new PieceSet(pieces.length / HASH);
    const pieceSize = pieceSizeOf(size);
    const present = incoming.present;
    const length = present >= size ? size : present - (present % pieceSize);
    if (length === 0) return have;
    const found = await this.#tools.pool.pieces(incoming.fd, size, { ...options, length });
    for (let i = 0; i < found.length / HASH; i++) {
      const [start, end] = [i * HASH, (i + 1) * HASH];
      if (Buffer.compare(found.subarray(start, end), pieces.subarray(start, end)) === 0) have.add(i);
    }
    return have;
  }

  /** The path of a file with this name and content id that is in the folder already. */
  async #alreadyHere(options: DownloadOptions, { name, size, root }: FileRecord): Promise<string | undefined> {
    const { folder, signal, report } = options;
    const there = lookForTarget(folder, name);
    if (root === undefined || there === undefined || there.size !== size) return undefined;
    const file = openForHashing(there.path);
    if (file === undefined) return undefined;
    let checked = 0;
    const onHashed = (bytes: number) => {
      checked += bytes;
      report({ event: "checking", checked, size });
    };
    try {
      const tree = await this.#tools.pool.tree(file.fd, file.size, { onHashed, signal });
      return tree.root === root ? there.path : undefined;
    } finally {
      file.close();
    }
  }

  #endPart(root: string, incoming: Incoming): void {
    const part = this.#parts.get(root);
    if (part?.incoming !== incoming) return;
    this.#parts.delete(root);
    this.#giveBack(part);
    this.#tools.withdraw(part.record);
  }
}
