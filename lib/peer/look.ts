// DNS-SD: finds the trackers that announce themselves.

import { Browser } from "bonjour-service/dist/lib/browser.js";
import type { Service, ServiceRecord } from "bonjour-service/dist/lib/service.js";
import { type Clock, systemClock } from "../clock.ts";
import { type Interface, interfaces } from "../net/interfaces.ts";
import { ADDRESS_LIMIT, cutTo, LABEL_LIMIT, Link, placesOf, SERVICE, TYPE } from "../net/mdns.ts";
import { type Address, isHostAddress, isLinkLocal, isLoopback, parseAddress, withoutZone } from "../protocol/address.ts";

const RELEVANT_LIMIT = 64;

/** Trackers that one machine can announce. */
const SOURCE_LIMIT = 8;

/** When the question is put, in milliseconds: a packet can be lost. */
const ASK_AT_MS = [250, 750, 1_500];

const TRACKER_LIMIT = 32;

/** Names heard on one interface, after which nothing more is listened to there. */
const HEARD_LIMIT = 2 * TRACKER_LIMIT;

/** A tracker that announces itself. All of it is a stranger's word: a hint where to try, no more. */
export interface Announced {
  /** Not safe to print as it is. */
  name: string;
  /** "" if it does not say. */
  version: string;
  port: number;
  /** In the order in which to try; link-local ones with the zone to use on this machine. */
  addresses: Address[];
}

export interface Found {
  trackers: Announced[];
  /** The interfaces and families that were asked, this machine's own loopback left out. */
  asked: string[];
  /** Why others could not be asked, as sentences. */
  problems: string[];
  /** Our own question came back to us on a real interface: if no tracker is found, it is not this machine that keeps multicast out. */
  echo: boolean;
}

/** What a packet says of a tracker. */
export type Sighting = Pick<Service, "fqdn" | "port"> & { addresses?: string[]; txt?: unknown };

/** What was heard of trackers: each once, however many interfaces it was heard by. */
export class Sightings {
  readonly #own: Set<Address>;
  readonly #trackers = new Map<string, { name: string; version: string; port: number; sources: Address[]; hints: Address[] }>();

  /** `own` are this machine's addresses. */
  constructor(own: Iterable<Address> = []) {
    this.#own = new Set(own);
  }

