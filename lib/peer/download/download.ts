// Downloads files: looks into the folder, fetches into a part file, publishes it. Meanwhile other peers may read the part.

import { concatBytes } from "../../bytes.ts";
import { systemClock } from "../../clock.ts";
import { codeOf, FtError } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { contentKeyOf } from "../../protocol/folder.ts";
import { HASH } from "../../protocol/numbers.ts";
import type { FileName, FileRecord } from "../../protocol/record.ts";
import { printable } from "../../text.ts";
import { type HashingOptions, type HashPool, sha256 } from "../content/hash.ts";
import { pieceSizeOf } from "../content/merkle.ts";
import { PieceSet } from "../content/pieces.ts";
import { lookForRenamed, lookForTargets, openForHashing } from "../disk/already-here.ts";
import type { Renamed } from "../disk/folders/folder-layout.ts";
import type { FailedFile } from "../disk/folders/incoming-folder.ts";
import { entryOf } from "../disk/identity.ts";
import { Incoming, type Published, partKeyOf } from "../disk/incoming.ts";
import { writeReach } from "../disk/part-file.ts";
import { checkFolder } from "../disk/target-folder.ts";
import { fetchFile } from "../fetch/fetch.ts";
import type { FetchEvent, Fetched, OpenHolder, ProvablePass } from "../fetch/types.ts";
import type { RateLimit } from "../rate-limit.ts";
import type { Known, Served } from "../serve/types.ts";
import { HowFar } from "./how-far.ts";
import { withKept } from "./kept.ts";
import { RunningDownloads } from "./running.ts";

/** With `inOrder`, pieces are fetched at most this far behind the first missing one. Bytes. */
const IN_ORDER_REACH = 16 * 1024 * 1024;

export interface DownloadOptions {
  folder: string;
  overwrite: boolean;
  /** The name under which the file is saved, if that is not its own. */
  as?: string | undefined;
  /** Fetches from the given holders only, not from others that come online meanwhile. */
  only?: boolean;
  /** Fetches the pieces nearly in their order: somebody reads them while they arrive. */
  inOrder?: boolean;
  /** Only for a folder: the path of the file or folder inside that is wanted. */
  inside?: string;
  signal: AbortSignal;
  report(event: FetchEvent): void;
}

/** A finished download. */
export interface Downloaded {
  path: string;
  /** The bytes that were saved. */
  size: number;
  /** Those of them that an earlier run has fetched. */
  resumed?: number | undefined;
  verified: boolean;
  /** `merged`: the files of a folder went into a folder that was there. */
  outcome: "new" | "already here" | "replaced" | "merged";
  holders: FileRecord[];
  /** Only of a folder. */
  inFolder?: {
    /** The content id of its list. */
    root: string;
    /** The number of its files, and of those that were saved. */
    files: number;
    saved: number;
    failed: FailedFile[];
    /** Those that have another name because theirs was taken, or is not safe here. */
    numbered: Renamed[];
    renamed: Renamed[];
  };
}

/** The content of a finished download. `only`: the token of those who may be shown it. */
export interface Finished {
  root: string;
  /** The hashes of its pieces. */
  pieces: Uint8Array;
  only?: string | undefined;
  /** It has taken the place of another file. */
  isReplacement?: boolean;
}

export interface DownloadTools {
  dial: OpenHolder;
  pool: HashPool;
  limit: RateLimit | undefined;
  /** This peer's own address and port, as text; undefined while the tracker is away. */
  self(): string | undefined;
  pass(): string;
  /** The pass that is good from every address, and its proof. */
  keyed?(): ProvablePass | undefined;
  /** Whether the network or the tracker is away. */
  away(): boolean;
  /** Whether the network or the tracker has just come back: other peers may not be online yet. */
  unsettled(): boolean;
  /** The records of a content now. */
  look(root: string): Promise<FileRecord[]>;
  /** The records of a record's holder now. None when it is not online, or the tracker cannot say. */
  held(record: FileRecord): Promise<FileRecord[]>;
  /** Whether a record's holder can be asked: another peer, at an address that can be dialled. */
  isFetchable(record: FileRecord): boolean;
  /** Whether a record is this peer's own. */
  isOwn(record: FileRecord): boolean;
  /** A part can be served from now on. */
  announce(record: FileRecord): void;
  /** A part cannot be served any more. */
  withdraw(record: FileRecord): void;
  /** A download is finished: this is the file. */
  finished(file: Pick<Published, "path" | "entry">, about: Finished): void;
}

/** The most times that a file is fetched when another program changes the bytes that arrived. */
const MOST_ROUNDS = 3;

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
export class Downloads extends RunningDownloads<Part> {
  readonly #tools: DownloadTools;

  constructor(tools: DownloadTools) {
    super();
    this.#tools = tools;
  }

