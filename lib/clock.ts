// Time as the engines see it. They are given a clock, so that tests can move the time by hand.

export interface Clock {
  /** The time of day: milliseconds since 1970. It jumps when somebody sets the computer's clock. */
  at(): number;
  /** Milliseconds since some fixed moment. Only differences mean something; setting the computer's clock does not change them. */
  elapsed(): number;
  /** Calls `act` once, after `ms` milliseconds. Gives a function that cancels it. */
  after(ms: number, act: () => void): () => void;
  /** Calls `act` as soon as other events that wait have had their turn. */
  soon(act: () => void): void;
}

/** The system's time. A timer that waits keeps the program running. */
export const systemClock: Clock = {
  at: Date.now,
  elapsed: () => performance.now(),
  after: (ms, act) => startTimer(ms, act, (timer) => timer),
  soon: (act) => {
    setImmediate(act);
  },
};

/** The system's time. A timer that waits does not keep the program running. */
export const quietClock: Clock = {
  ...systemClock,
  after: (ms, act) => startTimer(ms, act, (timer) => timer.unref()),
};

/**
 * A timer that is late by more than this tells that the program was stopped, or that the machine slept. So does such a gap between two calls
 * of `RunningTime.now`. Milliseconds.
 */
const STOPPED_MS = 2_000;
/** The longest further wait of a timer that is late because the program was stopped. Milliseconds. */
const AFTER_STOP_MS = 2_000;

/**
 * A timer. When the program was stopped (SIGSTOP, a sleeping machine), it waits a little longer: the answers that came meanwhile are
 * read first, so a deadline does not blame the other side for the time in which this program did not run.
 */
function startTimer(ms: number, act: () => void, keep: (timer: NodeJS.Timeout) => NodeJS.Timeout): () => void {
  const due = performance.now() + ms;
  let timer = keep(
    setTimeout(() => {
      if (performance.now() - due <= STOPPED_MS) act();
      else timer = keep(setTimeout(act, Math.min(ms, AFTER_STOP_MS)));
    }, ms),
  );
  return () => clearTimeout(timer);
}

/**
 * The time in which the program ran. While it was stopped (SIGSTOP, a sleeping machine) it received nothing, so deadlines leave that
 * time out. The caller must call `now` at least once per second.
 */
export class RunningTime {
  readonly #clock: Clock;
  #seen: number;
  #stopped = 0;
  /** When the program went on after it was stopped. */
  #resumedAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#seen = clock.elapsed();
  }

  /** Milliseconds since some fixed moment. */
  now(): number {
    const elapsed = this.#clock.elapsed();
    const step = elapsed - this.#seen;
    this.#seen = elapsed;
    if (step > STOPPED_MS) {
      this.#stopped += step;
      this.#resumedAt = elapsed - this.#stopped;
    }
    return elapsed - this.#stopped;
  }

  /** How long the program has run since it was stopped; infinite when it never was. Milliseconds. */
  sinceStopped(): number {
    return this.now() - this.#resumedAt;
  }
}

/** Resolves after `ms` milliseconds of this clock. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
