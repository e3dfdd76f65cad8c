// Carries out the orders of a running tracker's operator: status, peers, files, holders, kick, ban, unban, bans, mute, unmute,
// notice, home. operator-socket.ts receives them.

import { VERSION } from "../../program/cli.ts";
import {
  type Address,
  formatEndpoint,
  hostOf,
  isIPv6,
  isLinkLocal,
  parseAddress,
  parseEndpoint,
} from "../../protocol/address.ts";
import type { Dismissal } from "../../protocol/messages.ts";
import { DEFAULT_TRACKER_PORT } from "../../protocol/numbers.ts";
import { formatDuration, formatSize, formatUntil, plural, printable } from "../../text.ts";
import { type Connection, DISMISSED } from "../connection.ts";
import { describePeer } from "../events.ts";
import { describeGroup, summaryOf } from "../group/summary.ts";
import type { Meter } from "../meter.ts";
import type { Member } from "../shelf.ts";
import type { TrackerState } from "../state.ts";
import type { GonePeer } from "./gone.ts";
import { bansOf, type Meant, reasonFor, whoIsMeant } from "./meant.ts";
import { isIn, type Network, parseNetwork } from "./networks.ts";
import type { Order, OrderResult } from "./orders.ts";
import { listFiles, listHolders, listPeers } from "./who-has.ts";

/** A longer notice is cut. Characters. */
const NOTICE_LIMIT = 1000;

