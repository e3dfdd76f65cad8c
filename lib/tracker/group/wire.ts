// Writes and reads what trackers share in Redis. All keys begin with `ft:` and the group's name.
//
//     ft:G:trackers         set: every tracker T that was there of late
//     ft:G:alive:T          string, expires: how to read T, and where it is (Alive)
//     ft:G:peers:T:E        hash: the whole table of T in its epoch E, a field for each peer (ID) and each record (ID NAME)
//     ft:G:log:T:E          stream: the changes of that table since it was written; an entry has its number (#), then fields and values
//     ft:G:inbox:T          stream: what other trackers ask of T, such as to have one of its peers connect back
//     ft:G:bans             hash: a field for each network that is banned, or was
//
// An epoch begins with each connection of T to Redis: T writes its table anew, and then says the epoch in its alive key. So nobody reads a
// table that is half written, and nothing that was lost on an earlier connection matters. A reader takes the hash, and then the changes
// that follow the last one that it saw before. A change is a whole field, so that a change that was in the hash already does no harm.

import { type Address, type Endpoint, parseAddress, parseEndpoint, parsePort } from "../../protocol/address.ts";
import type { Profile } from "../../protocol/messages.ts";
import { peerName } from "../../protocol/peer-name.ts";

/** A field and its value. "" is no value: the field is gone. */
export type Change = [field: string, value: string];

/** The field of a hash that says which epoch it is of. A hash without it is not written to its end, or was removed meanwhile. */
export const EPOCH_FIELD = "@";
/** The field of an entry that has its number in the epoch, from 1. */
const NUMBER_FIELD = "#";
/** The field of an entry that tells every tracker of something that is no record, as JSON. */
const EVENT_FIELD = "!";
/** A time after this was not written by a tracker, and a calendar may have no date for it. Milliseconds since 1970. */
const LATEST_TIME = Date.UTC(9999, 11, 31);
/** An id as a tracker makes it: random letters, or the place of an FT/1 peer. */
const PEER_ID = /^[\w.:%-]{1,128}$/;
/** A longer name of a tracker is cut. Characters. */
const TRACKER_NAME_LIMIT = 255;

export function keysOf(group: string) {
  const start = `ft:${encodeURIComponent(group)}:`;
  return {
    trackers: `${start}trackers`,
    bans: `${start}bans`,
    alive: (tracker: string) => `${start}alive:${tracker}`,
    peers: (tracker: string, epoch: string) => `${start}peers:${tracker}:${epoch}`,
    log: (tracker: string, epoch: string) => `${start}log:${tracker}:${epoch}`,
    inbox: (tracker: string) => `${start}inbox:${tracker}`,
  };
}

export type Keys = ReturnType<typeof keysOf>;

/** What a tracker says of itself every few seconds. */
export interface Alive {
  epoch: string;
  name: string;
  /** Its public key. */
  key: string;
  at: Endpoint[];
  /** The time in its passes minus the time of Redis. Seconds. */
  clock: number;
}

