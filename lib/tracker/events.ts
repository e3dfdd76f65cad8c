// Defines the events of a tracker, writes each as a line for a person, and limits how many of them a flood may log.
// tracker.ts prints the events.

import type { Clock } from "../clock.ts";
import { Damper, type More } from "../damper.ts";
import { VERSION } from "../program/cli.ts";
import { formatEndpoint, hostOf } from "../protocol/address.ts";
import { plural, printable } from "../text.ts";

/** An event of the tracker itself. There are few. */
type OwnEvent =
  | { event: "listening"; address: string; port: number }
  /** The addresses that peers can type; `announced`: whether they can also find the tracker by DNS-SD. */
  | { event: "addresses"; addresses: string[]; announced: boolean }
  /** DNS-SD shows the tracker under this name from now on. */
  | { event: "announced"; name: string }
  | { event: "operator"; order: string; words: string }
  | { event: "stopped" };

/** An event of a peer or of another program. Each of these events can come in a flood. */
type PeerEvent = { address: string } & (
  | ({ event: "joined"; files: number; agent: string; profile: string; peers: number } & Who)
  | ({ event: "updated"; files: number } & Who)
  | ({ event: "unreachable"; reason: string } & Who)
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

/** An event as a line for a person. */
export function describeTrackerEvent(event: TrackerEvent): string {
  if (!("more" in event)) return describe(event);
  const whose = event.several ? ", from several addresses" : "";
  return `${describe(event)} (one of ${event.more} such lines${whose})`;
}

function describe(event: TrackerEvent): string {
  const time = new Date().toTimeString().slice(0, 8);
  switch (event.event) {
    case "listening":
      return `ft-tracker ${VERSION} listening on ${formatEndpoint(event)}`;
    case "addresses":
      return describeAddresses(event);
    case "announced":
      return `${time}  announced as "${printable(event.name)}"`;
    case "unreachable":
      return `${time}  blocked  ${formatEndpoint(event)}: its port does not let others in (${printable(event.reason)}); it will connect to them instead`;
    case "joined":
      return `${time}  joined   ${formatEndpoint(event)}, ${plural(event.files, "file")}, ${printable(event.agent)} (${plural(event.peers, "peer")} online)`;
    case "updated":
      return `${time}  updated  ${formatEndpoint(event)}, ${plural(event.files, "file")}`;
    case "left":
      return `${time}  left     ${formatEndpoint(event)}: ${printable(event.reason)} (${plural(event.peers, "peer")} online)`;
    case "refused":
      return `${time}  refused  ${event.address}: ${printable(event.reason)}`;
    case "operator":
      return `${time}  operator ${printable(event.words)}`;
    case "stopped":
      return `${time}  stopped`;
    default:
      return event satisfies never;
  }
}

function describeAddresses({ addresses, announced }: Extract<TrackerEvent, { event: "addresses" }>): string {
  const plain = announced ? "ft-peer   or, with the address: " : "";
  const typed = addresses.map((address) => `ft-peer ${address}`).join("   or: ");
  if (typed !== "") return `Peers on this network can run: ${plain}${typed}`;
  return `This machine has no network address now; peers on it can run: ${plain}ft-peer 127.0.0.1`;
}
