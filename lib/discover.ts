// DNS-SD: announces a tracker on every interface of this machine, and finds the trackers that announce themselves.
//
// RFC 6762 and RFC 6763. The package decodes, answers and browses, on sockets of our own: one for each interface and family, because
// its own socket sends on one interface only, and not at all without a default route. Its registry is left out: it announces every
// interface's addresses on all of them, prints, and says goodbye to names that belong to others.

import { randomBytes } from "node:crypto";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { EventEmitter } from "node:events";
import { Browser } from "bonjour-service/dist/lib/browser.js";
import { Server } from "bonjour-service/dist/lib/mdns-server.js";
import type { Service, ServiceConfig, ServiceRecord } from "bonjour-service/dist/lib/service.js";
import { type Clock, systemClock } from "./clock.ts";
import { codeOf, sentenceOf } from "./error.ts";
import { type Interface, type InterfaceAddress, interfaces, quietClock, watchInterfaces, zoneFor } from "./interfaces.ts";
import { Allowance } from "./rate.ts";
import { type Address, byteLength, isHostAddress, isLinkLocal, isLoopback, parseAddress, withoutZone } from "./record.ts";

const TYPE = "filetracker";
const SERVICE = `_${TYPE}._tcp.local`;
const ALL_SERVICES = "_services._dns-sd._udp.local";
const MDNS_PORT = 5353;
const GROUP = { 4: "224.0.0.251", 6: "ff02::fb" } as const;
/** RFC 6762, section 17. */
const PACKET_LIMIT = 9000;
/** Questions and records of one packet that are decoded, and those among them that are looked at. */
const RECORD_LIMIT = 256;
const RELEVANT_LIMIT = 64;
/** Interfaces and families at once: a machine with many containers has hundreds. */
const LINK_LIMIT = 32;

/** Trackers that one machine can announce. */
const SOURCE_LIMIT = 8;
/** How long others can remember what was announced, in seconds: a tracker that was killed is forgotten after this. */
const TTL_S = 120;
/** Three questions whether the name is free, so far apart (RFC 6762, section 8.1). */
const PROBES = 3;
const PROBE_MS = 250;
/** Announcements after the first (section 8.3): an address that is new takes a second or two until it can be used. */
const REPEAT_MS = [1_000, 2_000];
/** A label of a domain name, in bytes. */
const LABEL_LIMIT = 63;
/** Names are tried up to `NAME (9)`; then the tracker's id makes one that is nobody else's. */
const NUMBER_LIMIT = 9;
/** Answers a second on one interface, after a burst. An answer reaches everybody there. */
const ANSWERS = 20;
const ANSWERS_BURST = 40;
const GOODBYE_MS = 500;

/** When the question is put, in milliseconds: a packet can be lost. */
const ASK_AT_MS = [250, 750, 1_500];
const TRACKER_LIMIT = 32;
const ADDRESS_LIMIT = 8;
/** Names heard on one interface, after which nothing more is listened to there. */
const HEARD_LIMIT = 2 * TRACKER_LIMIT;

/** What the package makes of a packet. */
interface Packet {
  type: string;
  questions: { name: string; type: string }[];
  answers: ServiceRecord[];
  additionals: ServiceRecord[];
}

/** The package's door to the network. Its `packet` event comes first: what is changed in the packet there, the package sees changed. */
interface Mdns extends EventEmitter<{ packet: [Packet, RemoteInfo]; error: [Error] }> {
  query(name: string, type: string): void;
  respond(records: ServiceRecord[], done?: () => void): void;
  destroy(): void;
}

/** One interface and one family of addresses on it. */
interface Place {
  network: Interface;
  family: 4 | 6;
  /** Of this interface, those at which the tracker listens. */
  addresses: Address[];
}

interface LinkEvents {
  ready(link: Link): void;
  /** Only packets of this link, and bounded. */
  packet(packet: Packet, from: Address): void;
  /** It could not be opened. */
  failed(): void;
}

