// Carries out the orders of a running tracker's operator: status, kick, ban, unban, bans, notice. operator-socket.ts receives them.

import { VERSION } from "../program/cli.ts";
import { type Address, formatEndpoint, parseAddress, withoutZone } from "../protocol/address.ts";
import { formatDuration, formatSize, plural, printable } from "../text.ts";
import { untilWhen } from "./bans.ts";
import type { Meter } from "./meter.ts";
import type { TrackerState } from "./state.ts";

/** A longer notice is cut. Characters. */
const NOTICE_LIMIT = 1000;

export interface Order {
  order: "status" | "kick" | "ban" | "unban" | "bans" | "notice";
  address?: string;
  /** How long a ban is valid; without it, the ban has no end. */
  seconds?: number;
  words?: string;
}

/** The result of an order: lines for a person, and the same for a script. */
export interface OrderResult {
  done: boolean;
  lines: string[];
  data?: unknown;
}

/** The present state of a tracker. */
export type Summary = ReturnType<Operator["summary"]>;

export class Operator {
  readonly #state: TrackerState;
  readonly #at: { address: string; port: number };
  readonly #startedAt: number;

  /** `at`: where the tracker listens. */
  constructor(state: TrackerState, at: { address: string; port: number }) {
    this.#state = state;
    this.#at = at;
    this.#startedAt = state.clock.at();
  }

  obey(order: Order): OrderResult {
    const result = this.#carryOut(order);
    if (result.done && order.order !== "status" && order.order !== "bans") {
      this.#state.setup.report({ event: "operator", order: order.order, words: result.lines.join(" ") });
    }
    return result;
  }

  /** The present state of the tracker: seconds since it was started, bytes of files, refusals by code, resident bytes. */
  summary() {
    const { setup, clock, catalog, connections, activity, refusals } = this.#state;
    const { requests, searches, joins, refused } = activity;
    const { peers, files, contents, bytes } = catalog;
    const often = ({ total, rate }: Meter) => ({ total, rate });
    return {
      name: setup.name,
      version: VERSION,
      ...this.#at,
      seconds: Math.floor((clock.at() - this.#startedAt) / 1000),
      peers,
      files,
      contents,
      bytes,
      connections: connections.size,
      rates: { requests: often(requests), searches: often(searches), joins: often(joins), refused: often(refused) },
      refused: Object.fromEntries(refusals),
      bans: setup.bans.list.length,
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
        return this.#keepOut(order, withoutZone(parsed), seconds, words);
      }
      default:
        order satisfies never;
        return { done: false, lines: [`"${printable(String(order))}" is no order.`] };
    }
  }

  #keepOut(order: "kick" | "ban" | "unban", from: Address, seconds: number | undefined, reason: string): OrderResult {
    const { clock, setup } = this.#state;
    if (order === "unban") {
      const was = setup.bans.remove(from);
      return { done: was, lines: [was ? `Letting ${from} in again.` : `${from} is not kept out.`] };
    }
    if (order === "ban") {
      const ban = setup.bans.add(from, seconds === undefined ? undefined : clock.at() + seconds * 1000, reason);
      this.#disconnect(from);
      return { done: true, lines: [`Keeping ${from} out${untilWhen(ban)}.`] };
    }
    setup.bans.kick(from);
    const found = this.#disconnect(from) > 0;
    return { done: found, lines: [found ? `Disconnected ${from}.` : `Nobody is here from ${from}.`] };
  }

  #listBans(): OrderResult {
    const { list } = this.#state.setup.bans;
    const lines = list.map((ban) => `${ban.address}${untilWhen(ban)}${ban.reason === "" ? "" : `: ${ban.reason}`}`);
    return { done: true, lines: lines.length === 0 ? ["Nobody is kept out."] : lines, data: list };
  }

  #notify(words: string): OrderResult {
    if (words.trim() === "") return { done: false, lines: ["A notice needs words."] };
    const present = [...this.#state.connections].filter(({ isPresent }) => isPresent);
    for (const connection of present) connection.reply({ verb: "NOTICE", words: words.slice(0, NOTICE_LIMIT) });
    return { done: true, lines: [`Told ${plural(present.length, "peer")}: ${printable(words)}`] };
  }

  /** Closes the connections of an address and removes its FT/1 peers. Gives the number of both. */
  #disconnect(from: Address): number {
    const basic = this.#state.catalog.basicMembers(from);
    const closed = this.#state.dismiss("The tracker's operator has disconnected you.", from);
    for (const { id } of basic) this.#state.remove(id, "was dismissed");
    return closed + basic.length;
  }
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
