// Downloads, each from the first look into the folder to the published file, and what others may have of them meanwhile.

import { FtError } from "../error.ts";
import { type Endpoint, formatEndpoint } from "../protocol/address.ts";
import { HASH } from "../protocol/messages.ts";
import type { FileName, FileRecord } from "../protocol/record.ts";
import type { RateLimit } from "../rate.ts";
import { printable } from "../text.ts";
import { type HashPool, sha256 } from "./content/hash.ts";
import { pieceSizeOf } from "./content/merkle.ts";
import { PieceSet } from "./content/pieces.ts";
import { checkFolder, Incoming, lookForTarget, openForHashing, partKeyOf } from "./disk/incoming.ts";
import type { Downloaded } from "./events.ts";
import { fetchFile } from "./fetch/fetch.ts";
import type { FetchEvent, OpenHolder } from "./fetch/types.ts";
import type { Known, Served } from "./serve/serve.ts";

export interface DownloadOptions {
  folder: string;
  overwrite: boolean;
  /** Only those who were named are asked, nobody who turns up later. */
  only?: boolean;
  signal: AbortSignal;
  report(event: FetchEvent): void;
}

export interface DownloadTools {
  dial: OpenHolder;
  pool: HashPool;
  limit: RateLimit | undefined;
  pass(): string;
  /** Whether this machine is off the network just now. */
  away?(): boolean;
  unsettled?(): boolean;
  /** Who has a content now. */
  look(root: string): Promise<FileRecord[]>;
  /** Whether a record can be fetched from: not this peer's own, and an address that can be meant. */
  isFetchable(record: FileRecord): boolean;
  /** Whether a record is this peer's own. */
  isOwn(record: FileRecord): boolean;
  /** A part can be served from now on, or not any more. */
  announce(record: FileRecord): void;
  withdraw(record: FileRecord): void;
  /** A download is finished: this is the file, and the hashes of its pieces. */
  finished(path: string, root: string, pieces: Uint8Array): void;
}

/** A file on its way in, as far as it can be served. */
interface Part {
  record: FileRecord;
  pieces: Uint8Array;
  have: PieceSet;
  incoming: Incoming;
  /** One descriptor for all who read it; it is closed when the last of them, and the download, are done. */
  reader: ReturnType<Incoming["openForReading"]>;
  users: number;
}

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

  /** Whether anything is being fetched. */
  get running(): boolean {
    return this.#running.size > 0;
  }

  /** Resolves when each has put its part file in order. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** The records of what is being fetched. */
  records({ address, port }: Endpoint): FileRecord[] {
    return [...this.#parts.values()].map(({ record }) => ({ ...record, address, port }));
  }

  look(root: string): Known | undefined {
    const part = this.#parts.get(root);
    return part === undefined ? undefined : { size: part.record.size, pieces: part.pieces, have: part.have };
  }

  /** Opens what has arrived of a content. Only verified pieces are ever read from it. */
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
    const here = overwrite ? undefined : await this.#alreadyHere(options, name, size, root);
    if (here !== undefined) return { path: here, size, verified: true, outcome: "already here", holders: [] };
    if (holders.length === 0) {
      const own = records.some((record) => this.#tools.isOwn(record));
      const why = own ? "only you share it" : "its record gives an address that cannot be meant";
      throw new FtError("no-holder", `Cannot fetch "${printable(name)}": ${why}.`);
    }
    const key = root?.slice(0, 32) ?? partKeyOf(name, size, formatEndpoint(records[0]));
    const incoming = await Incoming.open({ folder, name, size, key, resume: root !== undefined });
    try {
      let fetched = await this.#fetch(incoming, holders, options);
      if (root !== undefined && !incoming.looksWhole) {
        // Somebody has cut the part file meanwhile: it is looked at again, and what is missing fetched.
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
    const { dial, pool, limit, pass, look, isFetchable } = this.#tools;
    const [record] = holders;
    if (record === undefined) throw new FtError("no-holder", "There is nobody to fetch from.");
    const { name, size, root } = record;
    return fetchFile(
      { name, size, root, holders },
      {
        dial,
        target: incoming,
        pass,
        away: () => this.#tools.away?.() === true,
        unsettled: () => this.#tools.unsettled?.() === true,
        layer: (memory, length) => pool.layer({ memory, length, fileSize: size }),
        sha256,
        report,
        present: (pieces, onChecked) => this.#check(incoming, size, pieces, onChecked, signal),
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

  /** Which pieces of a part file are right: the file and the tree are all that is believed. */
  async #check(
    incoming: Incoming,
    size: number,
    pieces: Uint8Array,
    onHashed: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<PieceSet> {
    const have = new PieceSet(pieces.length / HASH);
    const pieceSize = pieceSizeOf(size);
    const present = incoming.present;
    const length = present >= size ? size : present - (present % pieceSize);
    if (length === 0) return have;
    const found = await this.#tools.pool.pieces(incoming.fd, size, { length, onHashed, signal });
    for (let i = 0; i < found.length / HASH; i++) {
      if (Buffer.compare(found.subarray(i * HASH, (i + 1) * HASH), pieces.subarray(i * HASH, (i + 1) * HASH)) === 0)
        have.add(i);
    }
    return have;
  }

  /** A file of this name and content that is here already, by its path; only a content id can tell. */
  async #alreadyHere(
    { folder, signal, report }: DownloadOptions,
    name: string,
    size: number,
    root: string | undefined,
  ): Promise<string | undefined> {
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
