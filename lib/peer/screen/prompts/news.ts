// Keeps the last events of a peer as the lines that the prompts show above the question.

import { formatEndpoint } from "../../../protocol/address.ts";
import { printable, printableName } from "../../../text.ts";
import type { PeerEvent } from "../../events.ts";
import { ROOM_KEY } from "../../online/room.ts";
import { describeEvent, describeLeftOut } from "../event-words.ts";

/** The most events that are shown. */
const SHOWN = 2;
/** In a terminal of fewer rows one event is shown. */
const LOW_ROWS = 22;

export class News {
  readonly #clock: () => Date;
  #last: string[] = [];
  #away: string | undefined;
  /** Gives the line about offers that wait, or "". It stays as long as they wait. */
  offers = (): string => "";

  /** `clock` gives the time of day. */
  constructor(clock: () => Date) {
    this.#clock = clock;
  }

  /** Takes in an event. Gives a sentence that must not be missed, or undefined. */
  hear(event: PeerEvent): string | undefined {
    if (event.event === "notice") return describeEvent(event);
    if (event.event === "joined") {
      if (this.#away !== undefined) this.add("Back at the tracker.");
      if (event.left.length > 0) this.add(describeLeftOut(event.left));
      this.#away = undefined;
    } else if (event.event === "away") {
      this.#away = `Lost the tracker (${event.reason}). Reconnecting…`;
    } else if (event.event === "dismissed" || event.event === "shut-out" || event.event === "offline") {
      const isKeyOld = event.event === "shut-out" && event.code === ROOM_KEY;
      this.#away = isKeyOld
        ? "The private room has another key now, and you are not online. Esc: type the new one."
        : describeEvent(event);
    } else {
      const words = wordsOf(event);
      if (words !== undefined) this.add(words);
    }
    return undefined;
  }

  /** Adds a line with the time of day. */
  add(words: string): void {
    const time = this.#clock().toTimeString().slice(0, 5);
    this.#last = [...this.#last, `${time}  ${words}`].slice(-SHOWN);
  }

  /** The lines to show in a terminal with this number of rows. */
  lines(rows: number): string[] {
    const last = this.#last.slice(rows < LOW_ROWS ? -1 : -SHOWN);
    const offers = this.offers();
    return [...(this.#away === undefined ? [] : [this.#away]), ...(offers === "" ? [] : [offers]), ...last];
  }
}

/** An event as one short line; undefined for those that people need not see at once. */
function wordsOf(event: PeerEvent): string | undefined {
  switch (event.event) {
    case "root":
    case "hashing":
      return undefined;
    case "has-all": {
      const { upload, has, online } = event;
      const count = has === undefined ? "" : ` (${has} of ${online})`;
      return `${printable(upload.by ?? formatEndpoint(upload.to))} has all of "${printableName(upload.name)}"${count}.`;
    }
    case "reach":
      return event.reachable
        ? undefined
        : `Others cannot connect to this computer: port ${event.port} is blocked. "What I share" says more.`;
    default:
      return describeEvent(event) || undefined;
  }
}
