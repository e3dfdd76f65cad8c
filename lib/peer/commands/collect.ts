// Runs the collect command: fetches every file that fits, of everybody, into a folder for each person.

import { mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { sleep, systemClock } from "../../clock.ts";
import { codeOf, FtError, pathFault, sentenceOf } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { contentKeyOf } from "../../protocol/folder.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, plural, printable } from "../../text.ts";
import type { CommandLine } from "../arguments.ts";
import { orCancelled } from "../cancel.ts";
import { localNameOf } from "../disk/local-name.ts";
import { findPeer, isRecordOf } from "../people/find-peer.ts";
import { peerLabel } from "../people/holder-name.ts";
import { mayBeSameComputer } from "../people/same-computer.ts";
import type { Screen } from "../screen/screen.ts";
import type { Peer } from "./types.ts";

/** The most people from whom files are fetched at once: one slow computer must not keep the others waiting. */
const AT_ONCE = 4;
/** Somebody who leaves before all was fetched may be back within this time: until then the others wait for it. Milliseconds. */
const GRACE_MS = 30_000;
/** While somebody is waited for, the tracker is asked each time this time has passed. Milliseconds. */
const LOOK_MS = 1_000;

/** Somebody of whom files are fetched. */
interface Person {
  /** As last seen. */
  line: PeerLine;
  isOnline: boolean;
  /** When it was online last. Milliseconds of the clock's `elapsed`. */
  seenAt: number;
  /** The name of its folder; "" before one is needed. */
  folder: string;
  /** The names and contents of the files that are here by now, and of those that could not be fetched since it came. */
  readonly here: Set<string>;
  readonly tried: Set<string>;
  /** The names of the files that are not here. */
  readonly missing: Set<string>;
}

/** Files of one person that are not here yet. */
interface Wanted {
  person: Person;
  files: FileRecord[];
}

/** The files that were fetched from one person at once. */
interface Collected {
  person: Person;
  fresh: number;
  here: number;
  bytes: number;
  failed: number;
}

/** Fetches the files that fit. Throws a sentence when some could not be fetched, or nobody has one. */
export async function collect(peer: Peer, line: CommandLine, screen: Screen, signal: AbortSignal): Promise<void> {
  const people = new People(peer, line);
  const done: Collected[] = [];
  let queue = await orCancelled(people.look(), signal);
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const one = await collectFrom(next, { peer, records: people.records, to: resolve(line.to), screen, signal });
      done.push(one);
      tell(one, screen);
    }
  };
  let told = "";
  for (;;) {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    // Somebody may have come meanwhile, or be back. While the tracker is away, nobody is known.
    queue = await orCancelled(
      people.look().catch(() => []),
      signal,
    );
    if (queue.length > 0) continue;
    const awaited = people.awaited.map(({ line }) => peerLabel(line)).join(", ");
    if (awaited === "") break;
    if (awaited !== told) screen.note(`Left before all was fetched: ${awaited}. Waiting up to 30 seconds…`);
    told = awaited;
    await orCancelled(sleep(systemClock, LOOK_MS), signal);
  }
  tellAll(done, people.withNothing, screen);
  const missing = people.all.flatMap((one) => [...one.missing].map((name) => `"${printable(name)}" of ${peerLabel(one.line)}`));
  if (missing.length > 0) {
    throw new FtError("incomplete", `Not fetched: ${missing.join(", ")}. Run the same command to fetch only these.`);
  }
  if (done.length === 0) throw new FtError("not-found", "Nobody has a file that fits.");
}

/** The people of whom files are fetched, as far as they have been seen. */
class People {
  readonly #peer: Peer;
  readonly #line: CommandLine;
  readonly #known: Person[] = [];
  readonly #folders = new Set<string>();
  #isFirst = true;
  /** All records that fit. */
  records: FileRecord[] = [];

  constructor(peer: Peer, line: CommandLine) {
    this.#peer = peer;
    this.#line = line;
  }

  get all(): Person[] {
    return this.#known;
  }

  /** The names of those who have no file that fits. */
  get withNothing(): string[] {
    return this.all.filter((one) => one.here.size + one.missing.size === 0).map(({ line }) => peerLabel(line));
  }

  /** Those who left of late, before all was fetched. */
  get awaited(): Person[] {
    const since = systemClock.elapsed() - GRACE_MS;
    return this.all.filter(({ isOnline, missing, seenAt }) => !isOnline && missing.size > 0 && seenAt > since);
  }

  /**
   * Asks the tracker for the people online and their files. Gives the files to fetch. The first time, throws a sentence about a name
   * that nobody has.
   */
  async look(): Promise<Wanted[]> {
    const { requests, standing } = this.#peer.session;
    const { from, wish } = this.#line;
    const everybody = (await requests.who()).filter(({ id }) => id !== standing?.id);
    this.records = await requests.findAll({ ...wish, group: false });
    const named = from !== undefined && this.#isFirst ? peopleNamed(from, everybody) : everybody;
    const people = named.filter(
      (one) => from === undefined || this.#isFirst || this.#known.some(({ line }) => isSame(line, one)),
    );
    this.#isFirst = false;
    const seen = people.map((one) => this.#see(one));
    for (const one of this.all) one.isOnline = seen.includes(one);
    return seen.flatMap((person) => {
      const own = distinct(this.records.filter((one) => isRecordOf(one, person.line)));
      const files = own.filter((one) => !isIn(person.here, one) && !isIn(person.tried, one));
      if (files.length > 0) person.folder ||= this.#folderFor(person.line);
      return files.length > 0 ? [{ person, files }] : [];
    });
  }

  #see(line: PeerLine): Person {
    const known = this.#known.find((one) => isSame(one.line, line));
    const fresh = { folder: "", here: new Set<string>(), tried: new Set<string>(), missing: new Set<string>() };
    const person = known ?? { line, isOnline: true, seenAt: 0, ...fresh };
    // It has been away: what could not be fetched is tried again.
    if (!person.isOnline || person.line.id !== line.id) person.tried.clear();
    if (known === undefined) this.#known.push(person);
    return Object.assign(person, { line, seenAt: systemClock.elapsed() });
  }

