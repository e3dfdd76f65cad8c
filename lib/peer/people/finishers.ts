// Finds out when a person who downloads from this peer has all of a file, and tells that once for each person. Much of the file may come
// from others, so the tracker is asked: a peer that has finished a file has a record of it.

import type { Clock } from "../../clock.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import type { PeerEvent } from "../events.ts";
import type { ServeEvent, Upload } from "../serve/types.ts";
import { isRecordOf } from "./find-peer.ts";

/** The tracker is asked this long after a turn has ended: the downloader's own record may come a moment later. Milliseconds. */
const FIRST_LOOK_MS = 500;
/** While somebody has not finished, the tracker is asked again after this time. Milliseconds. */
const NEXT_LOOK_MS = 3_000;
/** For each group of this number of people online, the time between two questions grows by NEXT_LOOK_MS: the answers get longer. */
const PEOPLE_A_WAIT = 200;
/** The most transfers that are followed, and the most that are remembered as told. */
const REMEMBERED = 2_000;

interface FinishersTools {
  /** The records of a content now. */
  holders(root: string): Promise<FileRecord[]>;
  /** Everybody online. */
  who(): Promise<PeerLine[]>;
  /** Whether this peer still fetches the content itself. Until it has all of it, the tracker is not asked who else has. */
  isFetching(root: string): boolean;
  report(event: PeerEvent): void;
  clock: Clock;
}

/** A person who has got something of a content from this peer. `sent`: the bytes of all turns. */
interface Follow {
  upload: Upload;
  root: string;
  sent: number;
}

export class Finishers {
  readonly #tools: FinishersTools;
  /** By person and content. */
  readonly #followed = new Map<string, Follow>();
  readonly #told = new Set<string>();
  /** The bytes that each downloader without an id has got of a content, by address and content. */
  readonly #counted = new Map<string, number>();
  #cancel: (() => void) | undefined;
  #looking = false;
  #stopped = false;

  constructor(tools: FinishersTools) {
    this.#tools = tools;
  }

  /** Takes in an event of serving. */
  hear(event: ServeEvent): void {
    if (event.event !== "upload-ended") return;
    const { upload } = event;
    const { id, root } = upload;
    if (id === undefined) this.#count(upload);
    if (id === undefined || root === undefined) return;
    const key = `${id} ${root}`;
    if (this.#told.has(key)) return;
    const before = this.#followed.get(key);
    if (before === undefined && this.#followed.size >= REMEMBERED) return;
    this.#followed.set(key, { upload, root, sent: (before?.sent ?? 0) + upload.sent });
    this.#lookIn(FIRST_LOOK_MS);
  }

  /** Browsers and FT/1 downloaders have all when they have got all from here: no tracker can say who has it. */
  #count(upload: Upload): void {
    const { to, root, whole, sent } = upload;
    const key = `${to.address} ${root ?? ""} ${whole.name}`;
    if (this.#told.has(key)) return;
    const all = (this.#counted.get(key) ?? 0) + sent;
    this.#counted.delete(key);
    if (all >= whole.size) {
      this.#tell(key, { event: "has-all", upload: { ...upload, name: whole.name } });
      return;
    }
    const [oldest] = this.#counted.keys();
    if (this.#counted.size >= REMEMBERED && oldest !== undefined) this.#counted.delete(oldest);
    this.#counted.set(key, all);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #lookIn(wait: number): void {
    if (this.#stopped || this.#looking || this.#cancel !== undefined) return;
    this.#cancel = this.#tools.clock.after(wait, () => {
      this.#cancel = undefined;
      this.#looking = true;
      // While the tracker is away nothing is known; it is asked again later.
      void this.#look()
        .catch(() => 0)
        .then((people) => {
          this.#looking = false;
          if (this.#followed.size > 0) this.#lookIn(NEXT_LOOK_MS * (1 + Math.floor(people / PEOPLE_A_WAIT)));
        });
    });
  }

  /** Gives the number of people online. */
  async #look(): Promise<number> {
    const { holders, who, isFetching } = this.#tools;
    const followed = Iterator.from(this.#followed.values()).map(({ root }) => root);
    const roots = new Set(followed.filter((root) => !isFetching(root)));
    if (roots.size === 0) return 0;
    const people = await who();
    for (const root of roots) {
      const records = await holders(root);
      for (const [key, follow] of this.#followed) if (follow.root === root) this.#judge(key, follow, records, people);
    }
    return people.length;
  }

  #judge(key: string, { upload, sent }: Follow, records: FileRecord[], people: PeerLine[]): void {
    const person = people.find(({ id }) => id === upload.id);
    const whole = records.filter(({ part }) => !part);
    if (person === undefined) {
      // A person who has left has no record. With all bytes from here it has the file; nothing is known of the others.
      this.#followed.delete(key);
      const size = records[0] === undefined ? Number.POSITIVE_INFINITY : records[0].size + (records[0].list ?? 0);
      if (sent >= size) this.#tell(key, { event: "has-all", upload });
    } else if (whole.some((record) => isRecordOf(record, person))) {
      this.#followed.delete(key);
      const has = people.filter((one) => whole.some((record) => isRecordOf(record, one))).length;
      this.#tell(key, { event: "has-all", upload: { ...upload, by: person.name }, has, online: people.length });
    }
  }

  #tell(key: string, event: Extract<PeerEvent, { event: "has-all" }>): void {
    if (this.#stopped) return;
    if (this.#told.size >= REMEMBERED) this.#told.clear();
    this.#told.add(key);
    this.#tools.report(event);
  }
}
