// Makes a peer's requests to its tracker: searches, lists, and changes of its own records. Asks page by page where an answer is long.

import type { Clock } from "../../clock.ts";
import { FtError } from "../../error.ts";
import { type Address, formatEndpoint } from "../../protocol/address.ts";
import type { CallBack, Offer, Page, PeerLine, Profile, Watch, Wish } from "../../protocol/messages.ts";
import { RESULTS_DEFAULT } from "../../protocol/numbers.ts";
import type { FileName, FileRecord } from "../../protocol/record.ts";
import { encodeToTracker } from "../../protocol/write.ts";
import { type Reply, unexpected } from "./tracker-connection.ts";

/** The most entries that are read of a tracker's list. Files or peers. */
const LONGEST_LIST = 100_000;
/** The longest time for reading a list. Milliseconds. */
const LONGEST_LIST_MS = 60_000;

interface RequestTools {
  /** The profile that the tracker speaks. Waits a moment for a tracker that is away, and then fails with a sentence. */
  ready(): Promise<Profile>;
  /** The profile of the tracker that this peer is online at; undefined while it is away. */
  profile(): Profile | undefined;
  /** Sends a request and gives its reply. An `ERROR` is thrown as a sentence, unless `mayRefuse`. */
  ask(request: string, how?: { mayRefuse: boolean }): Promise<Reply>;
  /** The most records that the tracker gives in one answer. */
  pageSize(): number;
  /** The tracker's address, for sentences. */
  where(): string;
  /** Asks an FT/1 tracker for an exact file name. */
  searchBasic(name: FileName): Promise<FileRecord[]>;
  /** Whether the tracker takes a record that is to be added to this peer's list. */
  takes(record: FileRecord): boolean;
  /** The tracker has taken a record off this peer's list. */
  dropped(name: FileName): void;
  /** Tells a person that this number of entries of an answer could not be read. */
  unread(count: number): void;
  clock: Clock;
}

/** A page of an answer; `unread`: entries of it that could not be read. */
interface Answer<Item> {
  items: Item[];
  unread?: number | undefined;
  /** The number of all entries, if the tracker says it. */
  total?: number | undefined;
}

export class TrackerRequests {
  readonly #tools: RequestTools;

  constructor(tools: RequestTools) {
    this.#tools = tools;
  }

