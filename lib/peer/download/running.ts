// Remembers the downloads that are running.

/** Work that is under way. */
export class Running {
  readonly #work = new Set<Promise<unknown>>();

  /** Adds work until it ends, and gives it back. */
  add<Result>(work: Promise<Result>): Promise<Result> {
    this.#work.add(work);
    const ended = () => this.#work.delete(work);
    work.then(ended, ended);
    return work;
  }

  get any(): boolean {
    return this.#work.size > 0;
  }

  /** Resolves when everything that is running now has ended, well or not. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#work);
  }
}
