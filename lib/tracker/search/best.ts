// The best of many, without putting all of them in order.

/** The best so many of what it is shown, found with a heap whose top is the worst of them. */
export class Best {
  readonly #keys: number[] = [];
  readonly #slots: number[] = [];
  readonly #most: number;
  readonly #compare: (a: number, b: number) => number;
  /** A key below this one does not get in. */
  floor = -1;

  constructor(most: number, compare: (a: number, b: number) => number) {
    this.#most = most;
    this.#compare = compare;
  }

  #isBefore(aKey: number, a: number, bKey: number, b: number): boolean {
    if (aKey !== bKey) return aKey > bKey;
    return (this.#compare(a, b) || a - b) < 0;
  }

  offer(key: number, slot: number): void {
    const keys = this.#keys;
    const slots = this.#slots;
    if (keys.length < this.#most) {
      let at = keys.length;
      keys.push(key);
      slots.push(slot);
      for (let up = (at - 1) >> 1; at > 0 && this.#isBefore(keys[up] ?? 0, slots[up] ?? 0, key, slot); up = (at - 1) >> 1) {
        keys[at] = keys[up] ?? 0;
        slots[at] = slots[up] ?? 0;
        at = up;
      }
      keys[at] = key;
      slots[at] = slot;
    } else if (this.#most > 0 && this.#isBefore(key, slot, keys[0] ?? 0, slots[0] ?? 0)) this.#sink(key, slot);
    if (keys.length === this.#most) this.floor = keys[0] ?? Number.POSITIVE_INFINITY;
  }

  #sink(key: number, slot: number): void {
    const keys = this.#keys;
    const slots = this.#slots;
    let at = 0;
    for (;;) {
      let down = at * 2 + 1;
      if (down >= keys.length) break;
      const right = down + 1;
      if (right < keys.length && this.#isBefore(keys[down] ?? 0, slots[down] ?? 0, keys[right] ?? 0, slots[right] ?? 0))
        down = right;
      if (!this.#isBefore(key, slot, keys[down] ?? 0, slots[down] ?? 0)) break;
      keys[at] = keys[down] ?? 0;
      slots[at] = slots[down] ?? 0;
      at = down;
    }
    keys[at] = key;
    slots[at] = slot;
  }

  sorted(): number[] {
    const at = this.#keys.map((_, i) => i);
    const [keys, slots] = [this.#keys, this.#slots];
    at.sort((a, b) => (this.#isBefore(keys[a] ?? 0, slots[a] ?? 0, keys[b] ?? 0, slots[b] ?? 0) ? -1 : 1));
    return at.map((i) => slots[i] ?? 0);
  }
}
