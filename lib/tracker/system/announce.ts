// Announces a tracker by DNS-SD (RFC 6763) on every interface of this machine, so that peers need no address.

import { randomBytes } from "node:crypto";
import type { ServiceRecord } from "bonjour-service/dist/lib/service.js";
import { quietClock, sleep, systemClock } from "../../clock.ts";
import { type Interface, interfaces, watchInterfaces } from "../../net/interfaces.ts";
import {
  ALL_SERVICES,
  instanceName,
  Link,
  type LinkPlan,
  type Packet,
  planLinks,
  type Question,
  SERVICE,
  SERVICE_TYPE,
  type Sender,
} from "../../net/mdns.ts";
import type { Address } from "../../protocol/address.ts";
import { Allowance } from "../../rate.ts";

/** Others forget a tracker this long after its last announcement, for example when it was killed. Seconds. */
const TTL_S = 120;
/** The number of times that the tracker asks whether its name is free (RFC 6762, section 8.1). */
const PROBES = 3;
/** The time between two questions whether the name is free. Milliseconds. */
const PROBE_MS = 250;
/** The pauses before further announcements (section 8.3). A new address cannot be used for a second or two. Milliseconds. */
const REPEAT_MS = [1_000, 2_000];
/** A name that is taken gets a number, up to `NAME (9)`. After that it gets the tracker's id, which no other tracker has. */
const NUMBER_LIMIT = 9;
/** The most answers per second on one link. Every answer reaches all machines there. */
const ANSWERS = 20;
/** The most answers at once on one link, after a pause. */
const ANSWERS_BURST = 40;
/** The most answers per second on one link that go to one machine alone. */
const LONE_ANSWERS = 100;
/** The most of them at once on one link, after a pause: a class of people that start their programs together. */
const LONE_ANSWERS_BURST = 200;
/** A plain DNS program keeps an answer this long at most (RFC 6762, section 6.7). Seconds. */
const LONE_TTL_S = 10;
/** The longest time for saying goodbye. Milliseconds. */
const GOODBYE_MS = 500;

interface AnnounceOptions {
  name: string;
  port: number;
  /** The address at which the tracker listens: `::` and `0.0.0.0` mean every address. */
  host: string;
  version: string;
  /** The tracker's public key, by which peers find it again under any name and address. They let it prove that it has the key. */
  key?: string;
  /** The tracker is a private room: peers need its key. */
  room?: boolean;
  /** The group of trackers that it belongs to. */
  group?: string | undefined;
  /** Called with each packet of another tracker, and the address that sent it. */
  heard?: (packet: Packet, from: Address) => void;
  /** Called when the tracker is announced on a link under this name. From then on others can find it. */
  announced?: (name: string) => void;
}

export type Announcement = ReturnType<typeof announce>;

/** Announces a tracker, also on interfaces that come later. Never throws. Does not keep the program running. */
export function announce(options: AnnounceOptions) {
  const id = randomBytes(6).toString("hex");
  const notices = new Map<string, Notice>();

  function follow(all: Interface[]): void {
    const plans = new Map(
      planLinks(all, options.host).map((plan) => [`${plan.network.name} ${plan.family} ${plan.addresses}`, plan]),
    );
    for (const [key, notice] of notices) {
      if (plans.has(key) && !notice.failed) continue;
      notice.link.close();
      notice.cancel();
      notices.delete(key);
    }
    for (const [key, plan] of plans) {
      const notice = notices.get(key);
      // This machine may have slept, and others may have forgotten the tracker.
      if (notice !== undefined) notice.repeat();
      else notices.set(key, new Notice(plan, all, options, id));
    }
  }

  follow(interfaces());
  const unwatch = watchInterfaces(follow);
  const announced = () => [...notices.values()].filter((notice) => notice.announced);
  return {
    /** The name that others see: the tracker's name, with a number where another tracker had it first. */
    names: () => [...new Set(announced().map(({ name }) => name))],
    /** The host name that it announces, in small letters. */
    hosts: [hostNameOf(id)],
    /** The links on which it is announced now, such as `eth0 (IPv4)`. */
    announcedOn: () => announced().map(({ link }) => link.label),
    /** Why it is not announced on others, as sentences. */
    problems: () => [...notices.values()].flatMap(({ link }) => link.problem ?? []),
    /** Asks the other trackers to announce themselves. */
    ask: () => {
      for (const notice of notices.values()) notice.ask();
    },
    /** Says goodbye; takes at most half a second. Called once. */
    async stop(): Promise<void> {
      unwatch();
      const goodbyes = [...notices.values()].map((notice) => notice.goodbye());
      await Promise.race([Promise.all(goodbyes), sleep(systemClock, GOODBYE_MS)]);
      for (const { link } of notices.values()) link.close();
    },
  };
}

