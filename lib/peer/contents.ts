// Which records are of the same content, and which content a name means.

import { type Clock, sleep } from "../clock.ts";
import { formatEndpoint } from "../protocol/address.ts";
import { type FileRecord, modifiedOf } from "../protocol/record.ts";

/** Groups records by content id; a record without one is a group of its own. The group with the most whole holders comes first. */
export function groupByContent(records: FileRecord[]): [FileRecord, ...FileRecord[]][] {
  const groups = Map.groupBy(records, (record) =>
    record.root === undefined ? formatEndpoint(record) + record.name : `${record.root} ${record.size}`,
  ) as Map<string, [FileRecord, ...FileRecord[]]>;
  return [...groups.values()].sort(
    (a, b) => wholeHolders(b) - wholeHolders(a) || b.length - a.length || modifiedOf(b[0]).localeCompare(modifiedOf(a[0])),
  );
}

/** The number of these records that are of the whole file. */
export function wholeHolders(records: FileRecord[]): number {
  return records.filter(({ part }) => !part).length;
}

/** A holder that still computes its content id is asked again after this time. Milliseconds. */
const ROOT_RETRY_MS = 300;
/** A holder hashes at least this fast. Bytes a second. */
const HASH_SPEED = 200_000_000;
/** A content id is waited for no longer than this. Milliseconds. */
const ROOT_PATIENCE_MS = 8_000;

/**
 * The holders of what `look` finds and `fits` accepts: of the content that most have, other peers' before this peer's own.
 * Undefined when there is none. Without its content id a file cannot be verified, so one that is about to be computed is waited for.
 */
export async function waitForContent(tools: {
  look(): Promise<FileRecord[]>;
  fits(record: FileRecord): boolean;
  isOwn(record: FileRecord): boolean;
  clock: Clock;
}): Promise<[FileRecord, ...FileRecord[]] | undefined> {
  const { look, fits, isOwn, clock } = tools;
  const started = clock.elapsed();
  for (;;) {
    const fitting = (await look()).filter(fits);
    const others = fitting.filter((record) => !isOwn(record));
    const [best] = groupByContent(others.length === 0 ? fitting : others);
    if (best === undefined || best[0].root !== undefined || !best[0].v2) return best;
    const patience = Math.min(ROOT_PATIENCE_MS, 1000 + (best[0].size / HASH_SPEED) * 1000);
    if (clock.elapsed() - started > patience) return best;
    await sleep(clock, ROOT_RETRY_MS);
  }
}
