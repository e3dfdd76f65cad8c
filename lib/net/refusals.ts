// Ends the connections that a listener refuses: tells some of them the reason, and closes the others without a word.
//
// Bun accepts connections until none waits, and does nothing else meanwhile. A client whose connection is closed at once can connect
// again before that, again and again. So in a flood the listener tells refused clients nothing, and closes their connections later, a
// few at a time.

import type { Socket } from "bun";
import type { Clock } from "../clock.ts";
import { Allowance } from "../rate.ts";
import { TcpChannel } from "./tcp.ts";

/** The most refused connections that get the reason at the same time. It is also the burst of TOLD_PER_S. */
const TOLD_AT_ONCE = 256;
/** The most refused connections that get the reason in the long run. Connections per second. */
const TOLD_PER_S = 64;
/** A connection that gets the reason is closed after this time, whether the client has read it or not. Milliseconds. */
const TOLD_WITHIN_MS = 2_000;
/** Refused connections that may wait for their close even when the listener is full. */
const LINGERING_LEAST = 32;
/** The most refused connections that wait for their close. Above it, the listener closes a refused connection at once. */
const LINGERING_MOST = 2048;
/** Each time, the listener closes this part of the waiting connections, the oldest first. 0.1 is one tenth. */
const CLOSED_SHARE = 0.1;
/** The listener closes some of the waiting connections each time this time has passed. Milliseconds. */
const CLOSE_EVERY_MS = 10;

export class Refusals {
  readonly #clock: Clock;
  readonly #toldAtOnce: number;
  readonly #tellRate: Allowance;
  readonly #lingering = new Set<Socket<TcpChannel>>();
  /** The connections that get the reason now. */
  #beingTold = 0;
  #isTimerSet = false;

  /** `descriptors`: the most file descriptors that this process may open. */
  constructor(descriptors: number, clock: Clock) {
    this.#clock = clock;
    this.#toldAtOnce = Math.min(TOLD_AT_ONCE, descriptors / 8);
    this.#tellRate = new Allowance(TOLD_PER_S, TOLD_AT_ONCE, clock);
  }

  /** How many connections wait for their close, and get no reason. */
  get lingering(): number {
    return this.#lingering.size;
  }

  /** `words`: the reason for the client, or "". `free`: the number of further descriptors that may be open. */
  refuse(socket: Socket<TcpChannel>, words: string, free: number): void {
    if (words !== "" && this.#beingTold < this.#toldAtOnce && this.#tellRate.take()) this.#tell(socket, words);
    else if (this.lingering < Math.min(LINGERING_MOST, Math.max(LINGERING_LEAST, free))) this.#linger(socket);
    else socket.terminate();
  }

  /** The other side has closed a socket, which may be a refused one. */
  closed(socket: Socket<TcpChannel>): void {
    this.#lingering.delete(socket);
  }

  #tell(socket: Socket<TcpChannel>, words: string): void {
    this.#beingTold += 1;
    const channel = new TcpChannel(socket, this.#clock, () => {
      this.#beingTold -= 1;
    });
    channel.limit({ deadline: TOLD_WITHIN_MS });
    channel.send(words);
    channel.finish();
  }

  #linger(socket: Socket<TcpChannel>): void {
    this.#lingering.add(socket);
    if (this.#isTimerSet) return;
    this.#isTimerSet = true;
    this.#clock.after(CLOSE_EVERY_MS, () => this.#closeSome());
  }

  #closeSome(): void {
    let due = Math.ceil(this.lingering * CLOSED_SHARE);
    for (const socket of this.#lingering) {
      if (due === 0) break;
      due -= 1;
      this.#lingering.delete(socket);
      socket.terminate();
    }
    this.#isTimerSet = this.lingering > 0;
    if (this.#isTimerSet) this.#clock.after(CLOSE_EVERY_MS, () => this.#closeSome());
  }
}
