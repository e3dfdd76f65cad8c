// Divides computing time between hosts: runs the jobs of downloaders, long ones in steps. A host that has used more than its share waits.
// It knows no requests.

import type { Clock } from "../../clock.ts";

/** After work of this time, timers and connections get their turn. Milliseconds. */
const TURN_MS = 3;
/** A computation is done in steps of this length. Milliseconds. */
const STEP_MS = 1;
/** The part of the time that one host may use while others are served. 0.25 is one quarter. */
const SHARE = 0.25;
/** The burst: after a pause, a host may use this time at once. Milliseconds. */
const BURST_MS = 250;
/** A host that worked while it was alone owes no more than this when others come. Milliseconds. */
const MOST_DEBT_MS = 1_000;
/** The cost of a request besides the time that is measured here. Milliseconds. */
const REQUEST_MS = 0.1;
/** A host that has used its share is looked at again after this time. Milliseconds. */
const LOOK_AGAIN_MS = 10;
/** Above this number of hosts, the hosts without work and debt are forgotten. */
const HOSTS_KEPT = 256;

interface HostWork {
  /** Time that the host has used above its share, at the time `at`. Milliseconds. */
  debt: number;
  at: number;
  readonly jobs: (() => void)[];
}

export class Work {
  readonly #clock: Clock;
  readonly #isShared: (host: string) => boolean;
  readonly #hosts = new Map<string, HostWork>();
  /** Hosts whose jobs wait; the next one is first. */
  readonly #waiting = new Set<string>();
  /** Time used since other events had their turn. Milliseconds. */
  #used = 0;
  #cancelLook: (() => void) | undefined;

  /** `isShared` says whether other hosts than this one are served now. While it is alone, a host may use all the time. */
  constructor(clock: Clock, isShared: (host: string) => boolean) {
    this.#clock = clock;
    this.#isShared = isShared;
  }

  /** Does a short job for a host, at once if it can. */
  do<Result>(host: string, job: () => Result | Promise<Result>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#of(host).jobs.push(() => {
      try {
        resolve(job());
      } catch (error) {
        reject(error);
      }
    });
    this.#waiting.add(host);
    this.#run();
    return promise;
  }

  /** Does a long computation for a host, step by step. */
  async steps<Result>(host: string, computation: Generator<void, Result>): Promise<Result> {
    for (;;) {
      const { done, value } = await this.do(host, () => {
        const began = this.#clock.elapsed();
        let step = computation.next();
        while (!step.done && this.#clock.elapsed() - began < STEP_MS) step = computation.next();
        return step;
      });
      if (done) return value;
    }
  }

  /** One job of each host, again and again, until the turn is over or all hosts that wait have used their share. */
  #run(): void {
    for (const host of this.#waiting) {
      if (this.#used >= TURN_MS) break;
      const work = this.#of(host);
      if (work.debt >= BURST_MS && this.#isShared(host)) continue;
      // A host that is added again comes after all others.
      this.#waiting.delete(host);
      const began = this.#clock.elapsed();
      work.jobs.shift()?.();
      const cost = this.#clock.elapsed() - began + REQUEST_MS;
      work.debt = Math.min(MOST_DEBT_MS, work.debt + cost);
      if (this.#used === 0) {
        this.#clock.soon(() => {
          this.#used = 0;
          this.#run();
        });
      }
      this.#used += cost;
      if (work.jobs.length > 0) this.#waiting.add(host);
    }
    if (this.#waiting.size === 0 || this.#used > 0 || this.#cancelLook !== undefined) return;
    this.#cancelLook = this.#clock.after(LOOK_AGAIN_MS, () => {
      this.#cancelLook = undefined;
      this.#run();
    });
  }

  #of(host: string): HostWork {
    const now = this.#clock.elapsed();
    const known = this.#hosts.get(host);
    if (known !== undefined) {
      known.debt = Math.max(0, known.debt - (now - known.at) * SHARE);
      known.at = now;
      return known;
    }
    if (this.#hosts.size >= HOSTS_KEPT) {
      for (const [other, { debt, at, jobs }] of this.#hosts) {
        if (jobs.length === 0 && debt <= (now - at) * SHARE) this.#hosts.delete(other);
      }
    }
    const work = { debt: 0, at: now, jobs: [] };
    this.#hosts.set(host, work);
    return work;
  }
}
