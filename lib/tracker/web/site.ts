// Answers the browsers that come to the tracker's port: the pages, the numbers for scripts and monitoring, and the way to a holder for a
// guest who downloads. No byte of a file passes through here. A browser shares its host's budgets of work and of search time with the
// FT connections of that host.

import { type Clock, sleep } from "../../clock.ts";
import { ProtocolError } from "../../error.ts";
import type { Html } from "../../html.ts";
import type { Exchange } from "../../net/exchange.ts";
import { formatEndpoint, hostOf, parseAddress, parseEndpoint, parseWhole } from "../../protocol/address.ts";
import { contentKeyOf } from "../../protocol/folder.ts";
import { type FileRecord, parseRecord, parseRoot } from "../../protocol/record.ts";
import { jsonLine } from "../../text.ts";
import { whoHas } from "../../who-has.ts";
import type { Summary } from "../operator/operator.ts";
import type { Seer } from "../shelf.ts";
import type { TrackerState } from "../state.ts";
import { type Host, SLICE_MS } from "../work/hosts.ts";
import { LongSearch, type Steps } from "../work/long-search.ts";
import { HEADERS, ICON } from "./assets.ts";
import { HISTORY_MS, History } from "./history.ts";
import { Live } from "./live.ts";
import { formatMetrics, METRICS_TYPE } from "./metrics.ts";
import { contentPage, foundPage, messagePage, peerPage, peersPage, type View, wholePage } from "./pages.ts";

/** The most contents, or people, of a page. */
const PAGE = 100;
/** The most people of a content that its page names. */
const MOST_NAMED = 500;
/** The most records of a content that are counted on its page. */
const MOST_HOLDERS = 2_000;
/** The longest text in the search box. Characters. */
const QUERY_LIMIT = 500;
/** The work of a page, in small requests such as PING. */
const PAGE_WORK = 25;
/** The work of a page grows by one small request for each group of this number of records or people on it. */
const ROWS_A_REQUEST = 4;
/** Browsers are asked to try again after this time. Seconds. */
const TRY_AGAIN_S = 2;
/** A browser that asks too much gets its refusal after this time, and until then no other answer on that connection. Milliseconds. */
const REFUSED_MS = 1_000;

const HTML_TYPE = "text/html; charset=utf-8";

export interface SiteTools {
  state: TrackerState;
  /** Guests may download from peers that agree. */
  guests: boolean;
  /** The names, beside IP addresses and `localhost`, under which browsers may come. In small letters. */
  names: () => readonly string[];
  summary: () => Summary;
  /** The processor time of this program in seconds, and when it was started, in seconds since 1970. */
  usage: () => { cpuSeconds: number; startedAt: number };
  /** The QR code of an address. */
  qr: (address: string) => Html;
  random: () => number;
}

/** A page cannot be had. `status` is that of HTTP, `message` a sentence for the person. */
class NoPage extends Error {
  readonly status: number;
  readonly title: string;

  constructor(status: number, title: string, message: string) {
    super(message);
    this.status = status;
    this.title = title;
  }
}

export class Site {
  readonly #tools: SiteTools;
  readonly #state: TrackerState;
  readonly #clock: Clock;
  readonly #history: History<"peers" | "downloads">;
  readonly #live: Live;

  constructor(tools: SiteTools) {
    this.#tools = tools;
    this.#state = tools.state;
    this.#clock = tools.state.clock;
    const { catalog } = tools.state;
    this.#history = new History(this.#clock, () => ({ peers: catalog.peers, downloads: catalog.fetching }));
    this.#live = new Live(this.#clock);
  }

  stop(): void {
    this.#history.stop();
    this.#live.stop();
  }

