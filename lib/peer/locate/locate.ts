// Finds the tracker to join: those that announce themselves on the network, and those that were used before, which a file remembers.

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { FtError, UsageError } from "../../error.ts";
import { readOwnFile, replaceOwnFile } from "../../files.ts";
import { instanceName } from "../../net/mdns.ts";
import { type Address, formatEndpoint, parseAddress, parsePort } from "../../protocol/address.ts";
import { DEFAULT_TRACKER_PORT } from "../../protocol/numbers.ts";
import { printable } from "../../text.ts";
import type { TrackerPlace } from "../online/session-types.ts";
import { type Found, findTrackers } from "./look.ts";

/** A longer tracker name in the file of last time is cut. Characters. */
const NAME_SHOWN = 63;

/** The most trackers that are remembered. */
const REMEMBERED = 32;
/** A longer file of remembered trackers is not read. Bytes. */
const FILE_LIMIT = 64 * 1024;

/** A tracker that was found, or used before. Its `name` may hold any characters. */
export interface Located extends TrackerPlace {
  name: string;
}

/** A tracker that was used before. `key`: the public key that identifies it; "" in a file of an earlier version. */
export interface KnownTracker extends Located {
  key: string;
  /** The address at which it was reached last, if it is not the one above: that may be a host's name. */
  at?: Address | undefined;
}