/** A socket for one interface and family, and the package at work on it. */
class Link {
  readonly place: Place;
  readonly label: string;
  readonly zone: string;
  readonly server: Server;
  readonly mdns: Mdns;
  /** What is wrong with it now, as a sentence. */
  problem: string | undefined;
  readonly #all: Interface[];
  readonly #on: LinkEvents;
  readonly #pipe: EventEmitter;
  readonly #target: string;
  #socket: Socket | undefined;
  #ready = false;

  constructor(place: Place, all: Interface[], on: LinkEvents) {
    const { network, family } = place;
    this.place = place;
    this.label = `${network.name} (IPv${family})`;
    this.zone = zoneFor(network);
    this.#all = all;
    this.#on = on;
    this.#target = family === 6 ? `${GROUP[6]}%${this.zone}` : GROUP[4];
    // As much of a socket as the package needs when it need not bind.
    this.#pipe = Object.assign(new EventEmitter(), {
      send: (bytes: Uint8Array, _offset: number, _length: number, _port: number, _address: string, done: () => void) =>
        this.#send(bytes, done),
      close: () => this.close(),
    });
    const options = { socket: this.#pipe, bind: false, multicast: false, type: "udp4" };
    this.server = new Server(options as Partial<ServiceConfig>, () => {});
    this.mdns = this.server.mdns;
    this.mdns.on("error", () => {});
    this.mdns.on("packet", (packet, { address, port }) => {
      // RFC 6762, section 6: a response from another port is not one.
      if (packet.type === "response" && port !== MDNS_PORT) packet.type = "ignored";
      else on.packet(packet, address as Address);
    });
    this.#open();
  }

  #open(): void {
    const { network, family } = this.place;
    try {
      this.#socket = createSocket({ type: family === 6 ? "udp6" : "udp4", reuseAddr: true, ipv6Only: family === 6 });
      const socket = this.#socket;
      socket.unref();
      socket.on("error", (error) => (this.#ready ? this.#note(error) : this.#fail(error)));
      socket.on("message", (bytes, from) => this.#receive(bytes, from));
      socket.on("listening", () => {
        if (this.#socket !== socket) return;
        try {
          const own = family === 6 ? `::%${this.zone}` : (ownAddress(network)?.address ?? "");
          socket.addMembership(GROUP[family], own);
          socket.setMulticastInterface(own);
          socket.setMulticastTTL(255);
          socket.setMulticastLoopback(true);
        } catch (error) {
          this.#fail(error);
          return;
        }
        this.#ready = true;
        this.#on.ready(this);
      });
      // Linux gives what is sent to this machine alone to one program only: bound to the group, we take nothing from others. And for
      // IPv6 it gives a socket without a zone the packets of all interfaces. Other systems do not bind to a group.
      const any = family === 6 ? "::" : "0.0.0.0";
      socket.bind({ port: MDNS_PORT, address: process.platform === "linux" ? this.#target : any });
    } catch (error) {
      this.#fail(error);
    }
  }

  #send(bytes: Uint8Array, done: () => void): void {
    if (!this.#ready || this.#socket === undefined) {
      done();
      return;
    }
    try {
      this.#socket.send(bytes, MDNS_PORT, this.#target, (error) => {
        if (error instanceof Error) this.#note(error);
        else this.problem = undefined;
        done();
      });
    } catch (error) {
      this.#note(error);
      done();
    }
  }

  #receive(bytes: Buffer, from: RemoteInfo): void {
    if (bytes.length < 12 || bytes.length > PACKET_LIMIT) return;
    const records = [4, 6, 8, 10].reduce((sum, at) => sum + bytes.readUInt16BE(at), 0);
    const address = parseAddress(from.address);
    if (records > RECORD_LIMIT || address === undefined || !this.#isHere(address)) return;
    try {
      this.#pipe.emit("message", bytes, { ...from, address: withoutZone(address) });
    } catch {
      // A stranger's packet that the package stumbles over is as good as none.
    }
  }

  /** Whether a packet came by this interface: for IPv4, Linux gives every socket what comes by any. */
  #isHere(from: Address): boolean {
    const { network, family } = this.place;
    const zone = from.slice(withoutZone(from).length + 1);
    if (family === 6) return zone === "" || zone === this.zone || network.addresses.some(({ scope }) => zone === String(scope));
    if (isOn(network, from)) return true;
    // From no network of ours: two can share a cable (RFC 6762, section 11).
    return !network.loopback && !this.#all.some((other) => isOn(other, from));
  }

  #fail(error: unknown): void {
    this.#note(error);
    this.close();
    this.#on.failed();
  }

  #note(error: unknown): void {
    this.problem = `Cannot use ${this.label} to find others: ${reasonOf(error)}.`;
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#ready = false;
    try {
      socket?.close();
    } catch {
      // It was never open.
    }
  }
}

function reasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `another program keeps UDP port ${MDNS_PORT} to itself`;
    case "EPERM":
    case "EACCES":
      return `this system refuses UDP port ${MDNS_PORT}; allow it in its firewall`;
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "ENETDOWN":
    case "EADDRNOTAVAIL":
    case "ENODEV":
      return "it carries no multicast now";
    default:
      return sentenceOf(error);
  }
}

/** The IPv4 address by which an interface is chosen for multicast. */
function ownAddress({ addresses }: Interface): InterfaceAddress | undefined {
  const all = addresses.filter(({ family }) => family === 4);
  return all.find(({ linkLocal }) => !linkLocal) ?? all[0];
}

/** Whether an IPv4 address is of one of this interface's networks. */
function isOn({ addresses }: Interface, from: Address): boolean {
  return addresses.some(
    ({ address, family, prefix }) => family === 4 && bitsOf(address) >>> (32 - prefix) === bitsOf(from) >>> (32 - prefix),
  );
}

function bitsOf(address: Address): number {
  return address.split(".").reduce((bits, octet) => bits * 256 + Number(octet), 0);
}

/** Where to speak, real interfaces first. With a `host`, where a tracker that listens there can be reached, and at which addresses. */
function placesOf(all: Interface[], host = "::"): Place[] {
  const only = parseAddress(host);
  const anyHost = host === "::" || host === "0.0.0.0";
  const zone = only?.slice(withoutZone(only).length + 1) ?? "";
  const places: Place[] = [];
  for (const network of [...all].sort((a, b) => Number(a.virtual) - Number(b.virtual))) {
    const families = new Set(network.addresses.map(({ family }) => family));
    // No route leads to a group on loopback by IPv6.
    if (network.loopback && families.has(4)) families.delete(6);
    // The near end of a container's cable: its bridge is asked already.
    if (network.virtual && network.addresses.every(({ address }) => isLinkLocal(address))) continue;
    let addresses = network.addresses.map(({ address }) => address);
    if (host === "0.0.0.0") {
      addresses = addresses.filter((address) => !address.includes(":"));
      families.delete(6);
    } else if (!anyHost) {
      if (only === undefined) return [];
      const bare = withoutZone(only);
      if (isLoopback(bare) ? !network.loopback : !addresses.includes(bare)) continue;
      if (zone !== "" && zone !== zoneFor(network)) continue;
      addresses = [bare];
      if (!network.loopback) families.delete(bare.includes(":") ? 4 : 6);
    }
    for (const family of [...families].sort()) places.push({ network, family, addresses: addresses.slice(0, ADDRESS_LIMIT) });
  }
  return places.slice(0, LINK_LIMIT);
}

export interface AnnounceOptions {
  name: string;
  /** Where the tracker listens, and at which address: `::` and `0.0.0.0` are all. */
  port: number;
  host: string;
  version: string;
  /** Called when the tracker is announced somewhere, under this name: others can find it from then on. */
  announced?: (name: string) => void;
  clock?: Clock;
  networks?: () => Interface[];
}

export interface Announcement {
  /** What others see: the tracker's name, with a number where that was taken. */
  readonly names: string[];
  /** Where it is announced now. */
  readonly announcedOn: string[];
  /** Why it is not announced somewhere, as sentences. */
  readonly problems: string[];
  /** Says goodbye; takes at most half a second. */
  stop(): Promise<void>;
}

