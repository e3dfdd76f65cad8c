// Keeps the addresses and networks that a tracker refuses. A ban is a line of a file that a person can read and change. A kick lasts a
// minute, and no file has it. The tracker neither uses nor writes a file with a line that it does not understand, because a typing error
// could end all bans. conversation.ts asks here when a connection begins. group/bans.ts passes bans on to other trackers.

import { closeSync, constants, existsSync, fstatSync, mkdirSync, openSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { codeOf, FtError, pathFault } from "../../error.ts";
import { readFullySync, replaceOwnFile } from "../../files.ts";
import type { Address } from "../../protocol/address.ts";
import { formatSize, printable } from "../../text.ts";
import { type Network, NetworkTable, parseNetwork } from "./networks.ts";

/** A longer file is not read. Bytes. */
const FILE_LIMIT = 4_000_000;
/** A longer reason is cut. Characters. */
const REASON_LIMIT = 200;
/** A line that is not understood is shown up to this length. Characters. */
const SHOWN = 80;
/** A kicked address is refused for this long. Milliseconds. */
const KICK_MS = 60_000;

export interface Ban {
  /** An address, or a network such as `192.168.1.0/24`. */
  address: string;
  /** Milliseconds since 1970. Undefined: the ban has no end. */
  until: number | undefined;
  reason: string;
}

/** A line of the file. A comment has no ban. */
interface Line {
  text: string;
  ban?: Ban & { network: Network };
}

const HEAD = [
  '# What this tracker does not talk to: an address or a network such as 192.168.1.0/24, then "until" and a time or "for good", then why.',
  "# A tracker that does not understand a line does not start. Change the file by hand, or with: ft-tracker ban, ft-tracker unban",
].map((text): Line => ({ text }));

export class Bans {
  readonly #path: string | undefined;
  readonly #now: () => number;
  #lines: Line[] = [];
  #bans = new NetworkTable<Ban>();
  /** The changes that the file does not have yet, because it could not be written. */
  #unsaved: ((lines: Line[]) => Line[])[] = [];
  /** Until when each kicked network is refused. Milliseconds since 1970. */
  readonly #kicked = new NetworkTable<number>();

  /** Reads the file, if there is one; throws a sentence when it is not understood. Without a path the bans end with the program. */
  constructor(path: string | undefined, now: () => number = Date.now) {
    this.#path = path;
    this.#now = now;
    if (path !== undefined) this.#use(readLines(path));
  }

  /** The bans that are valid now, in the order of their addresses. */
  get list(): Ban[] {
    const bans = this.#lines.flatMap(({ ban }) => (ban === undefined || this.#isOver(ban) ? [] : [plain(ban)]));
    return bans.sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  /** A ban that holds for an address now. */
  of(address: Address): Ban | undefined {
    return this.#bans.of(address).find((ban) => !this.#isOver(ban));
  }

  /** Why an address is refused: the code, and a sentence for its person; undefined if it is not refused. */
  whyRefused(from: Address): { code: "banned" | "kicked"; words: string } | undefined {
    const ban = this.of(from);
    if (ban !== undefined) return { code: "banned", words: `You are banned from this tracker${untilUTC(ban.until)}.` };
    const end = Math.max(...this.#kicked.of(from));
    if (end <= this.#now()) return undefined;
    return { code: "kicked", words: `This tracker's operator has disconnected ${from}${untilUTC(end)}.` };
  }

  /** The end of a kick that is given now. Milliseconds since 1970. */
  endOfKick(): number {
    return this.#now() + KICK_MS;
  }

  /** Refuses a network until a time. No file keeps that. */
  kick(network: Network, until: number): void {
    this.#kicked.set(network, until);
  }

  /** Bans a network, or changes its ban. `fault`: why the file does not have it; the ban is still valid until the program ends. */
  add(network: Network, until: number | undefined, reason: string): { ban: Ban; fault: string | undefined } {
    const cut = printable(reason).slice(0, REASON_LIMIT);
    const ban = { address: network.text, until, reason: cut, network };
    const fault = this.#change((lines) => [...without(lines, network), { text: formatLine(ban), ban }]);
    return { ban: plain(ban), fault };
  }

  /** Ends the ban and the kick of a network. `was`: the one that was there; of both, the ban. `fault`: why the file still has the ban. */
  remove(network: Network): { was: "banned" | "kicked" | undefined; fault: string | undefined } {
    const isKicked = (this.#kicked.take(network) ?? 0) > this.#now();
    const known = this.list.some(({ address }) => address === network.text);
    if (known) return { was: "banned", fault: this.#change((lines) => without(lines, network)) };
    return { was: isKicked ? "kicked" : undefined, fault: undefined };
  }

  /** Writes the file again when somebody has deleted the folder that it is in. */
  keep(): void {
    if (this.#path !== undefined && this.list.length > 0 && !existsSync(this.#path)) this.#write(this.#path);
  }

  #isOver({ until }: Ban): boolean {
    return until !== undefined && until <= this.#now();
  }

  #use(lines: Line[]): void {
    this.#lines = lines;
    this.#bans = new NetworkTable();
    for (const { ban } of lines) if (ban !== undefined) this.#bans.set(ban.network, plain(ban));
  }

  /** Makes a change here, and in the file as it is now: somebody may have written in it. Gives the sentence when that fails. */
  #change(change: (lines: Line[]) => Line[]): string | undefined {
    this.#use(change(this.#lines));
    if (this.#path === undefined) return undefined;
    this.#unsaved.push(change);
    try {
      const before = readLines(this.#path);
      const lines = this.#unsaved.reduce((all, one) => one(all), before.length === 0 ? HEAD : before);
      this.#use(lines.filter(({ ban }) => ban === undefined || !this.#isOver(ban)));
      this.#write(this.#path);
      this.#unsaved = [];
      return undefined;
    } catch (error) {
      return error instanceof FtError ? error.message : `Cannot write "${printable(this.#path)}": ${pathFault(error)}.`;
    }
  }

  #write(path: string): void {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    replaceOwnFile(path, this.#lines.map(({ text }) => `${text}\n`).join(""));
  }
}

/** The end of a ban for the person of another machine, which may be in another time zone; "" when it has no end. */
function untilUTC(until: number | undefined): string {
  return until === undefined ? "" : ` until ${new Date(Math.ceil(until / 1000) * 1000).toISOString().replace(".000Z", "Z")}`;
}

function plain({ address, until, reason }: Ban): Ban {
  return { address, until, reason };
}

function without(lines: Line[], { text }: Network): Line[] {
  return lines.filter(({ ban }) => ban?.address !== text);
}

function formatLine({ address, until, reason }: Ban): string {
  const time = until === undefined ? "for good" : `until ${new Date(until).toISOString()}`;
  return `${address}  ${time}${reason === "" ? "" : `  ${reason}`}`;
}

/** The lines of the file; none when there is no file. Throws a sentence with the number of a line that is not understood. */
function readLines(path: string): Line[] {
  const lines = readIfThere(path)
    .replace(/^\ufeff/, "")
    .split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines.map((text, i) => {
    if (/^\s*(#.*)?$/.test(text)) return { text };
    const ban = parseLine(text);
    if (ban !== undefined) return { text, ban };
    const shown = printable(text.trim().slice(0, SHOWN));
    throw new FtError(
      "bad-bans",
      `Line ${i + 1} of "${printable(path)}" is no ban: "${shown}". Write ADDRESS for good, or ADDRESS until 2027-01-31T12:00:00Z, or # before it.`,
    );
  });
}

const BAN_LINE =
  /^(\S+)\s+(?:for good|until (\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?))(?:\s+(.*))?$/;
/** A day with a time behind a space. Read as a day with a reason, the ban would end too early. */
const DAY_AND_TIME = /until \d{4}-\d\d-\d\d\s+\d?\d:\d/;

function parseLine(line: string): Line["ban"] {
  const [, text = "", time, reason = ""] = BAN_LINE.exec(line.trim()) ?? [];
  const network = parseNetwork(text);
  const until = time === undefined ? undefined : Date.parse(time);
  if (network === undefined || Number.isNaN(until) || DAY_AND_TIME.test(line)) return undefined;
  return { address: network.text, until, reason: reason.slice(0, REASON_LIMIT), network };
}

/** The file's text, or "" when there is none. A link is not followed, and a pipe is not waited for. */
function readIfThere(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") return "";
    const reasons: Record<string, string> = { EACCES: "this user may not read it", ELOOP: "it is a link to another file" };
    throw unreadable(path, reasons[code] ?? pathFault(error));
  }
  try {
    const fault = faultOf(fstatSync(fd));
    if (fault !== undefined) throw unreadable(path, fault);
    const bytes = new Uint8Array(FILE_LIMIT + 1);
    const have = readFullySync(fd, bytes, 0);
    if (have > FILE_LIMIT) throw unreadable(path, TOO_LONG);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, have));
  } catch (error) {
    if (error instanceof FtError) throw error;
    throw unreadable(path, pathFault(error));
  } finally {
    closeSync(fd);
  }
}

const TOO_LONG = `it has more than ${formatSize(FILE_LIMIT)}`;

/** Why the file is not used. Another user could let anybody in by writing in it. */
function faultOf(file: Stats): string | undefined {
  if (!file.isFile()) return "it is no file";
  if (file.size > FILE_LIMIT) return TOO_LONG;
  if (process.getuid === undefined) return undefined;
  if (file.uid !== process.getuid() && file.uid !== 0) return "it belongs to another user";
  return (file.mode & 0o002) === 0 ? undefined : "every user may write in it";
}

function unreadable(path: string, why: string): FtError {
  const words = `Cannot read the bans in "${printable(path)}": ${why}. Mend that, or name another file with --bans.`;
  return new FtError("bad-bans", words);
}
