// Finds the tracker to join: those that announce themselves on the network, and the one of last time, which a file remembers.

import { existsSync, mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { FtError, UsageError } from "../error.ts";
import { formatEndpoint, parseAddress, parsePort } from "../protocol/address.ts";
import { DEFAULT_TRACKER_PORT } from "../protocol/messages.ts";
import { printable } from "../text.ts";
import { type Found, findTrackers } from "./look.ts";
import type { TrackerPlace } from "./session.ts";

/** A longer tracker name in the file of last time is cut. Characters. */
const NAME_SHOWN = 63;

/** A tracker that was found, or used before. Its `name` may hold any characters. */
export interface Located extends TrackerPlace {
  name: string;
}

/** Remembers which tracker was used last, in a file of its own. */
export class LastTracker {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  read(): Located | undefined {
    try {
      const { name, address, port } = JSON.parse(readFileSync(this.#path, "utf8")) as Record<string, unknown>;
      const place = parseTracker(formatEndpoint({ address: String(address), port: Number(port) }));
      return typeof name === "string" && typeof address === "string"
        ? { name: name.slice(0, NAME_SHOWN), ...place }
        : undefined;
    } catch {
      // There is no such file yet, or it holds something else.
      return undefined;
    }
  }

  /** Remembers a tracker; does nothing where that is not possible. */
  write({ name, address, port }: Located): void {
    const part = `${this.#path}.${process.pid}`;
    try {
      mkdirSync(dirname(this.#path), { recursive: true });
      writeFileSync(part, JSON.stringify({ name, address, port }));
      renameSync(part, this.#path);
    } catch {
      // The person chooses the tracker again next time.
      if (existsSync(part)) unlinkSync(part);
    }
  }
}

/** Looks for trackers that announce themselves; the one of last time comes first. */
export async function lookAround(last: Located | undefined, signal?: AbortSignal) {
  const found = await findTrackers({ signal });
  const trackers = found.trackers.map(({ name, port, addresses: [address = "", ...others] }): Located => {
    return { name, address, port, others };
  });
  const rank = (one: Located) => Number(!isSameTracker(one, last));
  trackers.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  return { trackers, found };
}

/** Whether two trackers are one, which may have moved to another address. */
export function isSameTracker({ name, port }: Located, other: Located | undefined): boolean {
  return name === other?.name && port === other.port;
}

/** The addresses at which a tracker announces itself now; undefined when it does not. */
export async function findAgain(place: Located): Promise<TrackerPlace | undefined> {
  const { trackers } = await lookAround(place);
  return trackers.find(({ name }) => name === place.name);
}

/** A tracker's address as a person types it: without the usual port. */
export function typed({ address, port }: TrackerPlace): string {
  return port === DEFAULT_TRACKER_PORT ? address : formatEndpoint({ address, port });
}

/** A tracker in a list of several. */
export function describePlace(place: Located): string {
  return `"${printable(place.name).replaceAll('"', "'")}" at ${printable(typed(place))}`;
}

/** The error for no tracker at all: says why and what to do. */
export function nobodyFound({ asked, problems, echo }: Found, last: Located | undefined): FtError {
  const before = last === undefined ? "" : ` The last one was ${describePlace(last)}.`;
  const then = `Type the address that ft-tracker prints when it starts: ft-peer ADDRESS.${before}`;
  if (asked.length === 0 || (problems[0] !== undefined && !echo)) {
    const why = problems.at(-1)?.replace(/\.$/, "") ?? "this machine has no network";
    return new FtError("no-tracker", `No tracker announces itself on this network, as far as one can hear: ${why}. ${then}`);
  }
  const why = echo
    ? "either none is running, or multicast (UDP port 5353) is blocked between it and this machine, as in some wireless networks"
    : "a firewall on this machine seems to block multicast (UDP port 5353), or no tracker is running";
  return new FtError("no-tracker", `No tracker announces itself on this network: ${why}. ${then}`);
}

/** The error for several trackers, where no person can choose. */
export function severalFound(trackers: Located[]): UsageError {
  const list = trackers.map((place) => describePlace(place)).join(", ");
  const [first] = trackers;
  const example = first === undefined ? "ADDRESS" : printable(typed(first));
  return new UsageError(
    `${trackers.length} trackers announce themselves: ${list}. Name one by its address, such as: ft-peer ${example}`,
  );
}

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
  const isName = match?.[1] === undefined && /^(?=.*[a-z])[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i.test(host);
  if (port === undefined || (address === undefined && !isName)) throw wrong;
  return { address: address ?? host, port };
}