  /** Answers a request. Never throws. */
  async answer(exchange: Exchange): Promise<void> {
    const { address } = exchange.channel.remote;
    const host = this.#state.hosts.enter(address);
    try {
      await this.#answer(exchange, host);
    } catch (error) {
      const known =
        error instanceof NoPage ? error : new NoPage(500, "Something went wrong", "The tracker could not make this page.");
      const again: Record<string, string> = known.status === 429 ? { "retry-after": String(TRY_AGAIN_S) } : {};
      if (known.status === 429) await sleep(this.#clock, REFUSED_MS);
      this.#replyPage(exchange, messagePage(known.title, known.message), { status: known.status, headers: again });
    } finally {
      this.#state.hosts.leave(address, host);
    }
  }

  async #answer(exchange: Exchange, host: Host): Promise<void> {
    const url = this.#checkedUrl(exchange);
    const { pathname } = url;
    await this.#inTurn(host);
    if (pathname === "/metrics") return exchange.reply(200, { ...HEADERS, "content-type": METRICS_TYPE }, this.#metrics());
    if (pathname === "/stats.json") {
      return exchange.reply(
        200,
        { ...HEADERS, "content-type": "application/json" },
        `${jsonLine({ event: "status", done: true, data: this.#tools.summary() })}\n`,
      );
    }
    if (pathname === "/icon.svg") return exchange.reply(200, { ...HEADERS, "content-type": "image/svg+xml" }, ICON);
    if (pathname.startsWith("/get/")) return this.#sendToHolder(exchange, pathname);
    if (pathname.startsWith("/live/")) return this.#follow(exchange, url, host);
    const view = await this.#view(url, seerOf(exchange), host);
    this.#replyPage(exchange, view, { live: `/live${pathname}${url.search}`, query: queryOf(url) });
  }

  /** The URL, if the browser came by an address or a name of this tracker: else a page of another site could read the room by its script. */
  #checkedUrl(exchange: Exchange): URL {
    const url = urlOf(exchange.target, "http://tracker");
    // A whole URL says again under which name the browser came (RFC 9112, section 3.2.2).
    const hosts = [exchange.header("host") ?? "", ...(exchange.target.startsWith("/") ? [] : [url.host])];
    if (url.protocol !== "http:" || !hosts.every((one) => this.#isOwn(hostNameOf(one)))) {
      throw new NoPage(421, "Wrong address", "Open this page by the IP address of the tracker.");
    }
    if ((exchange.header("content-length") ?? "0") !== "0" || exchange.header("transfer-encoding") !== undefined) {
      throw new NoPage(413, "Too much", "This page takes no data.");
    }
    return url;
  }

  #isOwn(name: string): boolean {
    return parseAddress(name) !== undefined || name === "localhost" || this.#tools.names().includes(name);
  }

  /** Waits for this host's turn. Refuses it when it has asked too much. */
  async #inTurn(host: Host): Promise<void> {
    if (!host.work.mayWork(this.#clock.elapsed())) {
      throw new NoPage(429, "Too many requests", "Too much was asked from this address. Try again in a moment.");
    }
    host.work.charge(PAGE_WORK, this.#clock.elapsed());
    await this.#state.hosts.turn(host);
  }

  #replyPage(
    exchange: Exchange,
    view: View,
    about: { status?: number; headers?: Record<string, string>; live?: string; query?: string },
  ): void {
    const { status = 200, headers = {}, live, query = "" } = about;
    const at = exchange.header("host") ?? "";
    const isSelf = /^(?:localhost|127\.|\[::1\])/.test(at);
    const qr = status !== 200 || isSelf ? undefined : this.#tools.qr(`http://${at}/`);
    const page = wholePage(view, { site: this.#state.setup.name, live, query, qr });
    exchange.reply(status, { ...HEADERS, ...headers, "content-type": HTML_TYPE }, page);
  }

  // -------------------------------------------------------------- pages

  async #view(url: URL, seer: Seer, host: Host): Promise<View> {
    const [, kind = "", id = "", ...more] = url.pathname.split("/");
    if (more.length === 0) {
      if (url.pathname === "/") return this.#found(url, seer, host);
      if (kind === "peers" && id === "") return this.#people(url, seer, host);
      if (kind === "peer") return this.#person(id, seer, host);
      if (kind === "content") return this.#content(id, seer, host);
    }
    throw new NoPage(404, "No such page", "There is no such page here.");
  }

  async #found(url: URL, seer: Seer, host: Host): Promise<View> {
    const { catalog, clock } = this.#state;
    const query = queryOf(url);
    const offset = fromOf(url);
    const words = query.split(/\s+/).filter((word) => word !== "");
    const { records, total } = await this.#search({ words, offset }, seer, host);
    this.#charge(host, records.length);
    const plots = {
      peers: this.#history.of("peers"),
      downloads: this.#history.of("downloads"),
      now: clock.elapsed(),
      span: HISTORY_MS,
    };
    const { peers, files } = catalog;
    return foundPage({ query, records, total, offset, size: PAGE, peers, files, plots, now: clock.at() });
  }