/** The orders that only ask. They are no event. */
const ASKING: readonly string[] = ["status", "peers", "files", "holders", "bans"] satisfies Order["order"][];

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
    const isQuestion = ASKING.includes(order.order) || (order.order === "mute" && order.address === undefined);
    if (result.done && !isQuestion) {
      this.#state.setup.report({ event: "operator", order: order.order, words: result.lines.join(" ") });
    }
    return result;
  }

  /** The present state of the tracker: seconds since it was started, bytes of files, refusals by code, resident bytes. */
  summary() {
    const { setup, clock, catalog, connections, activity, refusals, shared } = this.#state;
    const { requests, searches, joins, refused } = activity;
    const { peers, files, contents, bytes } = catalog;
    const often = ({ total, rate }: Meter) => ({ total, rate });
    return {
      name: setup.name,
      ...(setup.room === true ? { room: true as const } : {}),
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
      ...(setup.group === undefined ? {} : { group: summaryOf(setup.group, shared) }),
    };
  }

  #carryOut({ order, address = "", file = "", seconds, words = "" }: Order): OrderResult {
    const { catalog } = this.#state;
    switch (order) {
      case "room":
        // A private room carries this out itself.
        return { done: false, lines: ["This tracker is not a private room. To make it one, start it with --room."] };
      case "peers":
        return listPeers(catalog);
      case "files":
        return listFiles(catalog);
      case "holders":
        return listHolders(file, catalog);
      case "status":
        return { done: true, lines: describeSummary(this.summary()), data: this.summary() };
      case "bans":
        return this.#listBans();
      case "notice":
        return this.#notify(words);
      case "home":
        return this.#sendHome();
      case "kick":
        return this.#kick(address);
      case "ban":
        return this.#ban(address, seconds, words);
      case "unban":
        return this.#unban(address);
      case "mute":
        return address === "" ? this.#listMutes() : this.#mute(address);
      case "unmute":
        return this.#unmute(address);
      default:
        order satisfies never;
        return { done: false, lines: [`"${printable(String(order))}" is no order.`] };
    }
  }

  #kick(typed: string): OrderResult {
    const meant = whoIsMeant(typed, this.#state);
    if (typeof meant === "string") return { done: false, lines: [meant] };
    if (meant.gone !== undefined) {
      const { gone } = meant;
      const lines = [`${describePeer(gone)} has left${this.#ago(gone)}. To keep it out: ${this.#typed(`ban ${gone.address}`)}`];
      return { done: false, lines };
    }
    const { bans } = this.#state.setup;
    const until = bans.endOfKick();
    const shown = meant.peer === undefined ? meant.network.text : describePeer(meant.peer);
    const elsewhere = this.#kickElsewhere(meant, until);
    if (disconnect({ code: "kicked", until }, meant, this.#state) + elsewhere === 0) {
      return { done: false, lines: [`No peer connected from ${shown}.`] };
    }
    bans.kick(meant.network, until);
    return this.#done(`Disconnected ${shown}${this.#until(until)}.`);
  }

  /** The other trackers refuse the network, too. Gives the number of their peers that are meant. */
  #kickElsewhere({ network, peer }: Meant, until: number): number {
    const { shared, catalog, setup } = this.#state;
    if (shared === undefined) return 0;
    const id = peer?.id;
    const isMeant = (member: Member) => (id === undefined ? isIn(member.address, network) : member.id === id);
    const elsewhere = catalog.everything().filter(({ member }) => member.tracker !== undefined && isMeant(member));
    const kick = { from: setup.name, what: "kick", network: network.text, until: shared.sharedTime(until), id } as const;
    return shared.tell(kick) ? [...elsewhere].length : 0;
  }

  #ban(typed: string, seconds: number | undefined, words: string): OrderResult {
    const meant = whoIsMeant(typed, this.#state);
    if (typeof meant === "string") return { done: false, lines: [meant] };
    const { clock, setup, gone: left } = this.#state;
    const { gone } = meant;
    const peer = meant.peer ?? gone;
    const network = wholeHost(peer?.address ?? typed) ?? meant.network;
    const until = seconds === undefined ? undefined : clock.at() + seconds * 1000;
    const { ban, fault } = setup.bans.add(network, until, reasonFor(meant, words));
    disconnect({ code: "banned", until }, { network }, this.#state);
    this.#state.shared?.ban(network.text, until, ban.reason);
    const whose = peer?.name === undefined ? "" : ` ("${printable(peer.name)}")`;
    const lines = [`Banned ${ban.address}${whose}${this.#until(until)}.`];
    if (gone !== undefined) lines.push(`${describePeer(gone)} had left${this.#ago(gone)}.`);
    // A name is free again when its peer has left: the one that is online may not be the one that is meant.
    const others = meant.peer === undefined ? [] : left.find(typed).filter(({ address }) => !isIn(address, network));
    for (const other of others.slice(0, OTHERS_NAMED)) {
      lines.push(
        `${describePeer(other)} has left${this.#ago(other)}. To keep that one out, too: ${this.#typed(`ban ${other.address}`)}`,
      );
    }
    if (network !== meant.network) {
      lines.push(`A host can have every address of its IPv6 network. To ban one address alone: ban ${meant.network.text}/128`);
    }
    if (fault !== undefined) lines.push(`When this tracker ends, that ends too: ${fault}`);
    return { done: fault === undefined, lines };
  }

  #unban(typed: string): OrderResult {
    const { bans } = this.#state.setup;
    const address = parseEndpoint(typed)?.address ?? typed;
    const network = parseNetwork(address);
    if (network === undefined) return this.#unbanName(typed);
    const whole = wholeHost(address);
    const first = bans.remove(network);
    const isFirst = first.was !== undefined || whole === undefined;
    const { was, fault } = isFirst ? first : bans.remove(whole);
    const { text } = isFirst ? network : whole;
    if (was !== undefined) this.#state.shared?.unban(text);
    if (fault !== undefined) return { done: false, lines: [`Unbanned ${text} until this tracker ends: ${fault}`] };
    if (was === "banned") return this.#done(`Unbanned ${text}.`);
    if (was === "kicked") return this.#done(`${text} was not banned but kicked, for a minute: it may come back now.`);
    const parsed = parseAddress(address);
    const around = parsed === undefined ? undefined : bans.of(parsed)?.address;
    const why = around === undefined ? "is not banned" : `is in ${around}, which is banned: unban that`;
    return { done: false, lines: [`${network.text} ${why}.`] };
  }

  /** The peer is not online: its name is in the reason of its ban. */
  #unbanName(name: string): OrderResult {
    const [ban, second] = bansOf(name, this.#state.setup.bans.list);
    if (ban !== undefined && second === undefined) return this.#unban(ban.address);
    // A ban or a kick may have been ordered by the address of the peer of this name.
    const meant = ban === undefined ? whoIsMeant(name, this.#state) : "";
    const address = typeof meant === "string" ? undefined : (meant.gone ?? meant.peer)?.address;
    if (address !== undefined) return this.#unban(address);
    const why = ban === undefined ? "No ban has" : "Several bans have";
    return {
      done: false,
      lines: [`${why} the name "${printable(name)}". Unban an address of this list: ${this.#typed("bans")}`],
    };
  }

  #listBans(): OrderResult {
    const { list } = this.#state.setup.bans;
    const lines = list.map(
      ({ address, until, reason }) => `${address}${this.#until(until)}${reason === "" ? "" : `: ${reason}`}`,
    );
    return { done: true, lines: lines.length === 0 ? ["No bans."] : lines, data: list };
  }

  /** Nobody is told of the offers of this peer any more, nor of those that it has made. */
  #mute(typed: string): OrderResult {
    const meant = whoIsMeant(typed, this.#state);
    if (typeof meant === "string") return { done: false, lines: [meant] };
    const { catalog, mutes, offers } = this.#state;
    const { peer } = meant;
    const isAlone =
      catalog
        .members()
        .filter(({ address }) => address === peer?.address)
        .take(2)
        .toArray().length === 1;
    const muted = mutes.add(meant, isAlone);
    for (const member of catalog.members().filter((one) => mutes.isMuted(one))) {
      offers.forget(member.id);
      member.presence?.push({ verb: "NOTICE", words: "The tracker's operator has muted you: nobody is told of your offers." });
    }
    const who = peer === undefined ? muted : describePeer(peer);
    return this.#done(`Muted ${who}: nobody is told of its offers until this tracker ends. To end it: unmute`);
  }

  #unmute(typed: string): OrderResult {
    const meant = whoIsMeant(typed, this.#state);
    const ended = this.#state.mutes.remove(typed, typeof meant === "string" ? undefined : meant);
    if (ended.length > 0) return this.#done(`Unmuted ${ended.join(", ")}.`);
    return { done: false, lines: [`"${printable(typed)}" is not muted. See who is: ft-tracker mute`] };
  }

  #listMutes(): OrderResult {
    const { list } = this.#state.mutes;
    return { done: true, lines: list.length === 0 ? ["Nobody is muted."] : list, data: list };
  }

  #notify(typed: string): OrderResult {
    // A notice is one line. Peers would show the end of a line as %0A.
    const words = typed.trim().replace(/\s+/g, " ");
    if (words === "") return { done: false, lines: ["A notice needs a message."] };
    const told = plural(notify(words, this.#state), "peer");
    const { shared, setup } = this.#state;
    const isTold = shared?.tell({ from: setup.name, what: "notice", words: words.slice(0, NOTICE_LIMIT) });
    return this.#done(`Told ${told}${isTold ? ", and those of the other trackers" : ""}: ${printable(words)}`);
  }

  /** Asks the guests to go back to the trackers that they came from. Those that cannot stay. */
  #sendHome(): OrderResult {
    const guests = sendHome(this.#state);
    const { shared, setup } = this.#state;
    const isTold = shared?.tell({ from: setup.name, what: "home", key: setup.credentials.key });
    const too = isTold ? " The other trackers ask the peers of this one to come back." : "";
    if (guests === 0) return this.#done(`No peer of another tracker is here.${too}`);
    return this.#done(`Asked ${plural(guests, "peer")} to go back to the trackers that they came from.${too}`);
  }

  #done(line: string): OrderResult {
    return { done: true, lines: [line] };
  }

  /** The end of a ban or a kick, after a space; "" when it has no end. */
  #until(end: number | undefined): string {
    return end === undefined ? "" : ` until ${formatUntil(end, this.#state.clock.at())}`;
  }

  /** A command for this tracker, as it is typed. */
  #typed(command: string): string {
    const { port } = this.#at;
    return `ft-tracker ${command}${port === DEFAULT_TRACKER_PORT ? "" : ` --port ${port}`}`;
  }

  /** When a peer left, after a space. */
  #ago({ at }: GonePeer): string {
    const seconds = Math.round((this.#state.clock.at() - at) / 1000);
    return seconds < JUST_NOW_S ? " just now" : ` ${formatDuration(seconds)} ago`;
  }
}

