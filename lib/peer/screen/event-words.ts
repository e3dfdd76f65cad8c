// Turns the events of a peer and of its downloads into sentences for a person and objects for a script.

import { formatEndpoint } from "../../protocol/address.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, plural, printableName } from "../../text.ts";
import { SHORT_ID } from "../download/contents.ts";
import type { PeerEvent } from "../events.ts";
import type { FetchEvent } from "../fetch/types.ts";
import { describeExclusion, describeWait, withoutFiles } from "../online/exclusion.ts";
import type { Upload } from "../serve/types.ts";
import { describeNames } from "./view.ts";

/** The sentence about the files that a tracker does not take, because this peer has reached its limit. */
export function describeLeftOut(left: FileRecord[]): string {
  return `This tracker takes no more files from one person; not shared: ${describeNames(left.map(({ name }) => name))}.`;
}

/** An event as a sentence for a person; "" for one that only a script gets: people are told of a whole file, not of each turn. */
export function describeEvent(event: PeerEvent): string {
  const words = describe(event);
  if (!("more" in event) || words === "") return words;
  return `${words} (one of ${event.more} such events${event.several ? ", from several addresses" : ""})`;
}

function describe(event: PeerEvent): string {
  switch (event.event) {
    case "joined": {
      const left = event.left.length === 0 ? "" : ` ${describeLeftOut(event.left)}`;
      if (event.profile === 1) {
        return `Online. This tracker speaks the basic protocol: exact search, downloads without verification, and everybody is served.${left}`;
      }
      const guests = event.guests ? " Browsers can download your files, too, unless you say --no-guests." : "";
      const you = !event.you ? "" : ` You are "${event.you}".`;
      const where = event.room ? ` in the private room "${event.name}"` : ` at "${event.name}"`;
      return `Online${where}: ${plural(event.peers, "peer")}, ${plural(event.files, "file")}.${you}${left}${guests}`;
    }
    case "shut-out":
      return `${event.words} You are not online any more.`;
    case "away":
      return `Lost the tracker (${event.reason}). Reconnecting…`;
    case "dismissed": {
      const exclusion = { code: event.code, until: event.until === undefined ? undefined : Date.parse(event.until) };
      return `${describeExclusion(exclusion, Date.now())} ${describeWait(exclusion, Date.now())}`;
    }
    case "offline":
      return withoutFiles().message;
    case "notice":
      return `The tracker says: ${event.words}`;
    case "unread":
      return `Could not read ${event.count === 1 ? "1 entry" : `${event.count} entries`} of the tracker's answer, so it may be incomplete.`;
    case "reach":
      return event.reachable
        ? `Others can connect to this machine: port ${event.port} is open.`
        : `Others cannot connect to this machine: port ${event.port} is blocked (${event.reason}). They can still get your files because this computer connects to them, unless their firewall blocks that too. ${howToOpen(event.port)}`;
    case "root":
      return `"${event.name}" is ready (${event.root.slice(0, SHORT_ID)}…).`;
    case "hashing":
      return `Reading "${event.name}": ${event.done} of ${plural(event.total, "file")}.`;
    case "folder":
      return `The folder "${event.name}" is ready: ${plural(event.files, "file")}, ${formatSize(event.size)}.${leftInFolder(event.left)}`;
    case "changed":
      return `"${event.name}" has changed: ${formatSize(event.size)} now.`;
    case "renamed":
      return `"${event.was}" is shared as "${event.name}" now: it was renamed.`;
    case "withdrawn":
      return `"${event.name}" is not shared any more: ${event.reason}.`;
    case "upload-started":
    case "upload-ended":
    case "offer":
      return "";
    case "has-all": {
      const count = event.has === undefined ? "" : ` (${event.has} of ${event.online})`;
      return `${downloader(event.upload)} has all of "${printableName(event.upload.name)}"${count}.`;
    }
    case "download-refused":
      return `Refused ${event.address}: ${event.reason}`;
    default:
      return event satisfies never;
  }
}

/** A downloader by its name, else by its address and its id, by which it can be kicked. */
function downloader({ to, id, by }: Upload): string {
  if (by !== undefined) return by;
  return id === undefined ? formatEndpoint(to) : `${formatEndpoint(to)} (peer ${id})`;
}

/** How many entries of a folder are not shared, as a sentence, with a space before it; "" when there are none. */
export function leftInFolder(left: Record<string, number>): string {
  const most = Object.entries(left).sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
  const parts = most.map(([reason, count]) => {
    if (reason === "hidden") return count === 1 ? "1 hidden entry" : `${count.toLocaleString("en")} hidden entries`;
    if (reason === "links") return plural(count, "link");
    if (count === 1) return `1 entry (${reason})`;
    const ofAll = reason.replace(/^its name is/, "their names are").replace(/^its name has/, "their names have");
    return `${count.toLocaleString("en")} entries (${ofAll})`;
  });
  return parts.length === 0 ? "" : ` Left out: ${parts.join(", ")}.`;
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
    case "has-all": {
      const { upload, ...rest } = event;
      const { to, id, by, name, root } = upload;
      return { ...rest, address: to.address, port: to.port, id, by, name, root };
    }
    case "upload-started":
    case "upload-ended": {
      const { upload, ...rest } = event;
      const { to, id, by, name, root, sent, wanted, seconds } = upload;
      const end = event.event === "upload-ended" ? { seconds: Number(seconds.toFixed(3)) } : {};
      return { ...rest, address: to.address, port: to.port, id, by, name, root, sent, wanted, ...end };
    }
    default:
      return event;
  }
}

/** An event of a download as an object for a script. `rate` is in bytes per second. */
export function fetchEventObject(event: FetchEvent, rate: number): object {
  if (event.event === "progress") return { ...event, rate: Math.round(rate) };
  if (!("holder" in event)) return event;
  const { event: name, holder, ...rest } = event;
  return { event: name, address: holder.address, port: holder.port, ...rest };
}
