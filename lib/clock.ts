// Time as the engines see it, so that tests can move it by hand.

/** Time, handed in. `at` is in milliseconds since 1970. */
export interface Clock {
  at(): number;
  after(ms: number, act: () => void): () => void;
}

export const systemClock: Clock = {
  at: Date.now,
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

/** The system's time; what waits for it does not keep the program running. */
export const quietClock: Clock = {
  at: Date.now,
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
