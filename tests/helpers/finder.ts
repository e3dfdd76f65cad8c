// The search index as a test sees it: of plain items that it leaves as they are.

import type { Wish } from "../../lib/protocol/messages.ts";
import { find } from "../../lib/tracker/find.ts";
import { type Findable, FindIndex } from "../../lib/tracker/find-index.ts";

export interface Item {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly modified: string;
  readonly part: boolean;
  readonly root: string | undefined;
}

export interface Content {
  items: Item[];
  holders: number;
}

interface Shared extends Item, Findable<Shared> {
  readonly root: string | undefined;
  readonly part: boolean;
  readonly item: Item;
  readonly host: string;
}

export class Finder {
  readonly #index: FindIndex<Shared>;
  #hosts = 0;
  readonly #shared = new Map<Item, Shared>();

  constructor(now = () => Number.POSITIVE_INFINITY) {
    this.#index = new FindIndex<Shared>(({ host }) => host, now);
  }

  /** Each item is of a host of its own, unless the test says otherwise. */
  add(item: Item, of?: string): void {
    const host = of ?? `host ${++this.#hosts}`;
    const shared = this.#shared.get(item) ?? { ...item, item, host };
    this.#shared.set(item, shared);
    this.#index.add(shared);
  }

  remove(item: Item): void {
    const shared = this.#shared.get(item);
    if (shared !== undefined) this.#index.remove(shared);
    this.#shared.delete(item);
  }

  find(wish: Wish): { contents: Content[]; total: number } {
    const among = wish.root === undefined ? undefined : [...this.#shared.values()].filter(({ root }) => root === wish.root);
    const { contents, total } = toEnd(find(this.#index, wish, among));
    return { contents: contents.map(({ items, holders }) => ({ items: items.map(({ item }) => item), holders })), total };
  }
}

/** What steps come to, without the turns of others between them. */
export function toEnd<Result>(steps: Generator<undefined, Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