  /** A folder's name for a person. Two names that are one on some disk get the address behind them. */
  #folderFor(person: PeerLine): string {
    const address = formatEndpoint(person).replace(/[^\w.-]+/g, "_");
    const plain = person.name === undefined ? address : localNameOf(person.name);
    const name = this.#folders.has(plain.toLowerCase()) ? `${plain} ${address}` : plain;
    this.#folders.add(name.toLowerCase());
    return name;
  }
}

/** Whether somebody is back: with the same name at the same computer. */
function isSame(was: PeerLine, now: PeerLine): boolean {
  if (was.name !== now.name) return false;
  if (was.name === undefined) return was.address === now.address && was.port === now.port;
  return mayBeSameComputer(was.address, now.address);
}

/** A file that changes all the time is fetched once. */
function isIn(files: Set<string>, file: FileRecord): boolean {
  return files.has(file.name) || files.has(contentOf(file));
}

function contentOf(record: FileRecord): string {
  return contentKeyOf(record) ?? `${record.size} ${record.name}`;
}

/** The people of a list such as "Ben,Chloe". Throws a sentence about one who is not online. */
function peopleNamed(typed: string, everybody: PeerLine[]): PeerLine[] {
  const names = typed.split(",").filter((one) => one.trim() !== "");
  return [...new Set(names.map((one) => findPeer(one.trim(), everybody)))];
}

/** Whole files, each content once. */
function distinct(records: FileRecord[]): FileRecord[] {
  const contents = new Map(records.filter(({ part }) => !part).map((one) => [contentOf(one), one]));
  return [...contents.values()];
}

interface Collecting {
  peer: Peer;
  /** All records that fit: others may have the same content. */
  records: FileRecord[];
  /** The folder of all folders. */
  to: string;
  screen: Screen;
  signal: AbortSignal;
}

async function collectFrom({ person, files }: Wanted, { peer, records, to, screen, signal }: Collecting): Promise<Collected> {
  const one: Collected = { person, fresh: 0, here: 0, bytes: 0, failed: 0 };
  const folder = join(to, person.folder);
  const fail = (error: unknown, name?: string) => {
    const about = { name, by: person.line.name };
    if (screen.json) screen.object({ event: "error", ...about, message: sentenceOf(error), code: codeOf(error) });
    else screen.note(sentenceOf(error));
  };
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    // One folder that cannot be made does not keep the files of the others from coming.
    const why = codeOf(error) === "EEXIST" ? "it is not a folder" : pathFault(error);
    fail(new FtError("no-folder", `Cannot save into "${printable(folder)}": ${why}.`));
    for (const file of files) note(person, file, false);
    return { ...one, failed: files.length };
  }
  for (const file of files) {
    const key = contentKeyOf(file);
    const others = records.filter((other) => key !== undefined && other !== file && contentKeyOf(other) === key);
    let isWhole = isHere(folder, file);
    if (isWhole) one.here += 1;
    else {
      try {
        const how = { folder, overwrite: false, signal, report: () => undefined };
        const { outcome, size, inFolder } = await peer.download([file, ...others], how);
        isWhole = inFolder === undefined || inFolder.failed.length === 0;
        if (outcome === "already here") one.here += 1;
        else {
          one.fresh += 1;
          one.bytes += size;
        }
      } catch (error) {
        if (signal.aborted) throw error;
        fail(error, file.name);
      }
    }
    note(person, file, isWhole);
    if (!isWhole) one.failed += 1;
  }
  return one;
}

/** Notes whether a file is here now. */
function note({ here, tried, missing }: Person, file: FileRecord, isWhole: boolean): void {
  (isWhole ? here : tried).add(file.name).add(contentOf(file));
  if (isWhole) missing.delete(file.name);
  else missing.add(file.name);
}

/** A file of an FT/1 peer has no content id: one of its name and size counts as the same. */
function isHere(folder: string, { root, name, size }: FileRecord): boolean {
  if (root !== undefined) return false;
  return statSync(join(folder, localNameOf(name)), { throwIfNoEntry: false })?.size === size;
}

function tell({ person, fresh, here, bytes, failed }: Collected, screen: Screen): void {
  const { name: by, address, port } = person.line;
  if (screen.json) {
    screen.object({ event: "collected", by, address, port, files: fresh, here, failed, size: bytes });
    return;
  }
  const parts = [
    ...(fresh > 0 ? [`${plural(fresh, "file")}, ${formatSize(bytes)}`] : []),
    ...(here > 0 ? [`${here} already here`] : []),
    ...(failed > 0 ? [`${failed} not fetched`] : []),
  ];
  screen.event(`${peerLabel(person.line)}: ${parts.join(", ")}`);
}

function tellAll(done: Collected[], none: string[], screen: Screen): void {
  const files = done.reduce((sum, { fresh }) => sum + fresh, 0);
  const bytes = done.reduce((sum, one) => sum + one.bytes, 0);
  const people = new Set(done.map(({ person }) => person)).size;
  if (screen.json) screen.object({ event: "total", people, files, size: bytes, none });
  else {
    screen.event(`${plural(files, "new file")} of ${people === 1 ? "1 person" : `${people} people`}, ${formatSize(bytes)}`);
    if (none.length > 0) screen.event(`Nothing that fits from ${none.join(", ")}.`);
  }
}
