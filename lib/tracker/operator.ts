// What the operator of a running tracker can order: status, kick, ban, unban, bans, notice. operator-socket.ts receives the orders.

import { VERSION } from "../program/cli.ts";
import { type Address, formatEndpoint, parseAddress, withoutZone } from "../protocol/address.ts";
import { formatDuration, formatSize, plural, printable } from "../text.ts";
import type { Ban, Bans } from "./bans.ts";
import type { TrackerEvent } from "./events.ts";
import type { TrackerParts } from "./parts.ts";

/** A kicked address is refused for this long. Milliseconds. */
const KICK_MS = 60_000;

/** A longer notice is cut. Characters. */
const NOTICE_LIMIT = 1000;

export interface Order {
  order: "status" | "kick" | "ban" | "unban" | "bans" | "notice";
  address?: string;
  /** How long a ban holds; without it, for good. */
  seconds?: number;
  words?: string;
}

/** What an order has done: lines for a person, and the same for a script. */
export interface OrderResult {
  done: boolean;
  lines: string[];
  data?: unknown;
}

/** What a tracker does at the moment. */
export type Summary = ReturnType<Operator["summary"]>;

export class Operator {
  readonly #parts: TrackerParts;
  readonly #at: { address: string; port: number };
  readonly #bans: Bans;
  readonly #report: (event: TrackerEvent) => void;
  readonly #startedAt: number;
  /** Until when each kicked address is refused. Milliseconds since 1970. */
  readonly #kicked = new Map<Address, number>();

  /** `at`: where the tracker listens. */
  constructor(parts: TrackerParts, at: { address: string; port: number }, bans: Bans, report: (event: TrackerEvent) => void) {
    this.#parts = parts;
    this.#at = at;
    this.#bans = bans;
    this.#report = report;
    this.#startedAt = parts.clock.at();
  }

  /** Why an address is refused, as a sentence; undefined if it is not. */
  whyRefused(from: Address): string | undefined {
    const ban = this.#bans.of(from);
    if (ban !== undefined) return `This tracker's operator keeps ${from} out${untilWhen(ban)}.`;
    const until = this.#kicked.get(from) ?? 0;
    if (until > this.#parts.clock.at()) return `This tracker's operator has disconnected ${from}; try again in a minute.`;
    this.#kicked.delete(from);
    return undefined;
  }

  obey(order: Order): OrderResult {
    const result = this.#carryOut(order);
    if (result.done && order.order !== "status" && order.order !== "bans") {
      this.#report({ event: "operator", order: order.order, words: result.lines.join(" ") });
    }
    return result;
  }

  /** What the tracker does at the moment: seconds since it was started, bytes of files, refusals by code, resident bytes. */
  summary() {
    const { about, clock, catalog, conversations, activity } = this.#parts;
    const { requests, searches, joins, refused, refusals } = activity;
    const { peers, files, contents, bytes } = catalog;
    return {
      name: about.name,
      version: VERSION,
      ...this.#at,
      seconds: Math.floor((clock.at() - this.#startedAt) / 1000),
      peers,
      files,
      contents,
      bytes,
      connections: conversations.size,
      rates: { requests: requests.now, searches: searches.now, joins: joins.now, refused: refused.now },
      refused: Object.fromEntries(refusals),
      bans: this.#bans.list.length,
      memory: process.memoryUsage.rss(),
    };
  }

  #carryOut({ order, address = "", seconds, words = "" }: Order): OrderResult {
    switch (order) {
      case "status":
        return { done: true, lines: describeSummary(this.summary()), data: this.summary() };
      case "bans":
        return this.#listBans();
      case "notice":
        return this.#notify(words);
      case "kick":
      case "ban":
      case "unban": {
        const parsed = parseAddress(address);
        if (parsed === undefined) return { done: false, lines: [`"${printable(address)}" is not an IP address.`] };
        const from = withoutZone(parsed);
        if (order === "ban") return this.#ban(from, seconds, words);
        return order === "kick" ? this.#kick(from) : this.#unban(from);
      }
      default:
        order satisfies never;
        return { done: false, lines: [`"${printable(String(order))}" is no order.`] };
    }
  }

  #kick(from: Address): OrderResult {
    this.#kicked.set(from, this.#parts.clock.at() + KICK_MS);
    const found = this.#disconnect(from) > 0;
    return { done: found, lines: [found ? `Disconnected ${from}.` : `Nobody is here from ${from}.`] };
  }

  #ban(from: Address, seconds: number | undefined, reason: string): OrderResult {
    const until = seconds === undefined ? undefined : this.#parts.clock.at() + seconds * 1000;
    const ban = this.#bans.add(from, until, reason);
    this.#disconnect(from);
    return { done: true, lines: [`Keeping ${from} out${untilWhen(ban)}.`] };
  }

  #unban(from: Address): OrderResult {
    const was = this.#bans.remove(from) || this.#kicked.delete(from);
    return { done: was, lines: [was ? `Letting ${from} in again.` : `${from} is not kept out.`] };
  }

  #listBans(): OrderResult {
    const { list } = this.#bans;
    const lines = list.map((ban) => `${ban.address}${untilWhen(ban)}${ban.reason === "" ? "" : `: ${ban.reason}`}`);
    return { done: true, lines: lines.length === 0 ? ["Nobody is kept out."] : lines, data: list };
  }

  #notify(words: string): OrderResult {
    if (words.trim() === "") return { done: false, lines: ["A notice needs words."] };
    const told = this.#parts.conversations.notify(words.slice(0, NOTICE_LIMIT));
    return { done: true, lines: [`Told ${plural(told, "peer")}: ${printable(words)}`] };
  }

  /** Closes the connections of an address and removes its FT/1 peers. Gives the number of both. */
  #disconnect(from: Address): number {
    const { conversations, members, catalog } = this.#parts;
    const basic = catalog.basicMembers(from);
    const closed = conversations.dismiss("The tracker's operator has disconnected you.", from);
    for (const { id } of basic) members.remove(id, "was dismissed");
    return closed + basic.length;
  }
}

function untilWhen({ until }: Pick<Ban, "until">): string {
  return until === undefined ? "" : ` until ${new Date(until).toISOString()}`;
}

/** A summary as lines for a person. */
export function describeSummary(summary: Summary): string[] {
  const { rates, refused } = summary;
  const often = ({ total, rate }: { total: number; rate: number }) => `${total}, ${rate.toFixed(1)} a second`;
  const codes = Object.entries(refused).map(([code, count]) => `${count} ${code}`);
  return [
    `"${printable(summary.name)}", ft-tracker ${summary.version} on ${formatEndpoint(summary)}, for ${formatDuration(summary.seconds)}`,
    `peers        ${summary.peers} online, ${plural(summary.connections, "connection")}`,
    `files        ${summary.files} of ${formatSize(summary.bytes)}, ${plural(summary.contents, "content")}`,
    `requests     ${often(rates.requests)}`,
    `searches     ${often(rates.searches)}`,
    `joined       ${often(rates.joins)}`,
    `refused      ${often(rates.refused)}${codes.length === 0 ? "" : ` (${codes.join(", ")})`}`,
    `kept out     ${summary.bans === 1 ? "1 address" : `${summary.bans} addresses`}`,
    `memory       ${formatSize(summary.memory)}`,
  ];
}
