// Describes a peer that is online as the tracker sees it: its connection, its records, and how it receives answers.

import { type Address, hostOf } from "../protocol/address.ts";
import type { CallBack, Profile } from "../protocol/messages.ts";
import { type FileName, modifiedOf, type Unplaced } from "../protocol/record.ts";
import type { encodeFromTracker } from "../protocol/write.ts";
import type { Allowance } from "../rate.ts";
import { type Few, oneOf, sizeOf } from "./compact/few.ts";
import { detached, type SharedTexts } from "./compact/texts.ts";
import type { Findable } from "./find-index.ts";

/** An accepted peer. Its address is the one that the tracker saw, whatever the peer wrote. */
export interface Member {
  readonly id: string;
  readonly profile: Profile;
  readonly address: Address;
  readonly agent: string;
  /** No other peer online has it. Not every peer has one. */
  readonly name?: string | undefined;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** The port of all its records. */
  readonly port: number;
  /** Whether the tracker could connect to that port; undefined until it has tried. */
  readonly reach?: boolean | undefined;
  /** It serves the guests of the web page. */
  readonly guests?: boolean | undefined;
  /** FT/1 peers have none, and peers of other trackers. */
  readonly presence?: Presence | undefined;
  /** Another tracker that shares its index, when the peer is online there. */
  readonly tracker?: string | undefined;
}

/** A message that a tracker sends to a peer without a request. */
export type Unasked = Extract<
  Parameters<typeof encodeFromTracker>[0],
  { verb: "OFFERED" | "DECLINED" | "APPEARED" | "NOTICE" }
>;

/** The connection of an FT/2 peer that is online, as the requests of other peers reach it. */
export interface Presence extends Seer {
  /** In a private room: the fingerprint of its certificate. */
  readonly fingerprint: string | undefined;
  /** Asks the peer to connect to another one; false when it gets too many such requests. */
  ask(call: CallBack): boolean;
  /** Whether the claim shows that it is the same peer, on another connection. */
  isBack(claim: SessionClaim): boolean;
  /** Ends this connection without removing the peer, because the peer has a new connection. */
  replace(): void;
  /** Limits what it is told without having asked: files that appear, and offers. */
  readonly pushes: Allowance;
  /** Tells it something that it has not asked for. */
  push(message: Unasked): void;
}

/** A new peer that says the session of an earlier one. Anybody on the network may have overheard that session. */
export interface SessionClaim {
  session: string;
  address: Address;
  /** Its session key; "" when it has none. */
  key: string;
  /** Whether it has the private half, too. */
  isProven(): boolean;
}

/**
 * The receiver of an answer: its address, and (`via`) the tracker's address on its connection. The receiver gets `via` as the address
 * of peers that run on the tracker's machine.
 */
export interface Seer {
  address: Address;
  via: Address;
  /** It knows what `reach` means. */
  extras?: boolean;
  /** It knows that peers have names. */
  knowsNames?: boolean;
  /** It wants to be told of offers. */
  hearsOffers?: boolean;
  /** The id of an FT/2 peer that is online. Others are shown no record with a token. */
  id?: string;
}

/** A member and its records by name, in the order in which they came. */
export class Shelf implements Member {
  readonly id: string;
  readonly profile: Profile;
  readonly address: Address;
  readonly agent: string;
  readonly name: string | undefined;
  readonly since: number;
  port: number;
  reach: boolean | undefined;
  readonly guests: boolean | undefined;
  readonly presence: Presence | undefined;
  readonly tracker: string | undefined;
  /** An IPv4 address or the network of an IPv6 address. One host can be several peers, but each host counts once. */
  readonly host: string;
  /** By name. */
  records: Few<SharedFile> | undefined;
  /** Records of files that the peer is still fetching. */
  parts = 0;
  /** Whole files that are not shown to everybody. */
  enclosed = 0;
  /** Records that do not count towards its limit: of unfinished files, and of whole ones beyond the limit. */
  uncounted = 0;
  /** Bytes of its whole files. A sum of several sizes may be no exact `number`. */
  bytes = 0n;
  /** Another FT/2 peer has the same address and port: both are behind one router, and are told apart by their ids. */
  isTwin = false;

  constructor(member: Member, texts: SharedTexts) {
    this.id = member.id;
    this.profile = member.profile;
    this.address = member.address;
    this.agent = texts.of(member.agent);
    this.name = detached(member.name);
    this.since = member.since;
    this.port = member.port;
    this.guests = member.guests;
    this.presence = member.presence;
    this.tracker = member.tracker;
    this.host = hostOf(member.address);
  }

  /** The number of its records. */
  get count(): number {
    return sizeOf(this.records);
  }

  /** Its record of this name. */
  record(name: FileName): SharedFile | undefined {
    return oneOf(this.records, name, nameOf);
  }
}

/** The key of a record in its holder's list. */
export function nameOf({ name }: SharedFile): FileName {
  return name;
}

/** The attributes that few records have. */
type Seldom = Readonly<Pick<Unplaced, "files" | "list" | "part" | "beyond" | "only">>;

/** A record of a peer's list, without its endpoint. There are many, so attributes that few of them have lie in a separate object. */
export class SharedFile implements Unplaced, Findable<SharedFile> {
  readonly name: FileName;
  readonly holder: Shelf;
  type = "";
  size = 0;
  date = "";
  v2 = false;
  mtime: string | undefined;
  root: string | undefined;
  have: number | undefined;
  /** Its number among the records of its content, in the order in which they came. */
  arrival = 0;
  title: Findable<SharedFile>["title"];
  #seldom: Seldom | undefined;

  constructor(record: Unplaced, holder: Shelf, texts: SharedTexts) {
    this.name = detached(record.name);
    this.holder = holder;
    this.have = haveOf(record);
    this.change(record, texts);
  }

  get modified(): string {
    return modifiedOf(this);
  }

  get files(): number | undefined {
    return this.#seldom?.files;
  }

  get list(): number | undefined {
    return this.#seldom?.list;
  }

  get part(): true | undefined {
    return this.#seldom?.part;
  }

  get beyond(): true | undefined {
    return this.#seldom?.beyond;
  }

  get only(): string | undefined {
    return this.#seldom?.only;
  }

  /** Whether it says what `record` says; only `have` may differ. */
  isLike(record: Unplaced): boolean {
    return COMPARED.every((key) => this[key] === record[key]);
  }

  /** From now on it says what `record` says, but for its `have`. */
  change(record: Unplaced, texts: SharedTexts): void {
    const { size, v2, files, list, part, beyond, only } = record;
    this.type = texts.of(record.type);
    this.size = size;
    this.date = texts.of(record.date);
    this.v2 = v2;
    this.mtime = detached(record.mtime);
    this.root = detached(record.root);
    const isPlain = files === undefined && list === undefined && !part && !beyond && only === undefined;
    this.#seldom = isPlain ? undefined : { files, list, part, beyond, only: detached(only) };
  }
}

const COMPARED = ["type", "size", "date", "v2", "mtime", "root", "files", "list", "part", "beyond", "only"] as const;

/** How much of an unfinished file is there. */
export function haveOf({ part, have }: Unplaced): number | undefined {
  return part ? have : undefined;
}

/** A record as the operator sees it. */
export type Listed = Readonly<Pick<SharedFile, "name" | "type" | "size" | "root" | "part" | "have">>;