function hostNameOf(id: string): string {
  return `${SERVICE_TYPE}-${id}.local`;
}

/** A tracker's announcement on one link: finds a free name, announces it, answers questions about it and defends it. */
class Notice {
  readonly link: Link;
  announced = false;
  failed = false;
  readonly #options: AnnounceOptions;
  readonly #id: string;
  readonly #answers = new Allowance(ANSWERS, ANSWERS_BURST, quietClock);
  readonly #loneAnswers = new Allowance(LONE_ANSWERS, LONE_ANSWERS_BURST, quietClock);
  #number = 1;
  #records: ServiceRecord[] = [];
  /** Stops the timer for the next question or announcement. */
  cancel: () => void = () => {};

  constructor(plan: LinkPlan, all: Interface[], options: AnnounceOptions, id: string) {
    this.#options = options;
    this.#id = id;
    this.link = new Link(plan, all, {
      ready: () => this.#probe(),
      failed: () => {
        this.failed = true;
      },
      packet: (packet, from) => {
        if (packet.type === "query") this.#admit(packet, from);
        else if (packet.type === "response") {
          this.#compare(packet);
          options.heard?.(packet, from.address);
        }
      },
    });
  }

  get name(): string {
    const number = this.#number > NUMBER_LIMIT ? this.#id : this.#number;
    return instanceName(this.#options.name, number === 1 ? "" : ` (${number})`);
  }

  get #fullName(): string {
    return `${this.name}.${SERVICE}`;
  }

  /** A host name that only the tracker uses, because other programs on this machine answer for the machine's own name. */
  get #hostName(): string {
    return hostNameOf(this.#id);
  }

