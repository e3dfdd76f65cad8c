// Sets of numbers, as a search index needs them: small ones as lists, large ones as bits.

/** Signed, so that a word is always a small integer to the engine. */
export type Bits = Int32Array;

/** A set of numbers: one, a sorted list, or bits when they are many. */
export class Posting {
  count = 0;
  #only = 0;
  #list: Uint32Array | undefined;
  #bits: Bits | undefined;

  /** `words`: how many words of bits the greatest number needs. */
  add(id: number, words: number): void {
    if (this.#bits !== undefined) {
      if (id >>> 5 >= this.#bits.length)
        this.#bits = widened(this.#bits, Math.max(words, Math.ceil(this.#bits.length * 1.125)));
      setBit(this.#bits, id);
      this.count += 1;
      return;
    }
    if (this.count === 0) {
      this.#only = id;
      this.count = 1;
      return;
    }
    let list = this.#list;
    if (list === undefined) {
      list = new Uint32Array(2);
      list[0] = this.#only;
    } else if (this.count === list.length) list = resized(list, Math.ceil(list.length * 1.5));
    this.#list = list;
    if ((list[this.count - 1] ?? 0) < id) list[this.count] = id;
    else {
      const at = placeOf(list, this.count, id);
      list.copyWithin(at + 1, at, this.count);
      list[at] = id;
    }
    this.count += 1;
    if (this.count > Math.max(512, words / 8)) {
      this.#bits = new Int32Array(Math.max(words, ((list[this.count - 1] ?? 0) >>> 5) + 1));
      this.addTo(this.#bits);
      this.#list = undefined;
    }
  }

  /** The number must be in the set. */
  delete(id: number): void {
    this.count -= 1;
    const bits = this.#bits;
    if (bits !== undefined) {
      clearBit(bits, id);
      if (this.count < Math.max(128, bits.length / 32)) {
        const list = new Uint32Array(this.count + 16);
        let at = 0;
        eachOf(bits, (one) => {
          list[at++] = one;
        });
        this.#list = list;
        this.#bits = undefined;
      }
      return;
    }
    const list = this.#list;
    if (list === undefined) return;
    const at = placeOf(list, this.count + 1, id);
    list.copyWithin(at, at + 1, this.count + 1);
    if (this.count === 1) {
      this.#only = list[0] ?? 0;
      this.#list = undefined;
    } else if (this.count < list.length / 3) this.#list = list.slice(0, this.count + 1);
  }

  each(visit: (id: number) => void): void {
    if (this.#bits !== undefined) eachOf(this.#bits, visit);
    else if (this.#list === undefined) {
      if (this.count > 0) visit(this.#only);
    } else for (let i = 0; i < this.count; i++) visit(this.#list[i] ?? 0);
  }

  addTo(target: Bits): void {
    const bits = this.#bits;
    if (this.#list !== undefined) {
      const list = this.#list;
      for (let i = 0; i < this.count; i++) {
        const id = list[i] ?? 0;
        target[id >>> 5] = (target[id >>> 5] ?? 0) | (1 << (id & 31));
      }
    } else if (bits !== undefined) {
      // It may have room for more than there is.
      const length = Math.min(bits.length, target.length);
      for (let i = 0; i < length; i++) target[i] = (target[i] ?? 0) | (bits[i] ?? 0);
    } else if (this.count > 0) target[this.#only >>> 5] = (target[this.#only >>> 5] ?? 0) | (1 << (this.#only & 31));
  }
}

function resized(from: Uint32Array, length: number): Uint32Array {
  const to = new Uint32Array(length);
  to.set(from);
  return to;
}

function widened(from: Bits, length: number): Bits {
  const to = new Int32Array(length);
  to.set(from);
  return to;
}

/** Where a number stands, or would stand, in the first `count` of a sorted list. */
function placeOf(list: Uint32Array, count: number, id: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] ?? 0) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Visits the numbers of a set of bits. */
export function eachOf(bits: Bits, visit: (id: number) => void): void {
  for (let i = 0; i < bits.length; i++) {
    for (let word = bits[i] ?? 0; word !== 0; word &= word - 1) visit(i * 32 + 31 - Math.clz32(word & -word));
  }
}

/** Keeps of a set what is in another one. */
export function keepIn(bits: Bits, other: Bits): void {
  for (let w = 0; w < bits.length; w++) bits[w] = (bits[w] ?? 0) & (other[w] ?? 0);
}

/** Keeps of a set what is not in another one. */
export function keepOut(bits: Bits, other: Bits): void {
  for (let w = 0; w < bits.length; w++) bits[w] = (bits[w] ?? 0) & ~(other[w] ?? 0);
}

/** Adds another set to one. */
export function unite(bits: Bits, other: Bits): void {
  for (let w = 0; w < bits.length; w++) bits[w] = (bits[w] ?? 0) | (other[w] ?? 0);
}

/** How many bits are set; stops counting above `most`. */
export function countOf(bits: Bits, most: number): number {
  let count = 0;
  for (let i = 0; i < bits.length && count <= most; i++) count += bitCount(bits[i] ?? 0);
  return count;
}

/** How many bits of a word are set. */
export function bitCount(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Puts a number into a set of bits. */
export function setBit(bits: Bits, id: number): void {
  bits[id >>> 5] = (bits[id >>> 5] ?? 0) | (1 << (id & 31));
}

/** Takes a number out of a set of bits. */
export function clearBit(bits: Bits, id: number): void {
  bits[id >>> 5] = (bits[id >>> 5] ?? 0) & ~(1 << (id & 31));
}

/** The set of a key, made when there is none. */
export function postingOf<Key>(index: Map<Key, Posting>, key: Key): Posting {
  const there = index.get(key);
  if (there !== undefined) return there;
  const made = new Posting();
  index.set(key, made);
  return made;
}

/** Takes a number out of the set of a key, and the set away with its last one. */
export function removeFrom<Key>(index: Map<Key, Posting>, key: Key, id: number): void {
  const there = index.get(key);
  there?.delete(id);
  if (there?.count === 0) index.delete(key);
}
