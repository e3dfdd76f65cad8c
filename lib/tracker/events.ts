// What happens to a tracker, as events: their types, a line for a person, and a limit on how many refusals a flood may log.
// The events are printed by tracker.ts.

import type { Clock } from "../clock.ts";
import { VERSION } from "../program/cli.ts";
import { formatEndpoint } from "../protocol/address.ts";
import { plural, printable } from "../text.ts";

export type TrackerEvent =
  | { event: "listening"; address: string; port: number }
  /** What peers can type; `announced`: whether they can also find the tracker by DNS-SD. */
  | { event: "addresses"; addresses: string[]; announced: boolean }
  /** DNS-SD shows the tracker under this name from now on. */
  | { event: "announced"; name: string }
  | { event: "joined"; id: string; address: string; port: number; files: number; agent: string; profile: string; peers: number }
  | { event: "updated"; id: string; address: string; port: number; files: number }
  | { event: "unreachable"; id: string; address: string; port: number; reason: string }
  | { event: "left"; id: string; address: string; port: number; reason: string; peers: number }
  /** `more`: the number of refusals of the same kind that were not reported one by one. */
  | { event: "refused"; address: string; code: string; reason: string; more?: number }
  | { event: "operator"; order: string; words: string }
  | { event: "stopped" };

/** Refusals of one kind (code and address) that are reported one by one within `DAMPED_MS`. */
const REPORTED_ONE_BY_ONE = 10;
/** After this time the refusals that were not reported are reported as a number. Milliseconds. */
const DAMPED_MS = 10_000;

/** Passes events on. Of a flood of refusals it passes on the first few and then their number. */
export class EventDamper {
  readonly #report: (event: TrackerEvent) => void;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, { last: Extract<TrackerEvent, { event: "refused" }>; count: number }>();
  #since = 0;

  constructor(report: (event: TrackerEvent) => void, clock: Clock) {
    this.#report = report;
    this.#clock = clock;
  }

  report(event: TrackerEvent): void {
    if (this.#clock.at() - this.#since >= DAMPED_MS || event.event === "stopped") this.#reportNumbers();
    if (event.event === "refused") {
      const key = `${event.address} ${event.code}`;
      const count = (this.#kinds.get(key)?.count ?? 0) + 1;
      this.#kinds.set(key, { last: event, count });
      if (count > REPORTED_ONE_BY_ONE) return;
    }
    this.#report(event);
  }

  #reportNumbers(): void {
    for (const { last, count } of this.#kinds.values()) {
      if (count > REPORTED_ONE_BY_ONE) this.#report({ ...last, more: count - REPORTED_ONE_BY_ONE });
    }
    this.#kinds.clear();
    this.#since = this.#clock.at();
  }
}

/** An event with the time at which it is logged, ISO 8601 UTC. */
export function withTime<Event extends object>(event: Event): Event & { time: string } {
  return { ...event, time: new Date().toISOString() };
}

/** An event as a line for a person. */
export function describeTrackerEvent(event: TrackerEvent): string {
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
      return event.more === undefined
        ? `${time}  refused  ${event.address}: ${printable(event.reason)}`
        : `${time}  refused  ${event.address}, ${event.more} times more: ${printable(event.reason)}`;
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
