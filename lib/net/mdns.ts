// Opens sockets for multicast DNS (RFC 6762), one for each interface and address family, with the package bonjour-service on it. Neither
// announces nor looks for anything by itself: tracker/system/announce.ts and peer/locate/look.ts do.
//
// The package decodes packets, answers and browses. Its own socket is not used: it sends on one interface only, and not at all without
// a default route. Its registry is not used either: it announces the addresses of all interfaces on each of them, prints, and says
// goodbye to names that belong to others.

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { EventEmitter } from "node:events";
import { Server } from "bonjour-service/dist/lib/mdns-server.js";
import type { ServiceConfig, ServiceRecord } from "bonjour-service/dist/lib/service.js";
import { codeOf, sentenceOf } from "../error.ts";
import { type Address, isLinkLocal, isLoopback, parseAddress, withoutZone } from "../protocol/address.ts";
import { byteLength, cutTo } from "../text.ts";
import { type Interface, type InterfaceAddress, zoneFor } from "./interfaces.ts";
import { LOCAL_NETWORK } from "./permission.ts";

/** The name of our service among those of all programs (RFC 6763, section 7). */
export const SERVICE_TYPE = "filetracker";
/** A tracker's full name is its own name before this: `Lab 3._filetracker._tcp.local`. */
export const SERVICE = `_${SERVICE_TYPE}._tcp.local`;
/** Browsers that list all kinds of services ask for this name (RFC 6763, section 9). */
export const ALL_SERVICES = "_services._dns-sd._udp.local";
const MDNS_PORT = 5353;
const GROUP = { 4: "224.0.0.251", 6: "ff02::fb" } as const;
/** Longer packets are not read (RFC 6762, section 17). Bytes. */
const PACKET_LIMIT = 9000;
/** A packet that announces more questions and records than this is not decoded. */
const RECORD_LIMIT = 256;
/** The most sockets at once: a machine with many containers has hundreds of interfaces. */
const LINK_LIMIT = 32;
/** The longest label of a domain name. Bytes. */
export const LABEL_LIMIT = 63;
/** The most addresses of one tracker that are announced, and that a search keeps. */
export const ADDRESS_LIMIT = 8;

/** A question. Its class is QU_CLASS when the answer is to come to the program that asks, and to nobody else (RFC 6762, section 5.4). */
export interface Question {
  name: string;
  type: string;
  class?: string;
}

/** The class of such a question, as the package decodes it: IN with the highest bit. */
const QU_CLASS = "UNKNOWN_32769";

/** The sender of a packet. */
export interface Sender {
  address: Address;
  port: number;
}

/** A packet after the package has decoded it. */
export interface Packet {
  id: number;
  type: string;
  questions: Question[];
  answers: ServiceRecord[];
  additionals: ServiceRecord[];
}

/** The part of the package that talks to the network. A handler of `packet` runs first, and may change the packet that the package sees. */
interface Mdns extends EventEmitter<{ packet: [Packet, RemoteInfo]; error: [Error] }> {
  query(name: string, type: string): void;
  respond(records: ServiceRecord[] | Partial<Packet>, done?: () => void): void;
  respond(packet: Partial<Packet>, to: Sender): void;
  destroy(): void;
}

/** One interface, and one family of addresses on it, for which to open a link. */
export interface LinkPlan {
  network: Interface;
  family: 4 | 6;
  /** Those addresses of the interface at which the tracker listens. */
  addresses: Address[];
}

interface LinkEvents {
  ready(link: Link): void;
  /** A packet that came by this link and is not too large. */
  packet(packet: Packet, from: Sender): void;
  /** The link could not be opened. */
  failed(): void;
}

/**
 * The port of a link. `mdns` is that of all programs with multicast DNS. A link on a free port hears no multicast: it asks, and hears the
 * answers that are sent to it alone. A firewall that lets in only answers to own questions lets these in.
 */
export type LinkPort = "mdns" | "free";

/** A socket for one interface and family, with the package on it. */
export class Link {
  readonly plan: LinkPlan;
  readonly label: string;
  readonly zone: string;
  readonly server: Server;
  readonly mdns: Mdns;
  /** Why the link does not work now, as a sentence. */
  problem: string | undefined;
  readonly #all: Interface[];
  readonly #on: LinkEvents;
  readonly #pipe: EventEmitter;
  readonly #target: string;
  readonly #port: LinkPort;
  #socket: Socket | undefined;
  #ready = false;

