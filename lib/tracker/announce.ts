// DNS-SD: announces a tracker on every interface of this machine.

import { randomBytes } from "node:crypto";
import type { ServiceRecord } from "bonjour-service/dist/lib/service.js";
import { type Clock, quietClock, systemClock } from "../clock.ts";
import { type Interface, interfaces, watchInterfaces } from "../net/interfaces.ts";
import { ALL_SERVICES, cutTo, LABEL_LIMIT, Link, type Packet, type Place, placesOf, SERVICE, TYPE } from "../net/mdns.ts";
import { byteLength } from "../protocol/record.ts";
import { Allowance } from "../rate.ts";

/** How long others can remember what was announced, in seconds: a tracker that was killed is forgotten after this. */
const TTL_S = 120;

/** Three questions whether the name is free, so far apart (RFC 6762, section 8.1). */
const PROBES = 3;

const PROBE_MS = 250;

/** Announcements after the first (section 8.3): an address that is new takes a second or two until it can be used. */
const REPEAT_MS = [1_000, 2_000];

/** Names are tried up to `NAME (9)`; then the tracker's id makes one that is nobody else's. */
const NUMBER_LIMIT = 9;

/** Answers a second on one interface, after a burst. An answer reaches everybody there. */
const ANSWERS = 20;

const ANSWERS_BURST = 40;

const GOODBYE_MS = 500;

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