/** Announces a tracker, on interfaces that come later too. Never throws, and does not keep the program running. */
export function announce(options: AnnounceOptions): Announcement {
  const { host, clock = quietClock, networks = interfaces } = options;
  const id = randomBytes(6).toString("hex");
  const notices = new Map<string, Notice>();
  let stopped: Promise<void> | undefined;

  function follow(all: Interface[]): void {
    const places = new Map(
      placesOf(all, host).map((place) => [`${place.network.name} ${place.family} ${place.addresses}`, place]),
    );
    for (const [key, notice] of notices) {
      if (places.has(key) && !notice.failed) continue;
      notice.link.close();
      notice.cancel();
      notices.delete(key);
    }
    for (const [key, place] of places) {
      const notice = notices.get(key);
      // It may have slept, and others may have forgotten it.
      if (notice !== undefined) notice.repeat();
      else notices.set(key, new Notice(place, all, { ...options, clock, id }));
    }
  }

  follow(networks());
  const unwatch = watchInterfaces(follow, { clock, networks });

  async function farewell(): Promise<void> {
    unwatch();
    let cancel = () => {};
    const late = new Promise<void>((resolve) => {
      cancel = systemClock.after(GOODBYE_MS, resolve);
    });
    await Promise.race([Promise.all([...notices.values()].map((notice) => notice.goodbye())), late]);
    cancel();
    for (const { link } of notices.values()) link.close();
    notices.clear();
  }

  const announced = () => [...notices.values()].filter((notice) => notice.announced);
  return {
    get names() {
      return [...new Set(announced().map((notice) => notice.name))];
    },
    get announcedOn() {
      return announced().map(({ link }) => link.label);
    },
    get problems() {
      return [...notices.values()].flatMap(({ link }) => link.problem ?? []);
    },
    stop: () => {
      stopped ??= farewell();
      return stopped;
    },
  };
}

/** A tracker's announcement on one link: finds a free name, says it, answers for it, keeps it. */
class Notice {
  readonly link: Link;
  announced = false;
  failed = false;
  readonly #options: AnnounceOptions & { clock: Clock; id: string };
  readonly #answers: Allowance;
  #number = 1;
  #records: ServiceRecord[] = [];
  /** Stops what is to happen next. */
  cancel: () => void = () => {};

  constructor(place: Place, all: Interface[], options: AnnounceOptions & { clock: Clock; id: string }) {
    this.#options = options;
    this.#answers = new Allowance(ANSWERS, ANSWERS_BURST, options.clock);
    this.link = new Link(place, all, {
      ready: () => this.#probe(),
      failed: () => {
        this.failed = true;
      },
      packet: (packet) => {
        if (packet.type === "query") this.#admit(packet);
        else if (packet.type === "response") this.#compare(packet);
      },
    });
  }

  get name(): string {
    const { name, id } = this.#options;
    if (this.#number === 1) return instanceName(name);
    return instanceName(name, this.#number > NUMBER_LIMIT ? ` (${id})` : ` (${this.#number})`);
  }

  get #fullName(): string {
    return `${this.name}.${SERVICE}`;
  }

  /** The tracker's own: other programs on this machine answer for the machine's name. */
  get #hostName(): string {
    return `${TYPE}-${this.#options.id}.local`;
  }

