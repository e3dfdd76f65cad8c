// Keeps things by name, in the order in which they came.
//
// A Map alone would be simpler. A Map of five takes 920 bytes and an array of five about 100, and most peers share a few files: a Map
// for each peer would be a tenth of the tracker's memory.

/** The most things that are kept in an array. To look through that number takes no longer than a Map. */
const FEW = 8;

export class NamedList<One extends { readonly name: string }> {
  #things: One[] | Map<string, One> = [];

  get size(): number {
    return Array.isArray(this.#things) ? this.#things.length : this.#things.size;
  }

  get(name: string): One | undefined {
    return Array.isArray(this.#things) ? this.#things.find((one) => one.name === name) : this.#things.get(name);
  }

  /** Adds something whose name is not here. */
  add(one: One): void {
    if (Array.isArray(this.#things) && this.#things.length === FEW) {
      this.#things = new Map(this.#things.map((each) => [each.name, each]));
    }
    if (Array.isArray(this.#things)) this.#things.push(one);
    else this.#things.set(one.name, one);
  }

  delete(name: string): void {
    if (Array.isArray(this.#things)) this.#things = this.#things.filter((one) => one.name !== name);
    else this.#things.delete(name);
  }

  /** All of them. The caller may delete while it goes through them. */
  values(): Iterable<One> {
    return this.#things.values();
  }
}