  constructor(plan: LinkPlan, all: Interface[], on: LinkEvents, port: LinkPort = "mdns") {
    const { network, family } = plan;
    this.plan = plan;
    this.#port = port;
    this.label = `${network.name} (IPv${family})`;
    this.zone = zoneFor(network);
    this.#all = all;
    this.#on = on;
    this.#target = family === 6 ? `${GROUP[6]}%${this.zone}` : GROUP[4];
    // The part of a socket that the package uses when it does not bind by itself.
    this.#pipe = Object.assign(new EventEmitter(), {
      send: (bytes: Uint8Array, _offset: number, _length: number, port: number, address: string, done: () => void) =>
        this.#send(bytes, { port, address: this.#targetFor(address) }, done),
      close: () => this.close(),
    });
    const options = { socket: this.#pipe, bind: false, multicast: false, type: "udp4" };
    this.server = new Server(options as Partial<ServiceConfig>, () => {});
    this.mdns = this.server.mdns;
    this.mdns.on("error", () => {});
    this.mdns.on("packet", (packet, { address, port }) => {
      // A response that comes from another port does not count (RFC 6762, section 6).
      if (packet.type === "response" && port !== MDNS_PORT) packet.type = "ignored";
      else on.packet(packet, { address: address as Address, port });
    });
    this.#open();
  }

  #open(): void {
    const { network, family } = this.plan;
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
          if (this.#port === "mdns") socket.addMembership(GROUP[family], own);
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
      socket.bind({ port: this.#port === "mdns" ? MDNS_PORT : 0, address: bindAddress(this.plan, this.#port) });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Where the package wants to send to: it knows the group of IPv4 only, and no zones. */
  #targetFor(address: string): string {
    if (address === GROUP[4]) return this.#target;
    return isLinkLocal(address as Address) && address.includes(":") ? `${address}%${this.zone}` : address;
  }

  #send(bytes: Uint8Array, { port, address }: { port: number; address: string }, done: () => void): void {
    if (!this.#ready || this.#socket === undefined) {
      done();
      return;
    }
    try {
      this.#socket.send(bytes, port, address, (error) => {
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
      // The package cannot decode this packet. It is ignored.
    }
  }

  /** Whether a packet came by this interface. For IPv4, Linux gives every socket the packets of all interfaces. */
  #isHere(from: Address): boolean {
    const { network, family } = this.plan;
    const zone = from.slice(withoutZone(from).length + 1);
    if (family === 6) return zone === "" || zone === this.zone || network.addresses.some(({ scope }) => zone === String(scope));
    if (isOn(network, from)) return true;
    // It is of none of our networks. Two networks can share a cable (RFC 6762, section 11).
    return !network.loopback && !this.#all.some((other) => isOn(other, from));
  }

  /**
   * Whether a question is to be answered to its sender alone: it asks for that, or it comes from another port than that of multicast DNS
   * (RFC 6762, sections 5.4 and 6.7). Nobody on another network gets such an answer, because it is larger than its question.
   */
  wantsUnicast(question: Question, { address, port }: Sender): boolean {
    if (port === MDNS_PORT && question.class !== QU_CLASS) return false;
    return address.includes(":") ? isLinkLocal(address) : isOn(this.plan.network, address);
  }

  /** Answers the sender of a packet, and nobody else. */
  answer({ id, questions }: Packet, answers: ServiceRecord[], additionals: ServiceRecord[], to: Sender): void {
    // A program on another port may know nothing of multicast DNS: it gets its own question and number back, as from any DNS server.
    const isPlain = to.port !== MDNS_PORT;
    const asked = questions.map(({ name, type }) => ({ name, type }));
    this.mdns.respond({ id: isPlain ? id : 0, questions: isPlain ? asked : [], answers, additionals }, to);
  }

  #fail(error: unknown): void {
    this.#note(error);
    this.close();
    this.#on.failed();
  }

  #note(error: unknown): void {
    this.problem = `Cannot use ${this.label} to find others: ${multicastReason(error)}.`;
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#ready = false;
    try {
      socket?.close();
    } catch {
      // The socket was never open.
    }
  }
}

