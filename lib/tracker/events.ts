// Defines the events of a tracker, writes each as a line for a person, and limits how many of them a flood may log.
// tracker.ts prints the events.

import type { Clock } from "../clock.ts";
import { Damper, type More } from "../damper.ts";
import { VERSION } from "../program/cli.ts";
import { formatEndpoint, hostOf } from "../protocol/address.ts";
import { formatSize, localDay, plural, printable, printableName } from "../text.ts";

/** The reason of a peer that left as its person wished. Its line in the log has no reason: it says "left" already. */
export const SAID_BYE = "left";

/** An event of the tracker itself. There are few. */
type OwnEvent =
  | { event: "listening"; address: string; port: number; room?: true }
  /** The tracker is a private room. `key`: only when it is a new one, which its operator does not know yet. `file`: where it is kept. */
  | { event: "room"; key?: string | undefined; file?: string | undefined }
  /** The addresses that peers can type; `announced`: whether they can also find the tracker by DNS-SD. */
  | { event: "addresses"; addresses: string[]; announced: boolean }
  /** The addresses of the web page; `guests`: whether guests may download. */
  | { event: "web"; addresses: string[]; guests: boolean }
  /** DNS-SD shows the tracker under this name from now on. */
  | { event: "announced"; name: string }
  | { event: "operator"; order: string; words: string }
  /** The connection to the Redis by which trackers share their index. `redis`: where it is. */
  | { event: "redis"; state: "connected"; redis: string; trackers: number }
  | { event: "redis"; state: "away"; redis: string; reason: string }
  /** Another tracker shares its index with this one, or does so no more. */
  | { event: "tracker"; state: "here" | "gone"; name: string }
  | { event: "stopped" };

/** An event of a peer or of another program. Each of these events can come in a flood. */
type PeerEvent = { address: string } & (
  | ({ event: "joined"; files: number; agent: string; profile: string; peers: number } & Who)
  | ({ event: "updated"; files: number } & Who)
  | ({ event: "unreachable"; reason: string } & Who)
  /** `file`: only of one that everybody may see. `to`: everybody, or the number of receivers. */
  | ({ event: "offered"; file?: string; size: number; to: "all" | number } & Who)
  | ({ event: "left"; reason: string; peers: number } & Who)
  | { event: "refused"; code: string; reason: string }
);

/** The peer of an event; a peer without a name has no `name`. */
type Who = { id: string; name?: string | undefined; port: number };

/** `more`: the number of events of its kind that this one stands for; `several`: some of these came from other addresses. */
export type TrackerEvent = OwnEvent | (PeerEvent & { more?: number; several?: boolean });

/** Passes events on. In a flood it passes on the first few, and then the number of those that it left out. */
export class EventDamper {
  readonly #report: (event: TrackerEvent) => void;
  readonly #damper: Damper<PeerEvent>;

  constructor(report: (event: TrackerEvent) => void, clock: Clock) {
    this.#report = report;
    const tell = (event: PeerEvent, more?: More) => {
      report(more === undefined ? event : { ...event, more: more.count, ...(more.several ? { several: true } : {}) });
    };
    this.#damper = new Damper(tell, clock);
  }

  report(event: TrackerEvent): void {
    if (event.event === "stopped") this.#damper.flush();
    if (!("address" in event) || event.event === "listening") this.#report(event);
    else this.#damper.tell(event.event === "refused" ? `refused ${event.code}` : event.event, hostOf(event.address), event);
  }
}

/** An event with the time at which it is logged, ISO 8601 UTC. */
export function withTime<Event extends object>(event: Event): Event & { time: string } {
  return { ...event, time: new Date().toISOString() };
}

/** Colours for a terminal. Each gives a text as it is where there are none. */
type Colour = "dim" | "bold" | "green" | "yellow" | "red" | "cyan";
type Colours = { readonly [Name in Colour]: (text: string) => string };

const plain = (text: string) => text;
const NO_COLOURS: Colours = { dim: plain, bold: plain, green: plain, yellow: plain, red: plain, cyan: plain };

/** Writes events as lines for a person. A new day begins with a line of its date. A journal gives each line its time by itself. */
export class TrackerLog {
  readonly #colours: Colours;
  readonly #isJournal: boolean;
  #day = "";

  constructor(colours: Colours = NO_COLOURS, isJournal = false) {
    this.#colours = colours;
    this.#isJournal = isJournal;
  }

