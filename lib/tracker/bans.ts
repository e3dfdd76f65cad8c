// Keeps the addresses that a tracker refuses. Bans are in a file that a person can read and change; a kick is valid for a minute.

import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Address, parseAddress, withoutZone } from "../protocol/address.ts";
import { printable } from "../text.ts";

/** A longer file is not read. Bytes. */
const FILE_LIMIT = 4 * 1024 * 1024;
/** A longer reason is cut. Characters. */
const REASON_LIMIT = 200;
/** A kicked address is refused for this long. Milliseconds. */
const KICK_MS = 60_000;

export interface Ban {
  address: Address;
  /** Milliseconds since 1970. Undefined: the ban has no end. */
  until: number | undefined;
  reason: string;
}

const HEAD = `# Addresses that this tracker does not talk to: ADDRESS, then "until" and a time or "for good", then why.
# Change it while the tracker is not running, or with: ft-tracker ban ADDRESS, ft-tracker unban ADDRESS
`;

export class Bans {
  readonly #path: string | undefined;
  readonly #now: () => number;
  readonly #bans = new Map<Address, Ban>();
  /** Until when each kicked address is refused. Milliseconds since 1970. */
  readonly #kicked = new Map<Address, number>();

  /** Reads the file, if there is one, and skips lines that are no bans. Without a path the bans end with the program. */
  constructor(path: string | undefined, now: () => number = Date.now) {
    this.#path = path;
    this.#now = now;
    for (const line of (path === undefined ? "" : readIfThere(path)).split("\n")) {
      const ban = parseLine(line);
      if (ban !== undefined && !this.#isOver(ban)) this.#bans.set(ban.address, ban);
    }
  }

  /** The bans that are valid now, in the order of their addresses. */
  get list(): Ban[] {
    const bans = [...this.#bans.values()].filter((ban) => !this.#isOver(ban));
    return bans.sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  /** The ban of an address, if one is valid now. */
  of(address: Address): Ban | undefined {
    const ban = this.#bans.get(address);
    return ban === undefined || this.#isOver(ban) ? undefined : ban;
  }

  /** Why an address is refused, as a sentence; undefined if it is not. */
  whyRefused(from: Address): string | undefined {
    const ban = this.of(from);
    if (ban !== undefined) return `This tracker's operator keeps ${from} out${untilWhen(ban)}.`;
    const until = this.#kicked.get(from) ?? 0;
    if (until > this.#now()) return `This tracker's operator has disconnected ${from}; try again in a minute.`;
    this.#kicked.delete(from);
    return undefined;
  }

  /** Refuses an address for a minute. No file keeps that. */
  kick(from: Address): void {
    this.#kicked.set(from, this.#now() + KICK_MS);
  }

  /** Bans an address, or changes its ban. Throws the error of the system when the file cannot be written. */
  add(address: Address, until: number | undefined, reason: string): Ban {
    const ban = { address: withoutZone(address), until, reason: printable(reason).slice(0, REASON_LIMIT) };
    this.#bans.set(ban.address, ban);
    this.#save();
    return ban;
  }

  /** Ends a ban, or else a kick. False when the address was not refused. */
  remove(address: Address): boolean {
    const from = withoutZone(address);
    if (this.of(from) === undefined) return this.#kicked.delete(from);
    this.#bans.delete(from);
    this.#save();
    return true;
  }

  #isOver({ until }: Ban): boolean {
    return until !== undefined && until <= this.#now();
  }

  #save(): void {
    if (this.#path === undefined) return;
    mkdirSync(dirname(this.#path), { recursive: true });
    const part = `${this.#path}.${process.pid}`;
    writeFileSync(part, HEAD + this.list.map(formatLine).join(""));
    renameSync(part, this.#path);
  }
}

/** The end of a ban for a sentence, after a space; "" when it has no end. */
export function untilWhen({ until }: Ban): string {
  return until === undefined ? "" : ` until ${new Date(until).toISOString()}`;
}

function readIfThere(path: string): string {
  try {
    return statSync(path).size <= FILE_LIMIT ? readFileSync(path, "utf8") : "";
  } catch {
    // There is none yet.
    return "";
  }
}

function formatLine({ address, until, reason }: Ban): string {
  const time = until === undefined ? "for good" : `until ${new Date(until).toISOString()}`;
  return `${address}  ${time}${reason === "" ? "" : `  ${reason}`}\n`;
}

function parseLine(line: string): Ban | undefined {
  const [, text = "", time = "", reason = ""] = /^(\S+)\s+(for good|until \S+)\s*(.*)$/.exec(line.trim()) ?? [];
  const address = parseAddress(text);
  if (address === undefined) return undefined;
  const until = time === "for good" ? undefined : Date.parse(time.slice("until ".length));
  if (until !== undefined && Number.isNaN(until)) return undefined;
  return { address: withoutZone(address), until, reason: reason.slice(0, REASON_LIMIT) };
}
