// Which records are of one content.

import { formatEndpoint } from "../protocol/address.ts";
import { type FileRecord, modifiedOf } from "../protocol/record.ts";

/** Records of the same content: by root where there is one, else each by itself. Most whole holders first, then the newest. */
export function groupByContent(records: FileRecord[]): [FileRecord, ...FileRecord[]][] {
  const groups = new Map<string, [FileRecord, ...FileRecord[]]>();
  for (const record of records) {
    const key = record.root === undefined ? formatEndpoint(record) + record.name : `${record.root} ${record.size}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [record]);
    else group.push(record);
  }
  return [...groups.values()].sort(
    (a, b) => wholeHolders(b) - wholeHolders(a) || b.length - a.length || modifiedOf(b[0]).localeCompare(modifiedOf(a[0])),
  );
}

/** How many of these have the whole file. */
export function wholeHolders(records: FileRecord[]): number {
  return records.filter(({ part }) => !part).length;
}