export function formatAlive({ at, ...alive }: Alive): string {
  return JSON.stringify({
    ...alive,
    at: at.map(({ address, port }) => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`)),
  });
}

/** Undefined for a text that no tracker wrote. */
export function parseAlive(text: unknown): Alive | undefined {
  const { epoch, name, key, at, clock } = objectIn(text);
  if (typeof epoch !== "string" || typeof key !== "string" || typeof name !== "string" || !Array.isArray(at)) return undefined;
  if (!/^[\w-]{43}$/.test(key) || !/^[\w-]{1,64}$/.test(epoch)) return undefined;
  const places = at.flatMap((place) => parseEndpoint(String(place)) ?? []);
  return { epoch, name: name.slice(0, TRACKER_NAME_LIMIT), key, at: places, clock: numberOf(clock) };
}

/** A peer, as its field has it. */
export interface Header {
  address: Address;
  port: number;
  profile: Profile;
  agent: string;
  name?: string | undefined;
  reach?: boolean | undefined;
  /** When it joined, by the time of Redis. Milliseconds since 1970. */
  joined: number;
  /** The public key of its session. */
  key?: string | undefined;
  /** It has shown that it has the private half, too. */
  proven?: boolean | undefined;
}

export function formatHeader(header: Header): string {
  return JSON.stringify(header);
}

/** Undefined for a text that no tracker wrote. */
export function parseHeader(text: string): Header | undefined {
  const { address, port, profile, agent, name, reach, joined, key, proven } = objectIn(text);
  const at = parseAddress(String(address));
  const onPort = parsePort(String(port));
  const since = timeIn(joined);
  if (at === undefined || onPort === undefined || since === undefined || (profile !== 1 && profile !== 2)) return undefined;
  return {
    address: at,
    port: onPort,
    profile,
    agent: String(agent ?? "").slice(0, 64),
    name: typeof name === "string" ? peerName(name) || undefined : undefined,
    reach: typeof reach === "boolean" ? reach : undefined,
    joined: since,
    key: typeof key === "string" && /^[\w-]{43}$/.test(key) ? key : undefined,
    proven: proven === true,
  };
}

/** The field of a record. An id has no space in it. */
export function recordField(id: string, name: string): string {
  return `${id} ${name}`;
}

/** The peer of a field, and the name of the record if it is of one. */
export function splitField(field: string): [id: string, name: string | undefined] {
  const space = field.indexOf(" ");
  return space < 0 ? [field, undefined] : [field.slice(0, space), field.slice(space + 1)];
}

/** Whether a text can be the id of a peer. It is a word of replies to peers. */
export function isPeerId(text: string): boolean {
  return PEER_ID.test(text);
}

/** A time by the clock of Redis, milliseconds since 1970; undefined for any other value. */
export function timeIn(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value <= LATEST_TIME ? value : undefined;
}

/** Something that trackers tell each other, and that is no record. `from`: the name of the tracker that says it. */
export type GroupEvent = { from: string } & (
  | { what: "notice"; words: string }
  /** The peers of a network, or one peer, are disconnected. `until`: by the time of Redis, milliseconds. */
  | { what: "kick"; network: string; until: number; id?: string | undefined }
  | { what: "ban"; network: string; until?: number | undefined; reason: string }
  | { what: "unban"; network: string }
  | { what: "revoked"; ids: string[] }
  /** The peers that came from the tracker with this key are asked to go back. */
  | { what: "home"; key: string }
  /** To one tracker: a peer of it is asked to connect back. */
  | { what: "connect"; id: string; address: string; port: number; token: string }
  /** To one tracker: an FT/1 peer of it has said BYE here. */
  | { what: "bye"; id: string }
);

function formatEvent(event: GroupEvent): string {
  return JSON.stringify(event);
}

/** An entry of a log or an inbox. */
export interface Entry {
  id: string;
  /** Its number in the epoch; 0 in an inbox. */
  number: number;
  changes: Change[];
  event?: GroupEvent | undefined;
}

/** The fields and values of an entry. */
export function entryFields(number: number, changes: Iterable<Change>, event?: GroupEvent): string[] {
  const fields = [NUMBER_FIELD, String(number), ...(event === undefined ? [] : [EVENT_FIELD, formatEvent(event)])];
  for (const [field, value] of changes) fields.push(field, value);
  return fields;
}

/** The entries of a stream, as Redis gives them. */
export function parseEntries(reply: unknown): Entry[] {
  if (!Array.isArray(reply)) return [];
  return reply.map((one) => {
    const [id, fields] = one as [unknown, unknown];
    const texts = Array.isArray(fields) ? fields.map(String) : [];
    const entry: Entry = { id: String(id), number: 0, changes: [] };
    for (let i = 0; i + 1 < texts.length; i += 2) {
      const [field = "", value = ""] = texts.slice(i, i + 2);
      if (field === NUMBER_FIELD) entry.number = numberOf(Number(value));
      else if (field === EVENT_FIELD) entry.event = eventIn(value);
      else entry.changes.push([field, value]);
    }
    return entry;
  });
}

function eventIn(text: string): GroupEvent | undefined {
  const event = objectIn(text);
  return typeof event.what === "string" ? (event as unknown as GroupEvent) : undefined;
}

/** The object that a JSON text has, or an empty one. */
export function objectIn(text: unknown): Record<string, unknown> {
  try {
    const value: unknown = typeof text === "string" ? JSON.parse(text) : undefined;
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function numberOf(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