  /** Records for an exact file name. */
  async search(name: FileName): Promise<FileRecord[]> {
    if ((await this.#tools.ready()) === 1) return this.#tools.searchBasic(name);
    const { items, unread = 0 } = answerOf(await this.#tools.ask(encodeToTracker({ verb: "SEARCH", name })));
    if (unread > 0) this.#tools.unread(unread);
    return items;
  }

  /** Every record, or every record of one peer. */
  list(id?: string): Promise<FileRecord[]> {
    return this.#listAll(id === undefined ? {} : { id });
  }

  /** The records of the holder of a record. */
  async ofHolder({ address, port, peer }: Pick<FileRecord, "address" | "port" | "peer">): Promise<FileRecord[]> {
    const ids = (await this.who()).filter((one) =>
      peer === undefined ? one.address === address && one.port === port : one.id === peer,
    );
    return (await Promise.all(ids.map(({ id }) => this.list(id)))).flat();
  }

  /** The name of the peer with this id; undefined when it has none, or while the tracker is away. */
  async nameOf(id: string): Promise<string | undefined> {
    if (this.#tools.profile() !== 2) return undefined;
    const { items } = answerOf(await this.#tools.ask(encodeToTracker({ verb: "LIST", id, offset: 0, limit: 1 })));
    return items[0]?.by;
  }

  /** All records with this content id, under any file name. */
  async holders(root: string): Promise<FileRecord[]> {
    // A tracker that does not know `root=` gives everything.
    return (await this.#listAll({ root })).filter((record) => record.root === root);
  }

  /** One page of the records that fit words and filters, best first, and how many fit in all. */
  async find(wish: Wish): Promise<{ records: FileRecord[]; total: number }> {
    const { items, unread = 0, total } = await this.#findPage(wish);
    if (unread > 0) this.#tools.unread(unread);
    return { records: items, total: total ?? wish.offset + items.length };
  }

  async #findPage(wish: Wish): Promise<Answer<FileRecord>> {
    await this.#needFull("find files by words");
    const limit = Math.min(wish.limit, this.#tools.pageSize());
    return answerOf(await this.#tools.ask(encodeToTracker({ verb: "FIND", ...wish, limit })));
  }

  /** All records that fit words and filters. */
  findAll(wish: Omit<Wish, keyof Page>): Promise<FileRecord[]> {
    return this.#allPages((page) => this.#findPage({ ...wish, ...page }), recordKey);
  }

  /** All peers online. */
  async who(): Promise<PeerLine[]> {
    await this.#needFull("say who is online");
    const page = async (at: Page) => {
      const reply = await this.#tools.ask(encodeToTracker({ verb: "WHO", ...at }));
      return reply.verb === "PEERS" ? { items: reply.peers, unread: reply.unread } : unexpected(reply);
    };
    return this.#allPages(page, ({ id }) => id);
  }

  /** Asks the tracker to tell when a file appears. False when it does not know how, or speaks the basic protocol. */
  async watch(watch: Watch): Promise<boolean> {
    if ((await this.#tools.ready()) === 1) return false;
    return (await this.#tools.ask(encodeToTracker({ verb: "WATCH", ...watch }), { mayRefuse: true })).verb === "OK";
  }

  /** The tracker need not tell any more. Does nothing while it is away: it forgets by itself. */
  async unwatch(watch: string): Promise<void> {
    if (this.#tools.profile() === 2) await this.#tools.ask(encodeToTracker({ verb: "UNWATCH", watch }), { mayRefuse: true });
  }

  /** The records that fit a watch: up to a page of them. */
  async wanted({ name, root, words, group: _, ...filters }: Omit<Watch, "watch">): Promise<FileRecord[]> {
    if (name !== undefined) return await this.search(name);
    const isAnyOfIt = words.length === 0 && Object.values(filters).every((filter) => filter === undefined);
    if (root !== undefined && isAnyOfIt) return await this.holders(root);
    const page = { offset: 0, limit: RESULTS_DEFAULT };
    return (await this.find({ words, ...filters, root, group: true, ...page })).records;
  }

  /** Offers a content to others. Throws a sentence when the tracker does not take that. */
  async offer(offer: Offer): Promise<void> {
    await this.#needFull("hand out files");
    await this.#tools.ask(encodeToTracker({ verb: "OFFER", ...offer }));
  }

  /** Says that this peer's person does not want an offer. */
  async decline(offer: string): Promise<void> {
    await this.#tools.ask(encodeToTracker({ verb: "DECLINE", offer }), { mayRefuse: true });
  }

  /** The records that others offer to this peer. */
  offered(): Promise<FileRecord[]> {
    return this.#listAll({ offers: true }, ({ offer, root }) => `${offer} ${root}`);
  }

  /** Whether a peer at this address is online. A basic tracker cannot say: undefined. */
  async known(address: Address): Promise<boolean | undefined> {
    if (this.#tools.profile() === 1) return undefined;
    const reply = await this.#tools.ask(encodeToTracker({ verb: "KNOWN", address }));
    return reply.verb === "YES";
  }

  /**
   * Adds or replaces one of this peer's records. Does nothing when the list is full, or while the tracker is away: joining sends the whole
   * list.
   */
  async add(record: FileRecord): Promise<void> {
    if (this.#tools.profile() !== 2 || !this.#tools.takes(record)) return;
    await this.#tools.ask(encodeToTracker({ verb: "ADD", record }));
  }

  /** Removes one of this peer's records. False when the tracker refuses, because it is the last one. */
  async drop(name: FileName): Promise<boolean> {
    if (this.#tools.profile() !== 2) return true;
    const reply = await this.#tools.ask(encodeToTracker({ verb: "DROP", name }), { mayRefuse: true });
    if (reply.verb === "ERROR") return false;
    this.#tools.dropped(name);
    return true;
  }

  /** Asks for a connection from a holder. False when the tracker does not know the holder, or cannot pass this on. */
  async connect({ address, port, token }: CallBack, id?: string): Promise<boolean> {
    if (this.#tools.profile() !== 2) return false;
    const request = encodeToTracker({ verb: "CONNECT", address, port, token, id });
    return (await this.#tools.ask(request, { mayRefuse: true })).verb === "OK";
  }

  async #listAll(what: { id?: string; root?: string; offers?: boolean }, key = recordKey): Promise<FileRecord[]> {
    await this.#needFull("list files");
    const page = async (at: Page) => answerOf(await this.#tools.ask(encodeToTracker({ verb: "LIST", ...what, ...at })));
    return this.#allPages(page, key);
  }

  /**
   * Asks until a page is not full, or the tracker's total is reached. A page that only repeats earlier items ends it too: the tracker
   * would never stop. Fails where the list has more items, or takes longer, than any list of a building.
   */
  async #allPages<Item>(ask: (page: Page) => Promise<Answer<Item>>, key: (item: Item) => string): Promise<Item[]> {
    const all = new Map<string, Item>();
    let left = 0;
    const until = this.#tools.clock.elapsed() + LONGEST_LIST_MS;
    for (let offset = 0; ; ) {
      const limit = this.#tools.pageSize();
      const { items, unread = 0, total = Number.POSITIVE_INFINITY } = await ask({ offset, limit });
      const before = all.size;
      for (const item of items) if (!all.has(key(item))) all.set(key(item), item);
      const count = items.length + unread;
      offset += count;
      left += unread;
      // A page of which nothing can be read may have others behind it.
      if (count !== limit || offset >= total || (all.size === before && unread < limit)) {
        if (left > 0) this.#tools.unread(left);
        return [...all.values()];
      }
      if (offset >= LONGEST_LIST) throw this.#tooLong(`has more than ${LONGEST_LIST} entries`);
      if (this.#tools.clock.elapsed() >= until) throw this.#tooLong(`has no end after ${LONGEST_LIST_MS / 1000} s`);
    }
  }

  #tooLong(how: string): FtError {
    const words = `The list of the tracker at "${this.#tools.where()}" ${how}. Ask for less: find with words, or search for an exact name.`;
    return new FtError("too-long", words);
  }

  async #needFull(what: string): Promise<void> {
    if ((await this.#tools.ready()) === 2) return;
    const words = `The tracker at "${this.#tools.where()}" speaks the basic protocol and cannot ${what}; search for an exact name instead.`;
    throw new FtError("basic-tracker", words);
  }
}

function recordKey(record: FileRecord): string {
  return `${formatEndpoint(record)} ${record.root ?? ""} ${record.name}`;
}

function answerOf(reply: Reply): Answer<FileRecord> {
  if (reply.verb === "NOT FOUND") return { items: [] };
  if (reply.verb !== "FOUND") return unexpected(reply);
  return { items: reply.records, unread: reply.unread, total: reply.total };
}