  /** Asks whether the name is free, and takes it if nobody says otherwise. Who starts with others at once does not ask with them. */
  #probe(): void {
    const { clock, id } = this.#options;
    this.cancel();
    this.announced = false;
    this.link.server.unregister(this.#records);
    let asked = 0;
    const ask = () => {
      if (asked === PROBES) {
        this.#publish();
        return;
      }
      asked += 1;
      this.link.mdns.query(this.#fullName, "ANY");
      this.cancel = clock.after(PROBE_MS, ask);
    };
    this.cancel = clock.after((Number.parseInt(id.slice(0, 2), 16) / 256) * PROBE_MS, ask);
  }

  #publish(): void {
    const { port, version, id } = this.#options;
    const name = this.#fullName;
    const record = (of: string, type: ServiceRecord["type"], data: unknown) => ({ name: of, type, ttl: TTL_S, data });
    this.#records = [
      record(SERVICE, "PTR", name),
      record(name, "SRV", { port, target: this.#hostName }),
      record(name, "TXT", [Buffer.from(`version=${version}`.slice(0, 64)), Buffer.from(`id=${id}`)]),
      record(ALL_SERVICES, "PTR", SERVICE),
      ...this.link.place.addresses.map((address) => record(this.#hostName, address.includes(":") ? "AAAA" : "A", address)),
    ];
    this.link.server.register(this.#records);
    this.announced = true;
    this.repeat();
    this.#options.announced?.(this.name);
  }

  /** Announces now, and a few times more. */
  repeat(): void {
    if (!this.announced) return;
    this.cancel();
    const pauses = [...REPEAT_MS];
    const say = () => {
      this.link.mdns.respond(this.#records);
      const pause = pauses.shift();
      if (pause !== undefined) this.cancel = this.#options.clock.after(pause, say);
    };
    say();
  }

  /** Leaves of a query what we answer, each question once, and no more than is fair: one answer reaches everybody. */
  #admit(packet: Packet): void {
    const names = new Set([SERVICE, ALL_SERVICES, this.#fullName, this.#hostName].map((name) => name.toLowerCase()));
    const questions = new Map(
      packet.questions
        .filter(({ name }) => this.announced && names.has(name.toLowerCase()))
        .map((question) => [`${question.type} ${question.name.toLowerCase()}`, question]),
    );
    packet.questions = [...questions.values()].filter(() => this.#answers.take());
  }

  /** Gives way to another tracker that has our name. If both took it at the same time, one of them does. */
  #compare({ answers, additionals }: Packet): void {
    const ours = this.#fullName.toLowerCase();
    const claims = [...answers, ...additionals].filter(
      ({ name, type, ttl }) => ttl > 0 && (type === "SRV" || type === "TXT") && name.toLowerCase() === ours,
    );
    if (claims.length === 0 || this.#number > NUMBER_LIMIT) return;
    const { id } = this.#options;
    const theirs = claims.flatMap(({ type, data }) => (type === "TXT" ? idOf(data) : [])).at(0);
    // We are heard by our own other interfaces.
    if (theirs === id) return;
    if (this.announced && theirs !== undefined && id < theirs) {
      if (this.#answers.take()) this.link.mdns.respond(this.#records);
      return;
    }
    this.#number += 1;
    this.#probe();
  }

  /** Resolves when it is said. */
  goodbye(): Promise<void> {
    this.cancel();
    if (!this.announced) return Promise.resolve();
    this.announced = false;
    // Others may go on with services of this type.
    const own = this.#records.filter(({ name }) => name !== ALL_SERVICES);
    return new Promise((resolve) => {
      this.link.mdns.respond(
        own.map((record) => ({ ...record, ttl: 0 })),
        resolve,
      );
    });
  }
}

/** The `id` of a TXT record. */
function idOf(data: unknown): string[] {
  const texts = Array.isArray(data) ? data.slice(0, 16) : [];
  return texts.map(String).flatMap((text) => (text.startsWith("id=") ? text.slice(3) : []));
}

/** A tracker's name as an instance name (RFC 6763, section 4.1.1): NFC, at most 63 bytes, no control characters; the package has no dots. */
function instanceName(name: string, suffix = ""): string {
  const clean = name
    .toWellFormed()
    .normalize("NFC")
    .replace(/[\u0000-\u001f\u007f]+/g, " ")
    .replaceAll(".", "-")
    .trim();
  return (cutTo(clean, LABEL_LIMIT - byteLength(suffix)).trim() || "tracker") + suffix;
}

function cutTo(text: string, bytes: number): string {
  let kept = "";
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (byteLength(kept + segment) > bytes) break;
    kept += segment;
  }
  return kept;
}

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
