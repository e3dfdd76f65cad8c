// Finds the trackers that announce themselves by DNS-SD (RFC 6763). It finds hints where to connect, and does not check them.

import { Browser } from "bonjour-service/dist/lib/browser.js";
import type { Service, ServiceRecord } from "bonjour-service/dist/lib/service.js";
import { systemClock } from "../../clock.ts";
import { type Interface, interfaces } from "../../net/interfaces.ts";
import {
  ADDRESS_LIMIT,
  LABEL_LIMIT,
  Link,
  type LinkPlan,
  type LinkPort,
  type Packet,
  planLinks,
  SERVICE,
  SERVICE_TYPE,
  type Sender,
} from "../../net/mdns.ts";
import { type Address, isHostAddress, isLinkLocal, isLoopback, parseAddress, withoutZone } from "../../protocol/address.ts";
import { cutTo } from "../../text.ts";

/** A search waits this long for the first tracker. Milliseconds. */
const SEARCH_MS = 2_000;
/** After the first tracker a search waits this long for others. Milliseconds. */
const FURTHER_MS = 300;
/** The most records of one packet that a search reads. */
const RELEVANT_LIMIT = 64;
/** The most trackers of one machine in a result, so that it cannot hide the others behind made-up names. */
const SOURCE_LIMIT = 8;
/** The question is repeated at these times, because a packet can be lost. Milliseconds from the start. */
const ASK_AT_MS = [250, 750, 1_500];
/** The most trackers in one result. */
const TRACKER_LIMIT = 32;
/** The most names that a search hears on one link. Then it stops listening there. */
const HEARD_LIMIT = 2 * TRACKER_LIMIT;

/** A tracker that announces itself. A stranger wrote all of it. */
export interface Announced {
  /** Not safe to print as it is. */
  name: string;
  /** "" if it does not say. */
  version: string;
  /** The public key that it says; "" if it says none. Only its HI proves that it has the key. */
  key: string;
  /** It says that it is a private room. */
  room?: true;
  /** The group of trackers that it says. */
  group?: string | undefined;
  port: number;
  /** In the order in which to try them. Link-local ones have the zone to use on this machine. */
  addresses: Address[];
}

export interface Found {
  trackers: Announced[];
  /** The links that were asked, such as `eth0 (IPv4)`. Loopback is left out. */
  asked: string[];
  /** Why other links could not be asked, as sentences. */
  problems: string[];
  /** Our own question came back on a real interface, so this machine does not keep multicast out. */
  echo: boolean;
}

/** The description of a tracker in one packet. */
export type Sighting = Pick<Service, "fqdn" | "port"> & { addresses?: string[]; txt?: unknown };

/** The trackers that a search has heard, each once, even if it was heard on several interfaces. */
export class Sightings {
  readonly #own: Set<Address>;
  readonly #trackers = new Map<string, Omit<Announced, "addresses"> & { sources: Address[]; hints: Address[] }>();

  /** `own` are this machine's addresses. */
  constructor(own: Iterable<Address> = []) {
    this.#own = new Set(own);
  }

