// Records, peers and progress: as lines for a person, as objects for a script. Pure.

import type { PeerLine } from "./message.ts";
import { type FileRecord, formatEndpoint, groupByContent, modifiedOf } from "./record.ts";
import { formatDuration, formatRate, formatSize, type Measure, printable, table } from "./text.ts";

/** Records as a table, a line each, at most `width` columns wide. */
export function recordTable(records: FileRecord[], measure: Measure, width?: number): string[] {
  const rows = records.map((record) => [
    printable(record.name),
    formatSize(record.size),
    printable(record.type),
    record.date,
    formatEndpoint(record),
  ]);
  return table(
    [
      { title: "NAME", shrinks: true },
      { title: "SIZE", align: "right" },
      { title: "TYPE", shrinks: true },
      { title: "DATE" },
      { title: "WHO" },
    ],
    rows,
    measure,
    width,
  );
}

/** The holders of one file as a table without its name: type, size, date, who. */
export function holderTable(records: FileRecord[], measure: Measure, width?: number): string[] {
  const rows = records.map((record) => [printable(record.type), formatSize(record.size), record.date, formatEndpoint(record)]);
  return table(
    [{ title: "TYPE", shrinks: true }, { title: "SIZE", align: "right" }, { title: "DATE" }, { title: "WHO" }],
    rows,
    measure,
    width,
  );
}

/** Records as objects for a script; `holders` counts the peers with the same content among them. */
export function recordObjects(records: FileRecord[]): object[] {
  const holders = new Map<FileRecord, number>();
  for (const group of groupByContent(records)) for (const record of group) holders.set(record, group.length);
  return records.map((record) => ({
    name: record.name,
    type: record.type,
    size: record.size,
    modified: modifiedOf(record),
    address: record.address,
    port: record.port,
    root: record.root ?? null,
    holders: holders.get(record) ?? 1,
  }));
}

/** The peers online as a table; `self` is marked. */
export function peerTable(peers: PeerLine[], self: string, measure: Measure, width?: number): string[] {
  const rows = peers.map((peer) => [
    formatEndpoint(peer) + (peer.id === self ? " (you)" : ""),
    String(peer.files),
    formatSize(peer.bytes),
    printable(peer.agent),
    printable(peer.since.slice(11, 16)),
    printable(peer.id),
  ]);
  return table(
    [
      { title: "WHO" },
      { title: "FILES", align: "right" },
      { title: "SIZE", align: "right" },
      { title: "PROGRAM", shrinks: true },
      { title: "SINCE (UTC)", shrinks: true },
      { title: "ID", shrinks: true },
    ],
    rows,
    measure,
    width,
  );
}

/** How far something has come. Rates are over the last few seconds, so that the time left can be believed. */
export class Pace {
  readonly #samples: { at: number; bytes: number }[] = [];
  readonly #over: number;

  constructor(overMs = 3000) {
    this.#over = overMs;
  }

  /** Bytes a second at `at` (milliseconds), `bytes` being all so far. */
  rate(at: number, bytes: number): number {
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > this.#over) this.#samples.shift();
    const first = this.#samples[0];
    return first === undefined || at === first.at ? 0 : ((bytes - first.bytes) * 1000) / (at - first.at);
  }
}

/** One line of progress: ` 42 %  431 MB of 1.0 GB  890 MB/s  0.7 s left`. */
export function progressLine(done: number, size: number, rate: number): string {
  const percent = size === 0 ? 100 : Math.floor((done / size) * 100);
  const left = rate > 0 ? `  ${formatDuration((size - done) / rate)} left` : "";
  return `${String(percent).padStart(3)} %  ${formatSize(done)} of ${formatSize(size)}  ${formatRate(rate)}${left}`;
}