  /** Takes what a packet said that came from an address, by a link with that zone. Says whether a tracker was heard. */
  hear({ fqdn, port, addresses = [], txt }: Sighting, from: Address, zone: string): boolean {
    if (!Number.isInteger(port) || port < 1 || port > 65535 || !isHostAddress(from)) return false;
    if (!fqdn.toLowerCase().endsWith(`.${SERVICE}`)) return false;
    const name = cutTo(fqdn.slice(0, -SERVICE.length - 1), LABEL_LIMIT);
    const id = textOf(txt, "id", /^[\w-]{1,40}$/);
    const key = id === "" ? `${fqdn.toLowerCase()} ${port}` : `${id} ${port}`;
    let known = this.#trackers.get(key);
    if (known === undefined) {
      // One machine does not hide the others behind made-up names.
      const fromThere = [...this.#trackers.values()].filter(({ sources }) => withoutZone(sources[0] ?? from) === from).length;
      if (this.#trackers.size === TRACKER_LIMIT || fromThere >= SOURCE_LIMIT) return false;
      known = { name, version: textOf(txt, "version", /^[\w.+-]{1,32}$/), port, sources: [], hints: [] };
      this.#trackers.set(key, known);
    }
    const isOurs = this.#own.has(from) || isLoopback(from);
    add(known.sources, from, zone);
    for (const text of addresses.slice(0, ADDRESS_LIMIT)) {
      const hint = parseAddress(text);
      if (hint === undefined || !isHostAddress(hint) || (isLoopback(hint) && !isOurs)) continue;
      add(known.hints, withoutZone(hint), zone);
    }
    return true;
  }

  /**
   * IPv4 before IPv6, where packets came from before where they say it is. An IPv6 address that can be typed comes before the
   * link-local one that such packets come from, so that those who join by either see each other alike. Loopback comes last.
   */
  get trackers(): Announced[] {
    const rank = (address: Address, isHint: boolean) => {
      const kind = !address.includes(":") ? 0 : isLinkLocal(address) ? 2 : 1;
      // A hint to IPv4 may lead into another network; what was heard by IPv6 is here.
      const late = isHint && kind === 0 && !isLoopback(address) ? 3 : 0;
      return (isLoopback(address) ? 8 : 0) + late + kind + (isHint ? 0.5 : 0);
    };
    return [...this.#trackers.values()].map(({ name, version, port, sources, hints }) => {
      const ranked = [
        ...sources.map((address) => ({ address, by: rank(address, false) })),
        ...hints.map((address) => ({ address, by: rank(address, true) })),
      ].sort((a, b) => a.by - b.by);
      return { name, version, port, addresses: [...new Set(ranked.map(({ address }) => address))].slice(0, ADDRESS_LIMIT) };
    });
  }
}

function add(to: Address[], heard: Address, zone: string): void {
  if (isLinkLocal(heard) && zone === "") return;
  const address = isLinkLocal(heard) ? (`${heard}%${zone}` as Address) : heard;
  if (to.length < ADDRESS_LIMIT && !to.includes(address)) to.push(address);
}

/** A value of a TXT record, if it is of this form; else "". */
function textOf(txt: unknown, key: string, form: RegExp): string {
  const value = typeof txt === "object" && txt !== null ? (txt as Record<string, unknown>)[key] : undefined;
  return typeof value === "string" && form.test(value) ? value : "";
}

export interface FindOptions {
  /** How long to wait for the first tracker. */
  patienceMs?: number;
  /** How long to wait for others, and for its other addresses, after the first. */
  settleMs?: number;
  /** Ends it early, with what was found until then. */
  signal?: AbortSignal;
  clock?: Clock;
  networks?: () => Interface[];
}

/** Asks on every interface for trackers. Never rejects; everything is closed when it resolves. */
export function findTrackers({
  patienceMs = 2_000,
  settleMs = 300,
  signal,
  clock = systemClock,
  networks = interfaces,
}: FindOptions = {}): Promise<Found> {
  const all = networks();
  const own = new Set(all.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
  const sightings = new Sightings(own);
  const asked: string[] = [];
  const problems: string[] = [];
  const links: Link[] = [];
  const browsers: Browser[] = [];
  let echo = false;

  return new Promise((resolve) => {
    let settling = false;
    const cancels = [clock.after(patienceMs, end)];
    for (const ms of ASK_AT_MS) {
      cancels.push(
        clock.after(ms, () => {
          for (const browser of browsers) browser.update();
        }),
      );
    }

    function end(): void {
      signal?.removeEventListener("abort", end);
      for (const cancel of cancels) cancel();
      for (const link of links) {
        if (link.problem !== undefined) problems.push(link.problem);
        link.mdns.destroy();
        link.close();
      }
      resolve({ trackers: sightings.trackers, asked, problems, echo });
    }

    if (signal?.aborted) {
      end();
      return;
    }
    signal?.addEventListener("abort", end);

    const places = placesOf(all);
    let failed = 0;
    for (const place of places) {
      const link = new Link(place, all, {
        ready: () => {
          if (!place.network.loopback) asked.push(link.label);
          browsers.push(browse(link));
        },
        failed: () => {
          failed += 1;
          // Not before this loop has run.
          if (failed === places.length) cancels.push(clock.after(0, end));
        },
        packet: (packet, from) => {
          if (packet.type === "query" && !place.network.loopback && own.has(from)) {
            echo ||= packet.questions.some(({ name }) => name.toLowerCase() === SERVICE);
          }
          packet.questions = [];
          packet.answers = relevant(packet.answers);
          packet.additionals = relevant(packet.additionals);
        },
      });
      links.push(link);
    }
    if (places.length === 0) end();

    function browse(link: Link): Browser {
      const browser = new Browser(link.mdns, { type: TYPE });
      const hear = (service: Service) => {
        if (browser.services.length > HEARD_LIMIT) browser.stop();
        const from = service.referer?.address as Address | undefined;
        if (from === undefined || !sightings.hear(service, from, link.zone) || settling) return;
        settling = true;
        cancels.push(clock.after(settleMs, end));
      };
      browser.on("up", hear);
      browser.on("srv-update", hear);
      browser.on("txt-update", hear);
      return browser;
    }
  });
}

/** The records that can tell of a tracker, not too many of them. */
function relevant(records: ServiceRecord[]): ServiceRecord[] {
  const isService = (name: string) => name.toLowerCase().endsWith(SERVICE);
  return records.filter(({ name, type }) => type === "A" || type === "AAAA" || isService(name)).slice(0, RELEVANT_LIMIT);
}
