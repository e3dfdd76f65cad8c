// Divides the records of a name into contents, and ranks these. A holder can write anything into a record, so nothing counts that costs
// a liar nothing: not the number of ids at one address, and no date in the future.

import { type Clock, sleep } from "../../clock.ts";
import { UsageError } from "../../error.ts";
import { formatEndpoint, hostOf } from "../../protocol/address.ts";
import { contentKeyOf } from "../../protocol/folder.ts";
import { type FileRecord, modifiedOf } from "../../protocol/record.ts";

/** A date does not count if it is ahead of this machine's clock by more than this. Milliseconds. */
const DATE_TOLERANCE_MS = 24 * 60 * 60 * 1000;

/** One of the contents that a name means. */
export interface Content {
  /** Those to fetch from. Without a content id it is one: two files of one size need not be the same. */
  records: [FileRecord, ...FileRecord[]];
  /** The number of hosts that have the whole of it. */
  hosts: number;
  /** The number of hosts with a file of this size without a content id: it may be this one, or another. */
  unproven: number;
  /** The latest date of its records that can be believed, ISO 8601 and as people read it (`DD/MM/YY`); or undefined. */
  modified: { iso: string; date: string } | undefined;
}

/**
 * Divides the records of one name by content: those with the same content id, size and form. A record without a content id may be of any
 * content of its size. So it is left out where there is one with an id, and else counts as the same content as others of its size.
 */
export function divideByContent(records: FileRecord[]): [FileRecord, ...FileRecord[]][] {
  const proven = records.filter(({ root }) => root !== undefined);
  const sizes = new Set(proven.map(({ size }) => size));
  const others = records.filter(({ root, size }) => root === undefined && !sizes.has(size));
  const groups = [Map.groupBy(proven, contentKeyOf), Map.groupBy(others, ({ size }) => `${size}`)];
  return groups.flatMap((group) => [...group.values()]) as [FileRecord, ...FileRecord[]][];
}

/** The latest date of a record that is believed, ISO 8601. `now` is in milliseconds since 1970. */
export function latestDate(now: number): string {
  return new Date(now + DATE_TOLERANCE_MS).toISOString();
}

/**
 * The contents that these records of one name are of. The best comes first: with a content id before without one, then the one that
 * more hosts have, then the newer one. `now` is the time of this machine, in milliseconds since 1970.
 */
export function rankContents(records: FileRecord[], now: number): Content[] {
  const latest = latestDate(now);
  const unproven = Map.groupBy(
    records.filter(({ root }) => root === undefined),
    ({ size }) => size,
  );
  const ranked = divideByContent(records).map((group) => {
    const dated = group
      .map((record) => ({ record, iso: modifiedOf(record), date: record.date }))
      .filter(({ iso, date }) => iso <= latest && modifiedOf({ date }) <= latest)
      .sort((a, b) => b.iso.localeCompare(a.iso));
    const [newest] = dated;
    return {
      records: group[0].root === undefined ? ([newest?.record ?? group[0]] as Content["records"]) : group,
      hosts: hostsOf(group.filter(({ part }) => !part)),
      unproven: hostsOf(unproven.get(group[0].size) ?? []),
      modified: newest === undefined ? undefined : { iso: newest.iso, date: newest.date },
      parts: hostsOf(group),
    };
  });
  return ranked.sort(
    (a, b) =>
      Number(b.records[0].root !== undefined) - Number(a.records[0].root !== undefined) ||
      b.hosts - a.hosts ||
      b.parts - a.parts ||
      (b.modified?.iso ?? "").localeCompare(a.modified?.iso ?? ""),
  );
}

/** The number of hosts that these records are of. */
function hostsOf(records: FileRecord[]): number {
  return new Set(records.map(({ address }) => hostOf(address))).size;
}

/** Digits of a content id that people are shown. */
export const SHORT_ID = 8;

/** The start of each content id, by content id; longer when two of them start alike. */
export function shortIds(roots: Iterable<string>): Map<string, string> {
  const all = [...new Set(roots)];
  let length = SHORT_ID;
  while (new Set(all.map((root) => root.slice(0, length))).size < all.length) length += SHORT_ID;
  return new Map(all.map((root) => [root, root.slice(0, length)]));
}

