// Keeps the list of the search line: asks the tracker while the person types, and knows which files are this peer's own.

import { sentenceOf } from "../../../error.ts";
import { contentKeyOf } from "../../../protocol/folder.ts";
import type { Wish } from "../../../protocol/messages.ts";
import { type FileRecord, modifiedOf, NAME_LIMIT } from "../../../protocol/record.ts";
import { nameArgument } from "../../arguments.ts";
import { latestDate, rankContents } from "../../download/contents.ts";
import type { Session } from "../../online/session.ts";
import { fit } from "../columns.ts";
import { contentTable } from "../view.ts";

/** The tracker is asked when the person has not typed for this time. Milliseconds. */
const TYPING_MS = 120;
/** A list that one screen shows is asked for again after this time, because files come and go; another short list later. Milliseconds. */
const AGAIN_MS = { screen: 3_000, short: 10_000 };
/** The most contents of a list that one screen shows. */
const SCREEN_LIST = 50;
/** A list of more contents is not asked for again by itself. */
const SHORT_LIST = 200;
/** The most contents that are asked for: of all, and of those that fit some words. */
const MOST = { all: 500, found: 100 };
/** Behind the lines of own files. */
const OWN = "  yours";

/** A content in the list. */
export interface Found {
  /** One record stands for all holders. */
  record: FileRecord;
  /** This peer shares it. */
  own: boolean;
  /** Only this file or folder of a folder is wanted, with its size in bytes. */
  inside?: { path: string; size: number };
}

/** The requests that a finder makes. */
type FinderSession = Pick<Session, "online" | "standing"> &
  Partial<Pick<Session, "whyOffline">> & {
    readonly requests: Pick<Session["requests"], "find" | "search">;
  };

interface FinderTools {
  session: FinderSession;
  isOwn(record: FileRecord): boolean;
  /** Draws the list again. */
  changed(): void;
  after(ms: number, act: () => void): () => void;
  /** Milliseconds since 1970. */
  now(): number;
}

export class Finder {
  readonly #tools: FinderTools;
  #rows: Found[] = [];
  #remark = "";
  /** The text whose answer is in the list, and the text that was asked for last. */
  #shown: string | undefined;
  #asked: string | undefined;
  #cancel = () => {};

  constructor(tools: FinderTools) {
    this.#tools = tools;
  }

  /** An FT/1 tracker knows exact names only: it is asked for them when the person has typed one. */
  get exact(): boolean {
    return this.#tools.session.standing?.profile === 1;
  }

  /** The list for a text, as far as it is known. Asks the tracker when it is for another text. */
  look(typed: string): { rows: Found[]; remark: string } {
    if (this.exact) {
      const remark = typed === "" ? "" : "Enter asks the tracker for this name.";
      return this.#shown === typed ? this.#list() : { rows: [], remark };
    }
    if (typed !== this.#asked) {
      this.#asked = typed;
      this.#later(TYPING_MS, typed);
    }
    return this.#list();
  }

  #list() {
    const { online, whyOffline = "The tracker is unreachable; trying again." } = this.#tools.session;
    const away = online ? "" : whyOffline;
    return { rows: this.#rows, remark: this.#remark || away };
  }

  /** Enter: true when the tracker is asked now, so that there is nothing to fetch yet. */
  enter(typed: string): boolean {
    if (!this.exact || typed === "" || typed === this.#shown) return false;
    void this.ask(typed);
    return true;
  }

  /** Whether the list is the one for this text. With a tracker of FT/1 there is none before Enter. */
  isCurrent(typed: string): boolean {
    return this.exact || typed === this.#shown;
  }

  /** Whether it is known that nobody has a file for the typed text, and somebody could have one. */
  isNone(typed: string): boolean {
    return (
      typed.trim() !== "" &&
      Buffer.byteLength(typed) <= NAME_LIMIT &&
      typed === this.#shown &&
      this.#rows.length === 0 &&
      this.#tools.session.online
    );
  }

  /** Something has changed: asks again soon, or only looks again which files are own ones. */
  again(): void {
    if (!this.exact) {
      this.#later(TYPING_MS, this.#asked ?? "");
      return;
    }
    this.#rows = this.#rows.map(({ record }) => ({ record, own: this.#tools.isOwn(record) }));
    this.#tools.changed();
  }

  stop(): void {
    this.#cancel();
  }

  /** Asks the tracker. Never fails: the list says what went wrong. */
  async ask(typed: string): Promise<void> {
    this.#cancel();
    this.#asked = typed;
    const found = await this.#find(typed).catch((error: unknown) => ({ records: [], total: 0, failed: sentenceOf(error) }));
    // The person typed more meanwhile: this answer is old.
    if (typed !== this.#asked) return;
    const { records, total } = found;
    this.#shown = typed;
    const rows = records.map((record) => ({ record, own: this.#tools.isOwn(record) }));
    // With nothing typed, nobody looks for own files.
    this.#rows = typed === "" ? [...rows.filter(({ own }) => !own), ...rows.filter(({ own }) => own)] : rows;
    const more = total - records.length;
    const none = typed === "" ? "Nobody shares a file yet." : "No matches.";
    this.#remark = "failed" in found ? found.failed : records.length === 0 ? none : more > 0 ? `… and ${more} more` : "";
    if (!this.exact && total <= SHORT_LIST) this.#later(total <= SCREEN_LIST ? AGAIN_MS.screen : AGAIN_MS.short, typed);
    this.#tools.changed();
  }

  #later(ms: number, typed: string): void {
    this.#cancel();
    this.#cancel = this.#tools.after(ms, () => void this.ask(typed));
  }

  async #find(typed: string): Promise<{ records: FileRecord[]; total: number }> {
    const { requests } = this.#tools.session;
    if (this.exact) {
      const records = typed === "" ? [] : await requests.search(nameArgument(typed));
      const contents = rankContents(records, this.#tools.now());
      return { records: contents.map(({ records: [first], hosts }) => ({ ...first, holders: hosts })), total: contents.length };
    }
    if (Buffer.byteLength(typed) > NAME_LIMIT) return { records: [], total: 0 };
    const words = typed.split(/\s+/).filter((word) => word !== "");
    const wish: Wish = { words, group: true, offset: 0, limit: words.length === 0 ? MOST.all : MOST.found };
    if (words.length > 0) return await requests.find(wish);
    // A filter that every file fits stands for no words.
    const all = await requests.find({ ...wish, min: 0 });
    return { ...all, records: this.#newestFirst(all.records) };
  }

  #newestFirst(records: FileRecord[]): FileRecord[] {
    const latest = latestDate(this.#tools.now());
    const date = (record: FileRecord) => (modifiedOf(record) > latest ? "" : modifiedOf(record));
    return records.toSorted((a, b) => date(b).localeCompare(date(a)));
  }
}

/** The contents as lines with a title. */
export function layFound(rows: Found[], width: number): { title: string; lines: string[] } {
  const room = rows.some(({ own }) => own) ? width - OWN.length : width;
  const records = rows.map(({ record }) => record);
  const [title = "", ...lines] = contentTable(records, room);
  return { title, lines: lines.map((line, i) => fit(line + (rows[i]?.own ? OWN : ""), width)) };
}

/** Tells the contents of a list apart. */
export function keyOfFound({ record }: Found): string {
  const { name, size, address, port } = record;
  return contentKeyOf(record) ?? `${name} ${size} ${address} ${port}`;
}