  /** Asks whether the name is free, and takes it if no other tracker claims it. */
  #probe(): void {
    this.cancel();
    this.announced = false;
    this.link.server.unregister(this.#records);
    const ask = (left: number) => {
      if (left === 0) return this.#publish();
      this.link.mdns.query(this.#fullName, "ANY");
      this.cancel = quietClock.after(PROBE_MS, () => ask(left - 1));
    };
    // Trackers that start at the same moment do not ask at the same moment.
    this.cancel = quietClock.after((Number.parseInt(this.#id.slice(0, 2), 16) / 256) * PROBE_MS, () => ask(PROBES));
  }

  #publish(): void {
    const { port, version, key, group, room = false } = this.#options;
    const name = this.#fullName;
    const record = (of: string, type: ServiceRecord["type"], data: unknown) => ({ name: of, type, ttl: TTL_S, data });
    this.#records = [
      record(SERVICE, "PTR", name),
      record(name, "SRV", { port, target: this.#hostName }),
      record(name, "TXT", [
        Buffer.from(`version=${version}`.slice(0, 64)),
        Buffer.from(`id=${this.#id}`),
        ...(key === undefined ? [] : [Buffer.from(`key=${key}`)]),
        ...(room ? [Buffer.from("room=1")] : []),
        ...(group === undefined ? [] : [Buffer.from(`group=${group}`)]),
      ]),
      record(ALL_SERVICES, "PTR", SERVICE),
      ...this.link.plan.addresses.map((address) => record(this.#hostName, address.includes(":") ? "AAAA" : "A", address)),
    ];
    this.link.server.register(this.#records);
    this.announced = true;
    this.repeat();
    this.#options.announced?.(this.name);
    if (this.#options.heard !== undefined) this.ask();
  }

  /** Asks the other trackers to announce themselves. */
  ask(): void {
    if (this.announced) this.link.mdns.query(SERVICE, "PTR");
  }

  /** Announces now, and again after each of the pauses. */
  repeat(): void {
    if (!this.announced) return;
    this.cancel();
    const say = ([pause, ...later]: number[]) => {
      this.link.mdns.respond(this.#records);
      if (pause !== undefined) this.cancel = quietClock.after(pause, () => say(later));
    };
    say(REPEAT_MS);
  }

  /**
   * Removes from a query all questions that we do not answer, repeated ones, and those above the limit on answers; and those that are to
   * be answered to their sender alone, after doing so.
   */
  #admit(packet: Packet, from: Sender): void {
    const names = new Set([SERVICE, ALL_SERVICES, this.#fullName, this.#hostName].map((name) => name.toLowerCase()));
    const questions = new Map(
      packet.questions
        .filter(({ name }) => this.announced && names.has(name.toLowerCase()))
        .map((question) => [`${question.type} ${question.name.toLowerCase()}`, question]),
    );
    const isLone = (question: Question) => this.link.wantsUnicast(question, from);
    const lone = [...questions.values()].filter(isLone);
    if (lone.length > 0 && this.#loneAnswers.take()) this.#answerAlone({ ...packet, questions: lone }, from);
    packet.questions = [...questions.values()].filter((question) => !isLone(question) && this.#answers.take());
  }

  /** Answers these questions to their sender, with everything else that there is to say: nobody has to ask further. */
  #answerAlone(packet: Packet, to: Sender): void {
    const isAsked = ({ name, type }: ServiceRecord) =>
      packet.questions.some((asked) => asked.name.toLowerCase() === name.toLowerCase() && ["ANY", type].includes(asked.type));
    const records = this.#records.map((record) => ({ ...record, ttl: LONE_TTL_S }));
    const answers = records.filter(isAsked);
    const others = records.filter((record) => !isAsked(record) && record.name !== ALL_SERVICES);
    if (answers.length > 0) this.link.answer(packet, answers, others, to);
  }

  /** Takes another name if another tracker has ours. If both took it at once, the tracker with the higher id does. */
  #compare({ answers, additionals }: Packet): void {
    const ours = this.#fullName.toLowerCase();
    const claims = [...answers, ...additionals].filter(
      ({ name, type, ttl }) => ttl > 0 && (type === "SRV" || type === "TXT") && name.toLowerCase() === ours,
    );
    if (claims.length === 0 || this.#number > NUMBER_LIMIT) return;
    // What we said came back. The answer to a question for the SRV record has no TXT record with our id.
    if (claims.some(({ type, data }) => (type === "SRV" ? isTarget(data, this.#hostName) : idOf(data).at(0) === this.#id)))
      return;
    const theirs = claims.flatMap(({ type, data }) => (type === "TXT" ? idOf(data) : [])).at(0);
    if (this.announced && theirs !== undefined && this.#id < theirs) {
      if (this.#answers.take()) this.link.mdns.respond(this.#records);
      return;
    }
    this.#number += 1;
    this.#probe();
  }

  /** Tells others that the tracker is gone. Resolves when that is sent. */
  goodbye(): Promise<void> {
    this.cancel();
    if (!this.announced) return Promise.resolve();
    this.announced = false;
    // The record of the service type stays: other trackers may be there.
    const own = this.#records.filter(({ name }) => name !== ALL_SERVICES);
    const ended = own.map((record) => ({ ...record, ttl: 0 }));
    return new Promise((resolve) => this.link.mdns.respond(ended, resolve));
  }
}

/** Whether an SRV record says that the service is on this host. */
function isTarget(data: unknown, host: string): boolean {
  return (
    typeof data === "object" && data !== null && "target" in data && String(data.target).toLowerCase() === host.toLowerCase()
  );
}

/** The `id` of a TXT record. */
function idOf(data: unknown): string[] {
  const texts = Array.isArray(data) ? data.slice(0, 16) : [];
  return texts.map(String).flatMap((text) => (text.startsWith("id=") ? text.slice(3) : []));
}