const NO_MULTICAST = "it carries no multicast now";

/** Why multicast does not work, as a clause. */
export function multicastReason(error: unknown, platform: string = process.platform): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `another program keeps UDP port ${MDNS_PORT} to itself`;
    case "EPERM":
    case "EACCES":
      return `this system refuses UDP port ${MDNS_PORT}; allow it in its firewall`;
    case "EHOSTUNREACH":
      return platform === "darwin" ? `macOS keeps this program from the network; ${LOCAL_NETWORK}` : NO_MULTICAST;
    case "ENETUNREACH":
    case "ENETDOWN":
    case "EADDRNOTAVAIL":
    case "ENODEV":
      return NO_MULTICAST;
    default:
      return sentenceOf(error);
  }
}

/** The address to bind a link's socket to, on each system. */
export function bindAddress({ network, family }: LinkPlan, port: LinkPort, platform: string = process.platform): string {
  const own = ownAddress(network)?.address ?? "0.0.0.0";
  // Linux gives a packet that is sent to this machine alone to one program only. Bound to the group, we take no such packet from
  // another program. For IPv6, Linux gives a socket without a zone the packets of all interfaces. Other systems cannot bind to a group.
  if (port === "mdns" && platform === "linux") return family === 6 ? `${GROUP[6]}%${zoneFor(network, platform)}` : GROUP[4];
  if (family === 6) return "::";
  // Bun's setMulticastInterface does nothing for IPv4 on Windows. There the address of the socket says which interface it uses.
  return port === "free" || platform === "win32" ? own : "0.0.0.0";
}

/** The IPv4 address that names an interface for multicast. */
function ownAddress({ addresses }: Interface): InterfaceAddress | undefined {
  const all = addresses.filter(({ family }) => family === 4);
  return all.find(({ linkLocal }) => !linkLocal) ?? all[0];
}

/** Whether an IPv4 address belongs to one of this interface's networks. */
function isOn({ addresses }: Interface, from: Address): boolean {
  return addresses.some(
    ({ address, family, prefix }) =>
      family === 4 && ipv4NumberOf(address) >>> (32 - prefix) === ipv4NumberOf(from) >>> (32 - prefix),
  );
}

/** An IPv4 address as a number: `0.0.1.2` is 258. */
function ipv4NumberOf(address: Address): number {
  return address.split(".").reduce((bits, octet) => bits * 256 + Number(octet), 0);
}

/**
 * Which links to open, real interfaces first. `host` is where a tracker listens (`::` and `0.0.0.0` mean every address): links by which
 * it cannot be reached are left out, and addresses too.
 */
export function planLinks(all: Interface[], host = "::"): LinkPlan[] {
  const only = parseAddress(host);
  const anyHost = host === "::" || host === "0.0.0.0";
  const zone = only?.slice(withoutZone(only).length + 1) ?? "";
  const plans: LinkPlan[] = [];
  for (const network of [...all].sort((a, b) => Number(a.virtual) - Number(b.virtual))) {
    const families = new Set(network.addresses.map(({ family }) => family));
    // On loopback no route leads to an IPv6 group.
    if (network.loopback && families.has(4)) families.delete(6);
    // This is the near end of a container's cable. Its bridge has a link already.
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
    for (const family of [...families].sort()) plans.push({ network, family, addresses: addresses.slice(0, ADDRESS_LIMIT) });
  }
  return plans.slice(0, LINK_LIMIT);
}

/**
 * A tracker's name as an instance name (RFC 6763, section 4.1.1): NFC, at most 63 bytes, no control characters. The package cannot
 * write a dot in a name, so it becomes `-`.
 */
export function instanceName(name: string, suffix = ""): string {
  const clean = name
    .toWellFormed()
    .normalize("NFC")
    .replace(/[\u0000-\u001f\u007f]+/g, " ")
    .replaceAll(".", "-")
    .trim();
  return (cutTo(clean, LABEL_LIMIT - byteLength(suffix)).trim() || "tracker") + suffix;
}