  /** Fetches one content; the records are its holders. Throws a sentence. */
  start(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded> {
    return this.track(this.#download(records, options));
  }

  /** The pieces of a part that are here. */
  look(root: string): Known | undefined {
    const part = this.parts.get(root);
    return part === undefined ? undefined : { size: part.record.size, pieces: part.pieces, have: part.have };
  }

  /** Opens a part for reading. Only verified pieces may be read. */
  open(root: string): { name: FileName; file: Served } | undefined {
    const part = this.parts.get(root);
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
    const [{ name, size, root, only }] = records;
    const holders = records.filter((record) => this.#tools.isFetchable(record));
    checkFolder(folder);
    const here = overwrite ? undefined : await this.#alreadyHere(options, records[0]);
    if (here !== undefined) return { path: here, size, verified: true, outcome: "already here", holders: [] };
    if (holders.length === 0) {
      const own = records.some((record) => this.#tools.isOwn(record));
      const why = own ? "only you share it" : "its address is not reachable from here";
      throw new FtError("no-holder", `Cannot fetch "${printable(name)}": ${why}.`);
    }
    const key = root?.slice(0, 32) ?? partKeyOf(name, size, formatEndpoint(records[0]));
    const saved = { folder, name: options.as ?? name, size, key, resume: root !== undefined, overwrite };
    const incoming = await Incoming.open({ ...saved, modified: exactDateOf(records[0]) });
    const stop = () => incoming.stop();
    options.signal.addEventListener("abort", stop);
    if (incoming.foreign !== undefined) options.report({ event: "foreign-part", path: incoming.foreign });
    try {
      const fetched = await this.#fetchUntilProven(incoming, holders, options);
      const { pieces } = (root === undefined ? undefined : this.parts.get(root)) ?? {};
      const { entry, ...published } = await incoming.publish(overwrite, originOf(fetched.holders[0] ?? holders[0], root));
      if (root !== undefined && pieces !== undefined) {
        const isReplacement = published.outcome === "replaced";
        this.#tools.finished({ path: published.path, entry }, { root, pieces, only, isReplacement });
      }
      return { ...published, size, resumed: fetched.resumed, verified: fetched.verified, holders: fetched.holders };
    } catch (error) {
      // A person who stops a download is told that it can go on. One that failed before anything came leaves nothing behind.
      const isKept = await incoming.keep(options.signal.aborted);
      throw withKept(error, root === undefined ? "nothing" : isKept ? "all" : "part");
    } finally {
      options.signal.removeEventListener("abort", stop);
      if (root !== undefined) this.#endPart(root, incoming);
    }
  }

  /** Fetches until the part file has the proven bytes. If another program has changed it, checks its bytes again. */
  async #fetchUntilProven(incoming: Incoming, holders: FileRecord[], options: DownloadOptions): Promise<Fetched> {
    const [{ root } = {}] = holders;
    for (let round = 1; ; round++) {
      let fetched: Fetched;
      try {
        fetched = await this.#fetchWatched(incoming, holders, options);
        // Some file systems change a file's times when they write it to the disk.
        await incoming.flush();
      } catch (error) {
        if (codeOf(error) !== "EIO" || round === MOST_ROUNDS) throw error;
        if (root !== undefined) this.#endPart(root, incoming);
        await incoming.moveElsewhere();
        continue;
      }
      if (!incoming.changedByOthers && incoming.looksWhole) return fetched;
      incoming.trust();
      const proven = root ?? fetched.arrived;
      if (proven !== undefined && (await this.#isProven(incoming, proven, options.signal))) return fetched;
      if (round === MOST_ROUNDS) throw incoming.changedError();
      if (root !== undefined) this.#endPart(root, incoming);
    }
  }

  /** Whether the bytes of the part file are the content, and nobody has changed them meanwhile. */
  async #isProven(incoming: Incoming, root: string, signal: AbortSignal): Promise<boolean> {
    const tree = await this.#tools.pool.tree(incoming.fd, incoming.present, { signal });
    return tree.root === root && !incoming.changedByOthers;
  }

  /** Fetches, and ends as soon as the part file is gone, even while nothing arrives. */
  async #fetchWatched(incoming: Incoming, holders: FileRecord[], options: DownloadOptions): Promise<Fetched> {
    const lost = new AbortController();
    const stopWatching = incoming.watch((error) => lost.abort(error));
    try {
      return await this.#fetch(incoming, holders, { ...options, signal: AbortSignal.any([options.signal, lost.signal]) });
    } catch (error) {
      throw lost.signal.aborted && !options.signal.aborted ? lost.signal.reason : error;
    } finally {
      stopWatching();
    }
  }

  #fetch(incoming: Incoming, holders: FileRecord[], { only, inOrder, signal, report }: DownloadOptions) {
    const { dial, pool, limit, self, pass, keyed, away, unsettled, look, held, isFetchable } = this.#tools;
    const [record] = holders;
    if (record === undefined) throw new FtError("no-holder", "There is no holder to fetch from.");
    const { name, size, root } = record;
    const isSame = (one: FileRecord) => isFetchable(one) && contentKeyOf(one) === contentKeyOf(record);
    let howFar: HowFar | undefined;
    return fetchFile(
      { name, size, root, holders },
      {
        dial,
        target: incoming,
        ...(inOrder ? {} : { self }),
        pass,
        ...(keyed === undefined ? {} : { keyed }),
        away,
        unsettled,
        layer: (memory, length) => pool.layer({ memory, length, fileSize: size }),
        sha256,
        report: (event) => {
          if (event.event === "progress") howFar?.moved();
          report(event);
        },
        present: (pieces, onHashed) => this.#check(incoming, size, pieces, { onHashed, signal }),
        begun: (pieces, have) => {
          if (root === undefined) return;
          const { beyond: _, ...rest } = record;
          const reader = incoming.openForReading();
          const part: Part = { record: { ...rest, part: true }, pieces, have, incoming, reader, users: 1 };
          this.parts.set(root, part);
          howFar = new HowFar(part.record, have, this.#tools.announce, systemClock);
        },
        rereads: async (holder) => (await held(holder)).some((one) => one.v2 && one.root === undefined && one.size === size),
        ...(root === undefined || only ? {} : { look: async () => (await look(root)).filter(isSame) }),
        reach: inOrder ? IN_ORDER_REACH : writeReach(process.platform),
        limit,
        signal,
      },
    );
  }

  /** The pieces of a part file whose hashes are right. */
  async #check(incoming: Incoming, size: number, pieces: Uint8Array, options: HashingOptions): Promise<PieceSet> {
    const have = new PieceSet(pieces.length / HASH);
    const pieceSize = pieceSizeOf(size);
    incoming.trust();
    const present = incoming.present;
    const length = present >= size ? size : present - (present % pieceSize);
    if (length === 0) return have;
    const found = await this.#tools.pool.pieces(incoming.fd, size, { ...options, length }).catch((error: unknown) => {
      if (codeOf(error) !== "EIO") throw error;
      return this.#readablePieces(incoming.fd, size, length, options.signal);
    });
    for (let i = 0; i < found.length / HASH; i++) {
      const [start, end] = [i * HASH, (i + 1) * HASH];
      if (Buffer.compare(found.subarray(start, end), pieces.subarray(start, end)) === 0) have.add(i);
    }
    return have;
  }

