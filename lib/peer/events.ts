// Defines the events of an online peer that the screen shows, and limits how many of them a flood may show.

import type { Clock } from "../clock.ts";
import { Damper, type More } from "../damper.ts";
import { hostOf } from "../protocol/address.ts";
import type { FileRecord } from "../protocol/record.ts";
import type { SessionEvent } from "./online/session-types.ts";
import type { ServeEvent, Upload } from "./serve/types.ts";

/** An event of this peer's own files. */
type OwnEvent =
  /** The content id of a shared file is computed. */
  | { event: "root"; name: string; size: number; root: string }
  /** A folder is being hashed: `done` of `total` files so far. */
  | { event: "hashing"; name: string; done: number; total: number }
  /** A folder is hashed. `left`: how many entries are not shared, by reason. */
  | { event: "folder"; name: string; files: number; size: number; root: string; left: Record<string, number> }
  | { event: "changed"; name: string; size: number }
  /** A shared file was renamed: its record has the new name. */
  | { event: "renamed"; name: string; was: string }
  | { event: "withdrawn"; name: string; reason: string }
  /** A downloader has all of a file by now. `has` of the people `online` have it; neither is known when it has left. */
  | { event: "has-all"; upload: Upload; has?: number; online?: number }
  /** Somebody offers this peer a file. */
  | { event: "offer"; record: FileRecord }
  /** This peer has left its tracker: it shares no file any more. */
  | { event: "offline"; reason: "no-files" };

/** An event that the tracker or a downloader causes. Each of them can be a flood. */
type OthersEvent = SessionEvent | ServeEvent | Extract<OwnEvent, { event: "has-all" }>;

/** `more`: the number of events of its kind that this one stands for; `several`: some of these came from other addresses. */
export type PeerEvent = OwnEvent | (OthersEvent & { more?: number; several?: boolean });

/** A longer NOTICE of the tracker is cut. Characters. */
const LONGEST_NOTICE = 400;

/** Passes events on. In a flood it passes on the first few, and then the number of those that it left out. */
export class EventDamper {
  readonly #report: (event: PeerEvent) => void;
  readonly #damper: Damper<OthersEvent>;

  constructor(report: (event: PeerEvent) => void, clock: Clock) {
    this.#report = report;
    const tell = (event: OthersEvent, more?: More) => {
      report(more === undefined ? event : { ...event, more: more.count, ...(more.several ? { several: true } : {}) });
    };
    this.#damper = new Damper(tell, clock);
  }

  report(event: PeerEvent): void {
    if (isOwn(event)) this.#report(event);
    else if (event.event === "notice") this.#damper.tell("notice", "", { event: "notice", words: cut(event.words) });
    else this.#damper.tell(event.event, whoseHost(event), event);
  }

  /** Passes on the numbers of the events that were left out. */
  flush(): void {
    this.#damper.flush();
  }
}

function isOwn(event: PeerEvent): event is OwnEvent {
  // Without an id nobody but the downloader itself says that it has all.
  if (event.event === "has-all") return event.upload.id !== undefined;
  return ["root", "hashing", "folder", "changed", "renamed", "withdrawn", "offer", "offline"].includes(event.event);
}

function whoseHost(event: OthersEvent): string {
  if (event.event === "download-refused") return hostOf(event.address);
  return "upload" in event ? hostOf(event.upload.to.address) : "";
}

function cut(words: string): string {
  return words.length > LONGEST_NOTICE ? `${words.slice(0, LONGEST_NOTICE)}…` : words;
}
