// Carries out the orders of a running tracker's operator: status, kick, ban, unban, bans, notice. operator-socket.ts receives them.

import { VERSION } from "../program/cli.ts";
import { formatEndpoint, hostOf, isIPv6, isLinkLocal, parseAddress } from "../protocol/address.ts";
import { formatDuration, formatSize, plural, printable } from "../text.ts";
import { untilWhen } from "./bans.ts";
import type { Meter } from "./meter.ts";
import { isIn, type Network, parseNetwork } from "./networks.ts";
import type { TrackerState } from "./state.ts";

/** A longer notice is cut. Characters. */
const NOTICE_LIMIT = 1000;

export interface Order {
  order: "status" | "kick" | "ban" | "unban" | "bans" | "notice";
  /** An address or a network. */
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
    this.#startedAt = state.clock.elapsed();
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
      seconds: Math.floor((clock.elapsed() - this.#startedAt) / 1000),
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
        const network = parseNetwork(address);
        if (network === undefined) {
          return { done: false, lines: [`"${printable(address)}" is no IP address and no network such as 192.168.1.0/24.`] };
        }
        if (order === "kick") return this.#kick(network);
        return order === "ban" ? this.#ban(address, network, seconds, words) : this.#unban(address, network);
      }
      default:
        order satisfies never;
        return { done: false, lines: [`"${printable(String(order))}" is no order.`] };
    }
  }

  #kick(network: Network): OrderResult {
    this.#state.setup.bans.kick(network);
    const found = this.#disconnect(network) > 0;
    return { done: found, lines: [found ? `Disconnected ${network.text}.` : `Nobody is here from ${network.text}.`] };
  }

  #ban(typed: string, network: Network, seconds: number | undefined, reason: string): OrderResult {
    const { clock, setup } = this.#state;
    const whole = wholeHost(typed) ?? network;
    const { ban, fault } = setup.bans.add(whole, seconds === undefined ? undefined : clock.at() + seconds * 1000, reason);
    this.#disconnect(whole);
    const lines = [`Keeping ${ban.address} out${untilWhen(ban)}.`];
    if (whole !== network) {
      lines.push(`A host can have every address of its IPv6 network. To keep out one address alone: ban ${network.text}/128`);
    }
    if (fault !== undefined) lines.push(`When this tracker ends, that ends too: ${fault}`);
    return { done: fault === undefined, lines };
  }

  #unban(typed: string, network: Network): OrderResult {
    const { bans } = this.#state.setup;
    const whole = wholeHost(typed);
    const first = bans.remove(network);
    const { was, fault } = first.was || whole === undefined ? first : bans.remove(whole);
    const { text } = first.was || whole === undefined ? network : whole;
    if (fault !== undefined) return { done: false, lines: [`Letting ${text} in until this tracker ends: ${fault}`] };
    if (was) return { done: true, lines: [`Letting ${text} in again.`] };
    const address = parseAddress(typed);
    const around = address === undefined ? undefined : bans.of(address)?.address;
    const why = around === undefined ? "is not kept out" : `is in ${around}, which is kept out: unban that`;
    return { done: false, lines: [`${network.text} ${why}.`] };
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

  /** Closes the connections of a network and removes its FT/1 peers. Gives the number of both. */
  #disconnect(from: Network): number {
    const basic = this.#state.catalog.basicMembers().filter(({ address }) => isIn(address, from));
    const closed = this.#state.dismiss("The tracker's operator has disconnected you.", from);
    for (const { id } of basic) this.#state.remove(id, "was dismissed");
    return closed + basic.length;
  }
}

/** The network of the host that was named by a global IPv6 address. It could come back with any other address of that network. */
function wholeHost(typed: string): Network | undefined {
  const address = parseAddress(typed);
  return address === undefined || !isIPv6(address) || isLinkLocal(address) ? undefined : parseNetwork(hostOf(address));
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
