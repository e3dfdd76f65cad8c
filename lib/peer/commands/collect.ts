// Runs the collect command: fetches every file that fits, of everybody, into a folder for each person.

import { mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { codeOf, FtError, sentenceOf } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, plural, printable } from "../../text.ts";
import { orCancelled } from "../cancel.ts";
import { localNameOf } from "../disk/local-name.ts";
import { findPeer, isRecordOf } from "../find-peer.ts";
import { peerLabel } from "../holder-name.ts";
import type { CommandLine } from "../options.ts";
import type { Screen } from "../screen/screen.ts";
import type { Peer } from "./types.ts";

/** The most people from whom files are fetched at once: one slow computer must not keep the others waiting. */
const AT_ONCE = 4;

/** What was fetched of one person. */
interface Collected {
  person: PeerLine;
  fresh: number;
  here: number;
  bytes: number;
  failed: string[];
}

/** Fetches the files that fit. Throws a sentence when some could not be fetched, or nobody has one. */
export async function collect(peer: Peer, line: CommandLine, screen: Screen, signal: AbortSignal): Promise<void> {
  const { requests, standing } = peer.session;
  const everybody = (await orCancelled(requests.who(), signal)).filter(({ id }) => id !== standing?.id);
  const people = line.from === undefined ? everybody : peopleNamed(line.from, everybody);
  const records = await orCancelled(requests.findAll({ ...line.wish, group: false }), signal);
  const wanted = people.map((person) => ({ person, files: distinct(records.filter((one) => isRecordOf(one, person))) }));
  const queue = wanted.filter(({ files }) => files.length > 0);
  const none = wanted.filter(({ files }) => files.length === 0).map(({ person }) => peerLabel(person));
  const folders = foldersOf(queue.map(({ person }) => person));
  const done: Collected[] = [];
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const folder = join(resolve(line.to), folders.get(next.person) ?? "");
      const one = await collectFrom(next.person, next.files, folder, { peer, records, screen, signal });
      done.push(one);
      tell(one, screen);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  tellAll(done, none, screen);
  const failed = done.flatMap((one) => one.failed);
  if (failed.length > 0) {
    throw new FtError("incomplete", `Not fetched: ${failed.join(", ")}. Run the same command to fetch only these.`);
  }
  if (done.length === 0) throw new FtError("not-found", "Nobody has a file that fits.");
}

/** The people of a list such as "Ben,Chloe". Throws a sentence about one who is not online. */
function peopleNamed(typed: string, everybody: PeerLine[]): PeerLine[] {
  const names = typed.split(",").filter((one) => one.trim() !== "");
  return [...new Set(names.map((one) => findPeer(one.trim(), everybody)))];
}

/** Whole files, each content once. */
function distinct(records: FileRecord[]): FileRecord[] {
  const contents = new Map(records.filter(({ part }) => !part).map((one) => [one.root ?? `${one.size} ${one.name}`, one]));
  return [...contents.values()];
}

/** A folder's name for each person. Two names that are one on some disk get the address behind them. */
function foldersOf(people: PeerLine[]): Map<PeerLine, string> {
  const taken = new Set<string>();
  return new Map(
    people.map((person) => {
      const address = formatEndpoint(person).replace(/[^\w.-]+/g, "_");
      const plain = person.name === undefined ? address : localNameOf(person.name);
      const name = taken.has(plain.toLowerCase()) ? `${plain} ${address}` : plain;
      taken.add(name.toLowerCase());
      return [person, name];
    }),
  );
}

interface Collecting {
  peer: Peer;
  /** All records that fit: others may have the same content. */
  records: FileRecord[];
  screen: Screen;
  signal: AbortSignal;
}

async function collectFrom(
  person: PeerLine,
  files: FileRecord[],
  folder: string,
  { peer, records, screen, signal }: Collecting,
): Promise<Collected> {
  const one: Collected = { person, fresh: 0, here: 0, bytes: 0, failed: [] };
  mkdirSync(folder, { recursive: true });
  for (const file of files) {
    if (isHere(folder, file)) {
      one.here += 1;
      continue;
    }
    const others = records.filter((other) => file.root !== undefined && other !== file && other.root === file.root);
    try {
      const how = { folder, overwrite: false, signal, report: () => undefined };
      const { outcome, size, inFolder } = await peer.download([file, ...others], how);
      if (outcome === "already here") one.here += 1;
      else {
        one.fresh += 1;
        one.bytes += size;
      }
      if (inFolder !== undefined && inFolder.failed.length > 0) one.failed.push(quoted(file, person));
    } catch (error) {
      if (signal.aborted) throw error;
      one.failed.push(quoted(file, person));
      if (screen.json)
        screen.object({ event: "error", name: file.name, by: person.name, message: sentenceOf(error), code: codeOf(error) });
      else screen.note(sentenceOf(error));
    }
  }
  return one;
}

/** A file of an FT/1 peer has no content id: one of its name and size counts as the same. */
function isHere(folder: string, { root, name, size }: FileRecord): boolean {
  if (root !== undefined) return false;
  return statSync(join(folder, localNameOf(name)), { throwIfNoEntry: false })?.size === size;
}

function quoted({ name }: FileRecord, person: PeerLine): string {
  return `"${printable(name)}" of ${peerLabel(person)}`;
}

function tell({ person, fresh, here, bytes, failed }: Collected, screen: Screen): void {
  const { name: by, address, port } = person;
  if (screen.json) {
    screen.object({ event: "collected", by, address, port, files: fresh, here, failed: failed.length, size: bytes });
    return;
  }
  const parts = [
    ...(fresh > 0 ? [`${plural(fresh, "file")}, ${formatSize(bytes)}`] : []),
    ...(here > 0 ? [`${here} already here`] : []),
    ...(failed.length > 0 ? [`${failed.length} not fetched`] : []),
  ];
  screen.event(`${peerLabel(person)}: ${parts.join(", ")}`);
}

function tellAll(done: Collected[], none: string[], screen: Screen): void {
  const files = done.reduce((sum, { fresh }) => sum + fresh, 0);
  const bytes = done.reduce((sum, one) => sum + one.bytes, 0);
  if (screen.json) screen.object({ event: "total", people: done.length, files, size: bytes, none });
  else {
    screen.event(
      `${plural(files, "new file")} of ${done.length === 1 ? "1 person" : `${done.length} people`}, ${formatSize(bytes)}`,
    );
    if (none.length > 0) screen.event(`Nothing that fits from ${none.join(", ")}.`);
  }
}