  /** The hashes of the pieces that can be read, and zeros for those on a bad place of the disk: they are fetched again. */
  async #readablePieces(fd: number, fileSize: number, end: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const step = pieceSizeOf(fileSize);
    const hashes: Uint8Array[] = [];
    for (let offset = 0; offset < end; offset += step) {
      signal?.throwIfAborted();
      const layer = this.#tools.pool.layer({ fd, offset, length: Math.min(step, end - offset), fileSize });
      hashes.push(await layer.catch(() => new Uint8Array(HASH)));
    }
    return concatBytes(hashes);
  }

  /** The path of a file with this content id that is in the folder already. It is shared like one that was fetched. */
  async #alreadyHere(options: DownloadOptions, record: FileRecord): Promise<string | undefined> {
    const { name, size, root, only } = record;
    if (root === undefined) return undefined;
    let checked = 0;
    const onHashed = (bytes: number) => {
      checked += bytes;
      options.report({ event: "checking", checked, size });
    };
    const { folder, as } = options;
    // A file that shall have a certain name is not taken for there when it has another one.
    const renamed = as === undefined ? lookForRenamed(folder, name, size, exactDateOf(record)) : [];
    for (const path of [...lookForTargets(folder, as ?? name, size), ...renamed]) {
      const file = openForHashing(path);
      if (file === undefined) continue;
      checked = 0;
      try {
        const tree = await this.#tools.pool.tree(file.fd, file.size, { onHashed, signal: options.signal });
        if (tree.root !== root) continue;
        const entry = entryOf(file.fd);
        if (entry !== undefined) this.#tools.finished({ path, entry }, { root, pieces: tree.pieces, only });
        return path;
      } catch (error) {
        // A file that cannot be read, or becomes shorter meanwhile, is another one.
        if (codeOf(error) !== "EIO" && codeOf(error) !== "unreadable") throw error;
      } finally {
        file.close();
      }
    }
    return undefined;
  }

  #endPart(root: string, incoming: Incoming): void {
    const part = this.parts.get(root);
    if (part?.incoming !== incoming) return;
    this.parts.delete(root);
    this.#giveBack(part);
    this.#tools.withdraw(part.record);
  }
}

/** The date that the fetched file keeps. A basic record has only a day, and not its time zone: then the time of arrival is truer. */
function exactDateOf({ mtime }: FileRecord): Date | undefined {
  return mtime === undefined ? undefined : new Date(mtime);
}

/** Where a file came from, for the system's mark of files from the network. */
function originOf(holder: FileRecord | undefined, root: string | undefined): string | undefined {
  return holder && root && `ft://${formatEndpoint(holder)}/${root}`;
}