/** Tells all peers of this tracker something. Gives their number. */
export function notify(words: string, { connections }: TrackerState): number {
  const present = [...connections].filter(({ isPresent }) => isPresent);
  for (const connection of present) connection.reply({ verb: "NOTICE", words: words.slice(0, NOTICE_LIMIT) });
  return present.length;
}

/** Asks the guests of this tracker, or those of one other tracker, to go back there. Gives their number. */
export function sendHome({ connections }: TrackerState, key?: string): number {
  const isMeant = ({ isPresent, home }: Connection) => isPresent && home !== undefined && (key ?? home) === home;
  const guests = [...connections].filter(isMeant);
  for (const connection of guests) connection.reply({ verb: "HOME" });
  return guests.length;
}

/** Closes the connections that are meant, and removes such FT/1 peers. Gives the number of both. */
export function disconnect(why: Dismissal, { network, peer }: Meant, state: TrackerState): number {
  const isMeant = (id: string | undefined, address: Address) => (peer === undefined ? isIn(address, network) : id === peer.id);
  const basic = state.catalog
    .basicMembers()
    .filter(({ id, address, tracker }) => tracker === undefined && isMeant(id, address));
  const closed = state.dismiss(why, ({ peerId, address }) => isMeant(peerId, address));
  for (const { id } of basic) state.remove(id, DISMISSED[why.code].log);
  return closed + basic.length;
}

/** A peer that left within this time has left just now. Seconds. */
const JUST_NOW_S = 10;
/** The most peers of a name that a ban names beside the one that it bans. */
const OTHERS_NAMED = 3;

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
    `"${printable(summary.name)}"${summary.room === true ? ", a private room" : ""}, ft-tracker ${summary.version} on ${formatEndpoint(summary)}, for ${formatDuration(summary.seconds)}`,
    `peers        ${summary.peers} online, ${plural(summary.connections, "connection")}`,
    `files        ${summary.files} (${formatSize(summary.bytes)}), ${plural(summary.contents, "content")}`,
    `requests     ${often(rates.requests)}`,
    `searches     ${often(rates.searches)}`,
    `joined       ${often(rates.joins)}`,
    `refused      ${often(rates.refused)}${codes.length === 0 ? "" : ` (${codes.join(", ")})`}`,
    `banned       ${summary.bans === 1 ? "1 address" : `${summary.bans} addresses`}`,
    `memory       ${formatSize(summary.memory)}`,
    ...describeGroup(summary.group),
  ];
}