  /** The lines of an event that happens at this time. */
  lines(event: TrackerEvent, at: Date): string[] {
    if (event.event === "listening") return [this.#colours.bold(`ft-tracker ${VERSION} listening on ${formatEndpoint(event)}`)];
    if (event.event === "addresses") return this.#addresses(event);
    if (event.event === "room") return this.#room(event);
    if (event.event === "web") {
      const may = event.guests ? "Browsers can see the files and download them:" : "Browsers can see what there is:";
      return [may, ...event.addresses.map((address) => `    ${this.#colours.bold(address)}`)];
    }
    const [verb, colour, words] = describe(event);
    const line = words === "" ? this.#colours[colour](verb) : `${this.#colours[colour](verb.padEnd(8))} ${words}`;
    if (this.#isJournal) return [`${line}${moreOf(event)}`];
    const day = localDay(at);
    const date = day === this.#day ? [] : [this.#colours.dim(day)];
    this.#day = day;
    const time = this.#colours.dim(at.toTimeString().slice(0, 8));
    return [...date, `${time}  ${line}${moreOf(event)}`];
  }

  #room({ key, file }: Extract<TrackerEvent, { event: "room" }>): string[] {
    const kept = file === undefined ? [] : [`Its key is in "${printable(file)}".`];
    if (key === undefined) return ["This is a private room.", ...kept];
    const shown = ["This is a private room. Its key, which is shown only now:", `    ${this.#colours.bold(printable(key))}`];
    return [...shown, ...kept];
  }

  /** An address a line: a line that a narrow terminal breaks would show half an address. */
  #addresses({ addresses, announced }: Extract<TrackerEvent, { event: "addresses" }>): string[] {
    const { bold } = this.#colours;
    const typed = addresses.map((address) => `    ${bold(`ft-peer ${address}`)}`);
    if (typed.length === 0) {
      return [
        "This computer has no network address now. On this computer, run:",
        `    ${bold(announced ? "ft-peer" : "ft-peer 127.0.0.1")}`,
      ];
    }
    if (!announced) return ["Other computers: run", ...typed];
    return ["Other computers: run", `    ${bold("ft-peer")}`, "If they can't find it:", ...typed];
  }
}

/** The number of events that a line stands for. A line that stands for itself alone has none. */
function moreOf(event: TrackerEvent): string {
  if (!("more" in event) || event.more === 1) return "";
  return ` (one of ${event.more} such lines${event.several ? ", from several addresses" : ""})`;
}

/** The word for an event, its colour, and the rest of its line. */
function describe(
  event: Exclude<TrackerEvent, { event: "listening" | "addresses" | "room" | "web" }>,
): [verb: string, colour: Colour, words: string] {
  switch (event.event) {
    case "announced":
      return ["announced", "cyan", `as "${printable(event.name)}"`];
    case "unreachable": {
      const why = `its port does not let others in (${printable(event.reason)}); it will connect to them instead`;
      return ["blocked", "yellow", `${describePeer(event)}: ${why}`];
    }
    case "joined":
      return [
        "joined",
        "green",
        `${describePeer(event)}, ${plural(event.files, "file")}, ${printable(event.agent)} ${online(event)}`,
      ];
    case "updated":
      return ["updated", "dim", `${describePeer(event)}, ${plural(event.files, "file")}`];
    case "offered": {
      const what = event.file === undefined ? "a file" : `"${printableName(event.file)}"`;
      const to = event.to === "all" ? "everybody" : event.to === 1 ? "1 person" : `${event.to} people`;
      return ["offered", "dim", `${describePeer(event)} offers ${what} (${formatSize(event.size)}) to ${to}`];
    }
    case "left": {
      const why = event.reason === SAID_BYE ? "" : `: ${printable(event.reason)}`;
      return ["left", "dim", `${describePeer(event)}${why} ${online(event)}`];
    }
    case "refused":
      return ["refused", "red", `${event.address}: ${printable(event.reason)}`];
    case "redis":
      if (event.state === "connected") return ["group", "green", `sharing one index by Redis at ${printable(event.redis)}`];
      return ["group", "yellow", `Redis at ${printable(event.redis)} is away: ${printable(event.reason)}. Trying again.`];
    case "tracker": {
      const words = event.state === "here" ? "shares its index" : "is gone, and its peers with it";
      return ["group", event.state === "here" ? "green" : "yellow", `tracker "${printable(event.name)}" ${words}`];
    }
    case "operator":
      return ["operator", "cyan", printable(event.words)];
    case "stopped":
      return ["stopped", "bold", ""];
    default:
      return event satisfies never;
  }
}

function online({ peers }: { peers: number }): string {
  return `(${plural(peers, "peer")} online)`;
}

/** A peer as the operator reads it: `"Ben" at 10.0.0.7:1235`. */
export function describePeer({ name, address, port }: { name?: string | undefined; address: string; port: number }): string {
  const at = formatEndpoint({ address, port });
  return name === undefined ? at : `"${printable(name)}" at ${at}`;
}
