// Turns records, peers, downloads and events into lines for a person and objects for a script. Writes nothing itself.

import { basename } from "node:path";
import pc from "picocolors";
import { formatEndpoint } from "../../protocol/address.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import { type FileRecord, modifiedOf } from "../../protocol/record.ts";
import { formatDuration, formatRate, formatSize, plural, printable } from "../../text.ts";
import { groupByContent, wholeHolders } from "../contents.ts";
import type { LeftOut } from "../disk/share.ts";
import type { Downloaded } from "../download.ts";
import type { PeerEvent } from "../events.ts";
import type { FetchEvent } from "../fetch/types.ts";
import { type Column, table } from "./columns.ts";

/** Colours for a terminal only; picocolors alone would also colour the logs of build servers. */
export const colours = pc.createColors(pc.isColorSupported && process.stdout.isTTY === true);

/** Records as a table, a line each, at most `width` columns wide. */
export function recordTable(records: FileRecord[], width?: number): string[] {
  return fileTable(records, holderCell, width);
}

/** Contents as a table, a line each: one record stands for all holders of a content. */
export function contentTable(records: FileRecord[], width?: number): string[] {
  const holdersCell = (record: FileRecord) => {
    const { holders = 1 } = record;
    return holders === 0 ? "unfinished" : holders === 1 ? formatEndpoint(record) : plural(holders, "holder");
  };
  return fileTable(records, holdersCell, width);
}

function fileTable(records: FileRecord[], lastCell: (record: FileRecord) => string, width: number | undefined): string[] {
  const columns: Column[] = [
    { title: "NAME", shrinksTo: 20 },
    { title: "SIZE", align: "right" },
    { title: "TYPE", shrinksTo: 8, spare: 3 },
    { title: "DATE", spare: 2 },
    { title: "WHO", spare: 1 },
  ];
  const rows = records.map((record) => {
    const { name, size, type, date } = record;
    return [printable(name), formatSize(size), printable(type), date, lastCell(record)];
  });
  return table(columns, rows, width);
}

/** The holders of one file as a table of type, size, date and address. */
export function holderTable(records: FileRecord[], width?: number): string[] {
  const columns: Column[] = [
    { title: "TYPE", shrinksTo: 8, spare: 2 },
    { title: "SIZE", align: "right" },
    { title: "DATE", spare: 1 },
    { title: "WHO" },
  ];
  const rows = records.map((record) => [printable(record.type), formatSize(record.size), record.date, holderCell(record)]);
  return table(columns, rows, width);
}

/** The address of a record's holder, and whether it has only a part of the file. */
function holderCell(record: FileRecord): string {
  return formatEndpoint(record) + (record.part ? " (unfinished)" : "");
}

/** Records as objects for a script. `holders` is the number of these records that are of the whole of the same content. */
export function recordObjects(records: FileRecord[]): object[] {
  const holders = new Map<FileRecord, number>();
  for (const group of groupByContent(records)) for (const record of group) holders.set(record, wholeHolders(group));
  return records.map((record) => {
    const { name, type, size, address, port, root = null } = record;
    const whole = record.holders ?? holders.get(record) ?? 1;
    return {
      name,
      type,
      size,
      modified: modifiedOf(record),
      address,
      port,
      root,
      holders: whole,
      ...(record.part && { part: true }),
    };
  });
}

/** The peers online as a table; `self` is marked. */
export function peerTable(peers: PeerLine[], self: string, width?: number): string[] {
  const columns: Column[] = [
    { title: "WHO" },
    { title: "FILES", align: "right", spare: 1 },
    { title: "SIZE", align: "right", spare: 2 },
    { title: "PROGRAM", spare: 3 },
    { title: "SINCE (UTC)", spare: 4 },
    { title: "ID", spare: 5 },
  ];
  const rows = peers.map((peer) => [
    formatEndpoint(peer) + (peer.id === self ? " (you)" : "") + (peer.reach === false ? " (firewalled)" : ""),
    String(peer.files),
    formatSize(peer.bytes),
    ...[peer.agent, peer.since.slice(11, 16), peer.id].map(printable),
  ]);
  return table(columns, rows, width);
}

/** A rate is of this time, up to now. Milliseconds. */
const PACE_MS = 3_000;

/** The rate of a transfer over the last few seconds. */
export class Pace {
  readonly #samples: { at: number; bytes: number }[] = [];