  /** Keeps the trackers of a packet. `from` sent it, by a link with that zone. Says whether it told of a tracker. */
  hear({ fqdn, port, addresses = [], txt }: Sighting, from: Address, zone: string): boolean {
    if (!Number.isInteger(port) || port < 1 || port > 65535 || !isHostAddress(from)) return false;
    if (!fqdn.toLowerCase().endsWith(`.${SERVICE}`)) return false;
    const name = cutTo(fqdn.slice(0, -SERVICE.length - 1), LABEL_LIMIT);
    const id = txtValue(txt, "id", /^[\w-]{1,40}$/);
    const key = id === "" ? `${fqdn.toLowerCase()} ${port}` : `${id} ${port}`;
    let known = this.#trackers.get(key);
    if (known === undefined) {
      const fromThere = [...this.#trackers.values()].filter(({ sources }) => withoutZone(sources[0] ?? from) === from).length;
      if (this.#trackers.size === TRACKER_LIMIT || fromThere >= SOURCE_LIMIT) return false;
      const version = txtValue(txt, "version", /^[\w.+-]{1,32}$/);
      const group = txtValue(txt, "group", /^[^\u0000-\u001f\u007f]{1,64}$/) || undefined;
      const room = txtValue(txt, "room", /^1$/) === "" ? {} : { room: true as const };
      known = { name, version, key: txtValue(txt, "key", /^[\w-]{43}$/), ...room, group, port, sources: [], hints: [] };
      this.#trackers.set(key, known);
    }
    const isOurs = this.#own.has(from) || isLoopback(from);
    addHeard(known.sources, from, zone);
    for (const text of addresses.slice(0, ADDRESS_LIMIT)) {
      const hint = parseAddress(text);
      if (hint === undefined || !isHostAddress(hint) || (isLoopback(hint) && !isOurs)) continue;
      addHeard(known.hints, withoutZone(hint), zone);
    }
    return true;
  }

  /**
   * The addresses of each tracker in this order: IPv4 before IPv6, an address that sent a packet before one that a packet names.
   * A global IPv6 address comes before a link-local one, so that peers which join by either are seen alike. Loopback comes last.
   */
  get trackers(): Announced[] {
    const rank = (address: Address, isHint: boolean) => {
      const kind = !address.includes(":") ? 0 : isLinkLocal(address) ? 2 : 1;
      // A named IPv4 address may lead into another network. A tracker that was heard by IPv6 is in this one.
      const late = isHint && kind === 0 && !isLoopback(address) ? 3 : 0;
      return (isLoopback(address) ? 8 : 0) + late + kind + (isHint ? 0.5 : 0);
    };
    return [...this.#trackers.values()].map(({ name, version, key, room, group, port, sources, hints }) => {
      const by = (address: Address) => rank(address, !sources.includes(address));
      const sorted = [...new Set([...sources, ...hints])].sort((a, b) => by(a) - by(b));
      return { name, version, key, ...(room ? { room } : {}), group, port, addresses: sorted.slice(0, ADDRESS_LIMIT) };
    });
  }
}

/** Adds an address to a list, if it is new and usable on this machine. */
function addHeard(to: Address[], heard: Address, zone: string): void {
  if (isLinkLocal(heard) && zone === "") return;
  const address = isLinkLocal(heard) ? (`${heard}%${zone}` as Address) : heard;
  if (to.length < ADDRESS_LIMIT && !to.includes(address)) to.push(address);
}

/** A value of a TXT record, or "" if it does not have this form. */
function txtValue(txt: unknown, key: string, form: RegExp): string {
  const value = typeof txt === "object" && txt !== null ? (txt as Record<string, unknown>)[key] : undefined;
  return typeof value === "string" && form.test(value) ? value : "";
}

interface FindOptions {
  /** How long to wait for the first tracker. Milliseconds. */
  patienceMs?: number;
  /** Ends the search early, with the trackers that were found until then. */
  signal?: AbortSignal | undefined;
  networks?: () => Interface[];
}

/**
 * Asks for trackers on every interface: by two links for each interface and family, each with a browser of the package. One hears what
 * is told to all; the other asks from a free port, because a firewall may let in only answers to that. Never rejects. Everything is
 * closed when it resolves.
 */
export async function findTrackers(options: FindOptions = {}): Promise<Found> {
  const { patienceMs = SEARCH_MS, signal, networks = interfaces } = options;
  const all = networks();
  const own = new Set(all.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
  const sightings = new Sightings(own);
  const over = Promise.withResolvers<void>();
  const plans = signal?.aborted ? [] : planLinks(all);
  const ports = plans.flatMap((plan): [LinkPlan, LinkPort][] => {
    const both: LinkPort[] = plan.network.loopback ? ["mdns"] : ["mdns", "free"];
    return both.map((port) => [plan, port]);
  });
  const asked = new Set<string>();
  const browsers: Browser[] = [];
  let failed = 0;
  let echo = false;
  let searchEnd: (() => void) | undefined;

  function hear(service: Service, zone: string): void {
    const from = service.referer?.address as Address | undefined;
    if (from !== undefined && sightings.hear(service, from, zone)) searchEnd ??= systemClock.after(FURTHER_MS, over.resolve);
  }

  function openLink([plan, port]: [LinkPlan, LinkPort]): Link {
    const isReal = !plan.network.loopback;
    const on = {
      ready: () => {
        if (isReal) asked.add(link.label);
        browsers.push(browse(link, hear));
      },
      failed: () => {
        failed += 1;
        if (failed === ports.length) over.resolve();
      },
      packet: (packet: Packet, from: Sender) => {
        if (isReal && packet.type === "query" && own.has(from.address)) echo ||= packet.questions.some(isForService);
        keepRelevant(packet);
      },
    };
    const link: Link = new Link(plan, all, on, port);
    return link;
  }

  const links = ports.map(openLink);
  if (links.length === 0) over.resolve();
  const stop = () => over.resolve();
  signal?.addEventListener("abort", stop);
  const askAgain = () => {
    for (const browser of browsers) browser.update();
  };
  const cancels = ASK_AT_MS.map((ms) => systemClock.after(ms, askAgain));
  cancels.push(systemClock.after(patienceMs, stop));
  await over.promise;
  signal?.removeEventListener("abort", stop);
  for (const cancel of [...cancels, searchEnd]) cancel?.();
  const problems = [...new Set(links.flatMap(({ problem }) => problem ?? []))];
  for (const link of links) {
    link.mdns.destroy();
    link.close();
  }
  return { trackers: sightings.trackers, asked: [...asked], problems, echo };
}

/** Tells of each service that is heard of on a link, and of its changes. */
function browse(link: Link, hear: (service: Service, zone: string) => void): Browser {
  const browser = new Browser(link.mdns, { type: SERVICE_TYPE });
  for (const event of ["up", "srv-update", "txt-update"]) {
    browser.on(event, (service: Service) => {
      if (browser.services.length > HEARD_LIMIT) browser.stop();
      hear(service, link.zone);
    });
  }
  return browser;
}

/** Removes from a packet all records that cannot tell of a tracker. */
function keepRelevant(packet: Packet): void {
  packet.questions = [];
  packet.answers = relevantRecords(packet.answers);
  packet.additionals = relevantRecords(packet.additionals);
}

function isForService({ name }: { name: string }): boolean {
  return name.toLowerCase() === SERVICE;
}

function relevantRecords(records: ServiceRecord[]): ServiceRecord[] {
  const isService = (name: string) => name.toLowerCase().endsWith(SERVICE);
  return records.filter(({ name, type }) => type === "A" || type === "AAAA" || isService(name)).slice(0, RELEVANT_LIMIT);
}
