// The search index as a test sees it: of records instead of their numbers, with the twins that the catalogue would name.

import { type Findable, FindIndex, type FindWish } from "../../lib/tracker/search/find.ts";

export interface Item extends Findable {
  readonly root: string | undefined;
}

export interface Content {
  items: Item[];
  holders: number;
}

export class OldFinder {
  readonly #index = new FindIndex();
  readonly #ids = new Map<Item, number>();
  readonly #items: (Item | undefined)[] = [];
  readonly #free: number[] = [];
  /** By root and size. */
  readonly #contents = new Map<string, Set<number>>();

  add(item: Item): void {
    if (this.#ids.has(item)) return;
    const id = this.#free.pop() ?? this.#items.length;
    this.#items[id] = item;
    this.#ids.set(item, id);
    if (item.root === undefined) {
      this.#index.add(id, item, undefined);
      return;
    }
    const key = `${item.root} ${item.size}`;
    const twins = this.#contents.get(key) ?? new Set();
    const [twin = -1] = twins;
    this.#index.add(id, item, twin);
    this.#contents.set(key, twins.add(id));
  }

  remove(item: Item): void {
    const id = this.#ids.get(item);
    if (id === undefined) return;
    this.#index.remove(id);
    this.#ids.delete(item);
    this.#items[id] = undefined;
    this.#free.push(id);
    const key = `${item.root} ${item.size}`;
    const twins = this.#contents.get(key);
    twins?.delete(id);
    if (twins?.size === 0) this.#contents.delete(key);
  }

  find(wish: FindWish): { contents: Content[]; total: number } {
    const among =
      wish.root === undefined ? undefined : [...this.#ids].flatMap(([{ root }, id]) => (root === wish.root ? [id] : []));
    const { contents, total } = this.#index.find(wish, among);
    const itemOf = (id: number): Item[] => [this.#items[id] ?? []].flat();
    return { contents: contents.map(({ items, holders }) => ({ items: items.flatMap(itemOf), holders })), total };
  }
}