  /** Bytes a second; `at` is the time now in milliseconds, `bytes` all bytes so far. */
  rate(at: number, bytes: number): number {
    // A download that starts again has a new rate.
    if (bytes < (this.#samples.at(-1)?.bytes ?? 0)) this.#samples.length = 0;
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > PACE_MS) this.#samples.shift();
    const first = this.#samples[0];
    return first === undefined || at === first.at ? 0 : ((bytes - first.bytes) * 1000) / (at - first.at);
  }
}

/** One line of progress: ` 42 %  431 MB of 1.0 GB  890 MB/s  0.7 s left  from 3 holders`. */
export function progressLine(done: number, size: number, rate: number, holders = 1): string {
  const percent = size === 0 ? 100 : Math.floor((done / size) * 100);
  const left = rate > 0 ? `  ${formatDuration((size - done) / rate)} left` : "";
  const from = holders > 1 ? `  from ${plural(holders, "holder")}` : "";
  return `${String(percent).padStart(3)} %  ${formatSize(done)} of ${formatSize(size)}  ${formatRate(rate)}${left}${from}`;
}

/** A finished download for a person: path, size, rate, and whether it is verified. */
export function describeDownload({ path, size, verified, outcome }: Downloaded, seconds: number): string {
  const how = outcome === "already here" ? "already here" : formatRate(size / Math.max(seconds, 0.001));
  const checked = verified ? colours.green("verified") : colours.yellow("not verified");
  return `${printable(path)}  ${formatSize(size)}  ${how}  ${checked}`;
}

/** A finished download as an object for a script. */
export function downloadObject(name: string, { path, size, verified, outcome, holders }: Downloaded, seconds: number): object {
  const rounded = Number(seconds.toFixed(3));
  return { event: "done", name, path, size, seconds: rounded, verified, holders: holders.length, outcome };
}

/** The sentence for a search that found nothing. */
export function notFoundSentence(name: string): string {
  return `Nobody who is online shares "${printable(name)}".`;
}

/** Files that are named, at most, before "and more". */
const LEFT_SHOWN = 5;

/** The files that are not shared, by reason, each as a sentence. */
export function describeLeft(left: LeftOut[]): string {
  const byReason = Map.groupBy(left, ({ reason }) => reason);
  return [...byReason]
    .map(([reason, files]) => {
      const names = files.map(({ path }) => `"${basename(path)}"`);
      const more = names.length > LEFT_SHOWN ? ` and ${names.length - LEFT_SHOWN} more` : "";
      return ` Left out, because ${reason}: ${names.slice(0, LEFT_SHOWN).join(", ")}${more}.`;
    })
    .join("");
}

/** An event as a sentence for a person. */
export function describeEvent(event: PeerEvent): string {
  switch (event.event) {
    case "joined": {
      const names = event.left.map(({ name }) => `"${name}"`).join(", ");
      if (event.profile === 1) {
        const left = event.left.length === 0 ? "" : ` It does not take ${names}.`;
        return `Online. This tracker speaks the basic protocol: exact search, downloads without verification, and everybody is served.${left}`;
      }
      const left = event.left.length === 0 ? "" : ` It takes no more files of one peer; left out: ${names}.`;
      return `Online at "${event.name}": ${plural(event.peers, "peer")}, ${plural(event.files, "file")}.${left}`;
    }
    case "away":
      return `The tracker is away (${event.reason}); coming back by itself.`;
    case "notice":
      return `The tracker says: ${event.words}`;
    case "unread":
      return `Could not read ${event.count === 1 ? "1 entry" : `${event.count} entries`} of the tracker's answer; left out.`;
    case "reach":
      return event.reachable
        ? `Others can connect to this machine: port ${event.port} is open.`
        : `Others cannot connect to this machine: port ${event.port} does not let them in (${event.reason}). They still get your files, because this peer connects to them instead, but only as long as their own firewalls allow that. ${howToOpen(event.port)}`;
    case "root":
      return `Content id of "${event.name}": ${event.root}`;
    case "changed":
      return `"${event.name}" has changed: ${formatSize(event.size)} now.`;
    case "withdrawn":
      return `"${event.name}" is not shared any more: ${event.reason}.`;
    case "upload-started":
      return `${formatEndpoint(event.upload.to)} downloads "${event.upload.name}".`;
    case "upload-ended": {
      const { to, name, sent, wanted } = event.upload;
      const how = event.complete ? `got ${formatSize(sent)}` : `stopped after ${formatSize(sent)} of ${formatSize(wanted)}`;
      return `${formatEndpoint(to)} ${how} of "${name}"${event.reason === "" ? "" : ` (${event.reason})`}.`;
    }
    case "download-refused":
      return `Refused ${event.address}: ${event.reason}`;
    default:
      return event satisfies never;
  }
}

/** How to open a port in this system's firewall, as sentences. */
export function howToOpen(port: number, platform: NodeJS.Platform = process.platform): string {
  const rule = `netsh advfirewall firewall add rule name=FileTracker dir=in action=allow protocol=TCP localport=${port}`;
  return {
    win32: `To let them in, allow ft-peer when Windows Defender Firewall asks, or run as administrator: ${rule}`,
    darwin: `To let them in, allow incoming connections for ft-peer in System Settings, Network, Firewall (TCP port ${port}).`,
    other: `To let them in, allow TCP port ${port}: "sudo ufw allow ${port}/tcp" with ufw, "sudo firewall-cmd --add-port=${port}/tcp" with firewalld.`,
  }[platform === "win32" || platform === "darwin" ? platform : "other"];
}

/** An event as an object for a script. */
export function eventObject(event: PeerEvent): object {
  switch (event.event) {
    case "joined":
      return { ...event, left: event.left.map(({ name }) => name) };
    case "upload-started":
    case "upload-ended": {
      const { to, name, sent, wanted } = event.upload;
      const end = event.event === "upload-ended" ? { complete: event.complete, reason: event.reason } : {};
      return { event: event.event, address: to.address, port: to.port, name, sent, wanted, ...end };
    }
    default:
      return event;
  }
}

/** An event of a download as an object for a script. `rate` is in bytes a second. */
export function fetchEventObject(event: FetchEvent, rate: number): object {
  if (event.event === "progress") return { ...event, rate: Math.round(rate) };
  if (!("holder" in event)) return event;
  const { event: name, holder, ...rest } = event;
  return { event: name, address: holder.address, port: holder.port, ...rest };
}
