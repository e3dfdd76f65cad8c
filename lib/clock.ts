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
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
  soon: (act) => {
    setImmediate(act);
  },
};

/** The system's time. A timer that waits does not keep the program running. */
export const quietClock: Clock = {
  ...systemClock,
  after: (ms, act) => {
    const timer = setTimeout(act, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms` milliseconds of this clock. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