/** Remembers which trackers were used, the last one first, in a file of its own. Only a file that this user wrote is believed. */
export class KnownTrackers {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  all(): KnownTracker[] {
    try {
      const kept: unknown = JSON.parse(readOwnFile(this.#path, FILE_LIMIT).toString());
      const { trackers } = kept as { trackers?: unknown };
      return (Array.isArray(trackers) ? trackers : [kept]).slice(0, REMEMBERED).flatMap((one) => knownTrackerOf(one) ?? []);
    } catch {
      // There is no such file yet, it holds something else, or others could have written it.
      return [];
    }
  }

  get last(): KnownTracker | undefined {
    return this.all()[0];
  }

  /** Remembers a tracker as the last one; does nothing where that is not possible. */
  remember({ name, address, port, key, at, room }: KnownTracker): void {
    const others = this.all().filter((one) => one.key !== key && one.key !== "");
    const trackers = [
      { name: name.slice(0, NAME_SHOWN), address, port, key, ...(at === address ? {} : { at }), ...(room ? { room } : {}) },
      ...others,
    ].slice(0, REMEMBERED);
    this.#write(trackers);
  }

  /** Forgets the tracker with this key. */
  forget(key: string): void {
    const all = this.all();
    const others = all.filter((one) => one.key !== key);
    if (others.length < all.length) this.#write(others);
  }

  #write(trackers: KnownTracker[]): void {
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      replaceOwnFile(this.#path, JSON.stringify({ trackers }));
    } catch {
      // The person is asked again next time.
    }
  }
}

/** The remembered address of a tracker, not a typed one: the tracker there has to prove that it is still the same one. */
export function asRemembered({ key: _, ...place }: Located): Located {
  return { ...place, announced: true };
}

function knownTrackerOf(value: unknown): KnownTracker | undefined {
  const { name, address, port, key = "" } = value as Record<string, unknown>;
  if (typeof name !== "string" || typeof address !== "string" || typeof key !== "string") return undefined;
  const place = placeOf(address, Number(port));
  const at = parseAddress(String((value as Record<string, unknown>).at));
  const room = (value as Record<string, unknown>).room === true ? { room: true as const } : {};
  return place && { name: name.slice(0, NAME_SHOWN), ...place, key, ...(at === undefined ? {} : { at }), ...room };
}

function placeOf(address: string, port: number): TrackerPlace | undefined {
  try {
    return parseTracker(formatEndpoint({ address, port }));
  } catch {
    return undefined;
  }
}

/** Looks for trackers that announce themselves; the one of last time comes first. */
export async function lookAround(last: Located | undefined, signal?: AbortSignal) {
  const found = await findTrackers({ signal });
  const trackers = found.trackers.map(({ name, port, key, group, room, addresses: [address = "", ...others] }): Located => {
    const known = { ...(key === "" ? {} : { key }), ...(group === undefined ? {} : { group }), ...(room ? { room } : {}) };
    return { name, address, port, others, announced: true, ...known };
  });
  const rank = (one: Located) => Number(!isSameTracker(one, last));
  trackers.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  return { trackers, found };
}

/** Whether two trackers are one, which may have moved to another address. Its key tells; an old tracker does not announce one. */
export function isSameTracker(one: Located, other: Located | undefined): boolean {
  if (one.key && other?.key) return one.key === other.key;
  return other !== undefined && instanceName(one.name) === instanceName(other.name) && one.port === other.port;
}

/**
 * The places at which a tracker may announce itself now, the most likely first. One that announces its key is found by it, whatever
 * its name. Old trackers announce none: then each of them may be the one, first those of its name. The others of its group come last.
 */
export async function findAgain(place: Located, group?: string): Promise<TrackerPlace[]> {
  const around = await lookAround(place);
  // An open tracker is never the private room that is looked for, nor the other way round.
  const trackers = around.trackers.filter(({ room }) => room === place.room);
  const isNamedSo = ({ name }: Located) => instanceName(name) === instanceName(place.name);
  const isInGroup = (one: Located) => group !== undefined && one.group === group;
  const mayBe = ({ key }: Located) => !key || !place.key || key === place.key;
  const rank = (one: Located) =>
    !mayBe(one) ? 3 : one.key !== undefined && one.key === place.key ? 0 : isNamedSo(one) ? 1 : 2;
  return trackers.filter((one) => mayBe(one) || isInGroup(one)).sort((a, b) => rank(a) - rank(b));
}

/** A tracker's address as a person types it: without the usual port. */
export function typed({ address, port }: TrackerPlace): string {
  return port === DEFAULT_TRACKER_PORT ? address : formatEndpoint({ address, port });
}

/** A tracker in a list of several. */
export function describePlace(place: Located): string {
  return `"${printable(place.name).replaceAll('"', "'")}" at ${printable(typed(place))}`;
}

/** Why no tracker was found, as a clause. */
export function whyNobody({ asked, problems, echo }: Found): string {
  if (asked.length === 0 || (problems[0] !== undefined && !echo))
    return problems.at(-1)?.replace(/\.$/, "") ?? "this machine has no network";
  return echo
    ? "either none is running, or multicast (UDP port 5353) is blocked between it and this machine, as in some wireless networks"
    : "a firewall on this machine seems to block multicast (UDP port 5353), or no tracker is running";
}

/** The error for no tracker at all: says why and what to do. */
export function nobodyFound(found: Found, last: Located | undefined): FtError {
  const before = last === undefined ? "" : ` The last one was ${describePlace(last)}.`;
  const then = `Type the address that ft-tracker prints when it starts: ft-peer ADDRESS.${before}`;
  return new FtError("no-tracker", `No tracker found on this network: ${whyNobody(found)}. ${then}`);
}

/** The error for several trackers, where no person can choose. */
export function severalFound(trackers: Located[]): UsageError {
  const list = trackers.map((place) => describePlace(place)).join(", ");
  const [first] = trackers;
  const example = first === undefined ? "ADDRESS" : printable(typed(first));
  return new UsageError(`Found ${trackers.length} trackers: ${list}. Choose one by its address: ft-peer ${example}`);
}

/** A name that the system may know: `lab.local`, `my_pc`, `bücher.lan`, `lab.example.com.`. It has a letter in it. */
const HOST_NAME = /^(?=.*\p{L})[\p{L}\p{N}_](?:[\p{L}\p{M}\p{N}._-]{0,251}[\p{L}\p{M}\p{N}_])?\.?$/u;

/** A tracker's address as typed: `ADDRESS`, `ADDRESS:PORT`, `[IPv6]:PORT`, or a host's name. */
export function parseTracker(text: string): { address: string; port: number } {
  const wrong = new UsageError(
    `"${printable(text)}" is not a tracker's address. Give one like 192.168.1.5, lab.local:1234 or [fe80::1]:1234.`,
  );
  const bare = text.includes(":") ? parseAddress(text) : undefined;
  if (bare !== undefined) return { address: bare, port: DEFAULT_TRACKER_PORT };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  const port = match?.[3] === undefined ? DEFAULT_TRACKER_PORT : parsePort(match[3]);
  const address = parseAddress(host);
  const isName = match?.[1] === undefined && HOST_NAME.test(host);
  if (port === undefined || (address === undefined && !isName)) throw wrong;
  return { address: address ?? host, port };
}