/** One name means several contents, and nobody can be asked. `choices` are for a script, `lines` for a person. */
export class SeveralContentsError extends UsageError {
  readonly choices: object[];
  readonly lines: string[];

  constructor(message: string, choices: object[], lines: string[]) {
    super(message, "ambiguous");
    this.choices = choices;
    this.lines = lines;
  }
}

/** A holder that still computes its content id is asked again after this time. Milliseconds. */
const ROOT_RETRY_MS = 300;
/** We expect a holder to read its files at least at this speed: a slow disk, and other files before this one. Bytes per second. */
const READ_SPEED = 25_000_000;
/** The time that we expect for each file of a folder. Milliseconds. */
const FILE_MS = 1;
/** A holder gets this time for a content id in any case. Milliseconds. */
const ROOT_MS = 5_000;
/** The longest wait for a content id. Milliseconds. */
const ROOT_PATIENCE_MS = 600_000;
/** A wait that is longer than this is reported. Milliseconds. */
const SILENT_MS = 1_000;

/** `reading`: the holder of this record still computes its content id, and is waited for. `unproven`: it took too long. */
export type ContentEvent = { event: "reading" | "unproven"; record: FileRecord };

/**
 * The contents of the records that `look` finds and `fits` accepts, the best first. This peer's own records count only if there are no
 * others. Waits for a content id that a holder still computes, because a file without one cannot be verified.
 */
export async function waitForContents(tools: {
  look(): Promise<FileRecord[]>;
  fits(record: FileRecord): boolean;
  isOwn(record: FileRecord): boolean;
  report?(event: ContentEvent): void;
  clock: Clock;
}): Promise<Content[]> {
  const { look, fits, isOwn, report, clock } = tools;
  const started = clock.elapsed();
  let isTold = false;
  for (;;) {
    const fitting = (await look()).filter(fits);
    const others = fitting.filter((record) => !isOwn(record));
    const contents = rankContents(others.length === 0 ? fitting : others, clock.at());
    const [best] = contents;
    if (best === undefined || best.records[0].root !== undefined) return contents;
    const coming = contents.find(({ records: [{ v2 }] }) => v2)?.records[0];
    if (coming === undefined) return contents;
    const waited = clock.elapsed() - started;
    if (waited > patienceFor(coming)) {
      report?.({ event: "unproven", record: coming });
      return contents;
    }
    if (waited > SILENT_MS && !isTold) {
      isTold = true;
      report?.({ event: "reading", record: coming });
    }
    await sleep(clock, ROOT_RETRY_MS);
  }
}

/** How long a holder may take to compute the content id of this record. Milliseconds. */
function patienceFor({ size, files = 0 }: FileRecord): number {
  return Math.min(ROOT_PATIENCE_MS, ROOT_MS + (size / READ_SPEED) * 1000 + files * FILE_MS);
}

/**
 * One record for each content among these, with the number of peers that have the whole of it. A record without a content id counts as the
 * content of its name and size. A record for which `isMine` holds stands for its content.
 */
export function groupByContent(records: FileRecord[], isMine: (record: FileRecord) => boolean = () => false): FileRecord[] {
  const byName = ({ name, size }: FileRecord) => `${size} ${name}`;
  const proven = new Map(records.filter(({ root }) => root !== undefined).map((one) => [byName(one), contentKeyOf(one)]));
  const contentOf = (one: FileRecord) => contentKeyOf(one) ?? proven.get(byName(one));
  const groups = Map.groupBy(records, (one) => contentOf(one) ?? byName(one));
  return [...groups.values()].flatMap((group) => {
    const whole = group.filter(({ part }) => !part);
    const shown = group.find(isMine) ?? whole[0] ?? group[0];
    if (shown === undefined) return [];
    const root = shown.root ?? group.find((one) => one.root !== undefined)?.root;
    return [{ ...shown, root, holders: new Set(whole.map((one) => formatEndpoint(one))).size }];
  });
}