  async #search(
    { words, offset }: { words: string[]; offset: number },
    seer: Seer,
    host: Host,
  ): Promise<{ records: FileRecord[]; total: number }> {
    const { clock, catalog, hosts } = this.#state;
    const found = { lines: [] as string[], total: 0 };
    const steps = function* (): Steps {
      Object.assign(found, yield* catalog.find({ words, offset, limit: PAGE, group: true }, seer));
      return { verb: "NOT FOUND" };
    };
    if (host.isSearching || !host.searches.mayWork(clock.elapsed())) {
      throw new NoPage(429, "Too many searches", "Much was searched for from this address. Try again in a moment.");
    }
    const search = new LongSearch(steps(), host, clock);
    try {
      for (;;) {
        const { work, answer } = search.goOn(SLICE_MS);
        host.searches.charge(work, clock.elapsed());
        if (answer !== undefined) break;
        await hosts.turn(host);
      }
    } catch (error) {
      if (error instanceof ProtocolError) throw new NoPage(400, "This cannot be searched for", error.message);
      throw error;
    } finally {
      search.end();
    }
    return { records: found.lines.map((line) => parseRecord(line)), total: found.total };
  }

  #people(url: URL, seer: Seer, host: Host): View {
    const { catalog } = this.#state;
    const offset = fromOf(url);
    const people = catalog.who({ offset, limit: PAGE }, seer);
    this.#charge(host, people.length);
    return peersPage(people, { total: catalog.peers, offset, size: PAGE });
  }

  #person(id: string, seer: Seer, host: Host): View {
    const { catalog, clock } = this.#state;
    const member = catalog.member(id);
    if (member === undefined) throw new NoPage(404, "Not online", "This person is not online.");
    const records = catalog.list(id, { offset: 0, limit: MOST_HOLDERS }, seer).map((line) => parseRecord(line));
    this.#charge(host, records.length);
    const { address, port, agent, name, reach } = member;
    const since = new Date(member.since).toISOString();
    const bytes = records.reduce((sum, { size }) => sum + size, 0);
    return peerPage({ id, address, port, agent, name, reach, since, files: records.length, bytes }, records, clock.at());
  }

  #content(rootText: string, seer: Seer, host: Host): View {
    const { catalog, clock } = this.#state;
    const root = parseRoot(rootText);
    const found = catalog.holders(root ?? "", { offset: 0, limit: MOST_HOLDERS }, seer).map((line) => parseRecord(line));
    this.#charge(host, found.length);
    const [record] = found;
    if (root === undefined || record === undefined)
      throw new NoPage(404, "Not here", "Nobody online has this file at the moment.");
    const records = found.filter((one) => contentKeyOf(one) === contentKeyOf(record));
    const names = records.map((one) => one.by ?? formatEndpoint(one));
    const named = catalog.peers <= MOST_NAMED ? catalog.who({ offset: 0, limit: MOST_NAMED }, seer) : [];
    const all = new Set([...names, ...named.map((peer) => peer.name ?? formatEndpoint(peer))]);
    const holdings = records.map((one, at) => ({ person: names[at] ?? "", record: one }));
    const people = whoHas([...all], holdings, contentKeyOf).flatMap((content) => content.people);
    const mayGet = this.#tools.guests && catalog.forGuests(root, seer).length > 0;
    const download = mayGet ? `/get/${root}/${encodeURIComponent(record.name)}` : undefined;
    return contentPage({ record, people, online: catalog.peers, download, now: clock.at() });
  }

  #charge(host: Host, rows: number): void {
    host.work.charge(rows / ROWS_A_REQUEST, this.#clock.elapsed());
  }

  // -------------------------------------------------------------- live pages, downloads and numbers

  #follow(exchange: Exchange, url: URL, host: Host): void {
    const page = urlOf(url.pathname.slice("/live".length) + url.search, url.origin);
    const seer = seerOf(exchange);
    const body = exchange.begin(200, { ...HEADERS, "content-type": "text/event-stream" });
    if (exchange.method === "HEAD") {
      body.end();
      return;
    }
    const { address } = exchange.channel.remote;
    this.#state.hosts.enter(address);
    body.whenOver(() => this.#state.hosts.leave(address, host));
    const make = async () => {
      // A page of a host that asks too much stays as it is for a while.
      if (!host.work.mayWork(this.#clock.elapsed())) return undefined;
      host.work.charge(PAGE_WORK, this.#clock.elapsed());
      await this.#state.hosts.turn(host);
      try {
        return (await this.#view(page, seer, host)).body.text;
      } catch (error) {
        return error instanceof NoPage && error.status !== 429 ? messagePage(error.title, error.message).body.text : undefined;
      }
    };
    const key = `${page.pathname}${page.search} ${seer.via} ${seer.address.includes(":")}`;
    if (!this.#live.follow(key, { host: hostOf(address), make, body })) body.end();
  }

  /** Sends a guest to a holder, with a ticket for this content from this address. */
  #sendToHolder(exchange: Exchange, pathname: string): void {
    const [, , rootText = "", name = ""] = pathname.split("/");
    const { catalog, setup } = this.#state;
    const { remote, local } = exchange.channel;
    if (!this.#tools.guests)
      throw new NoPage(403, "No downloads here", "This tracker's page shows files only. Fetch them with ft-peer.");
    const root = parseRoot(rootText) ?? "";
    const holders = catalog.forGuests(root, seerOf(exchange));
    const holder = holders[Math.floor(this.#tools.random() * holders.length)];
    if (holder === undefined) {
      throw new NoPage(
        404,
        "Not here",
        "Nobody who serves guests has this file at the moment. Try again later, or use ft-peer.",
      );
    }
    const ticket = setup.credentials.ticketFor(root, { remote, local });
    const location = `http://${formatEndpoint(holder)}/get/${root}/${name}?t=${ticket}`;
    exchange.reply(302, { ...HEADERS, location, "content-type": "text/plain" }, `${location}\n`);
  }

  #metrics(): string {
    const { peers, files, bytes, connections, refused, memory } = this.#tools.summary();
    return formatMetrics({
      peers,
      records: files,
      bytesShared: bytes,
      connections,
      requests: this.#state.requests,
      refused,
      find: this.#state.findTimes,
      program: { ...this.#tools.usage(), residentBytes: memory },
    });
  }
}

/** How a browser is told about peers. */
function seerOf({ channel }: Exchange): Seer {
  return { address: channel.remote.address, via: channel.local.address, extras: true, knowsNames: true };
}

/** `[fe80::1]:1234` → `fe80::1`, `LAB.local:1234` → `lab.local` */
function hostNameOf(header: string): string {
  const at = parseEndpoint(header);
  return (
    at?.address ??
    header
      .replace(/:\d*$/, "")
      .replace(/^\[(.*)\]$/, "$1")
      .toLowerCase()
  );
}

/** The URL of a target. A path may begin with two slashes, which is no name of a computer: `//x/y` is a path here. */
function urlOf(target: string, site: string): URL {
  try {
    return new URL(target.startsWith("/") ? site + target : target);
  } catch {
    throw new NoPage(400, "No such page", "The address of this page cannot be read.");
  }
}

function queryOf(url: URL): string {
  return (url.searchParams.get("q") ?? "").trim().slice(0, QUERY_LIMIT);
}

function fromOf(url: URL): number {
  return parseWhole(url.searchParams.get("from") ?? "") ?? 0;
}
