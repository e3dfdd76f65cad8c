// DNS-SD: announces a tracker on every interface of this machine, and finds the trackers that announce themselves.
//
// RFC 6762 and RFC 6763. The package decodes, answers and browses, on sockets of our own: one for each interface and family, because
// its own socket sends on one interface only, and not at all without a default route. Its registry is left out: it announces every
// interface's addresses on all of them, prints, and says goodbye to names that belong to others.

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { EventEmitter } from "node:events";
import { Server } from "bonjour-service/dist/lib/mdns-server.js";
import type { ServiceConfig, ServiceRecord } from "bonjour-service/dist/lib/service.js";
import { codeOf, sentenceOf } from "../error.ts";
import { type Address, isLinkLocal, isLoopback, parseAddress, withoutZone } from "../protocol/address.ts";
import { byteLength } from "../protocol/record.ts";
import { type Interface, type InterfaceAddress, zoneFor } from "./interfaces.ts";

export const TYPE = "filetracker";

export const SERVICE = `_${TYPE}._tcp.local`;

export const ALL_SERVICES = "_services._dns-sd._udp.local";

const MDNS_PORT = 5353;

const GROUP = { 4: "224.0.0.251", 6: "ff02::fb" } as const;

/** RFC 6762, section 17. */
const PACKET_LIMIT = 9000;

/** Questions and records of one packet that are decoded, and those among them that are looked at. */
const RECORD_LIMIT = 256;

/** Interfaces and families at once: a machine with many containers has hundreds. */
const LINK_LIMIT = 32;

/** A label of a domain name, in bytes. */
export const LABEL_LIMIT = 63;

export const ADDRESS_LIMIT = 8;

/** What the package makes of a packet. */
export interface Packet {
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
export interface Place {
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
export class Link {
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
export function placesOf(all: Interface[], host = "::"): Place[] {
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

export function cutTo(text: string, bytes: number): string {
  let kept = "";
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (byteLength(kept + segment) > bytes) break;
    kept += segment;
  }
  return kept;
}
