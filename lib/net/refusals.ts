// Connections that a listener refuses: some are told why, the others are closed without a word.
//
// Bun accepts connections until none waits, and does nothing else meanwhile. A client whose connection is closed at once can connect
// again before that, again and again. So in a flood refused clients are not told why, and their connections are closed later, a few at
// a time.

import type { Socket } from "bun";
import type { Clock } from "../clock.ts";
import { Allowance } from "../rate.ts";
import { TcpChannel } from "./tcp.ts";

/** At most this many refused connections are being told why at once, and this many can be told after a pause. */
const TOLD_AT_ONCE = 256;
/** This many refused connections a second are told why. */
const TOLD_PER_S = 64;
/** A refused connection is closed after this long, whether it has read why or not. Milliseconds. */
const TOLD_WITHIN_MS = 2_000;
/** This many connections may wait for their close, however full the listener is. */
const LINGERING_LEAST = 32;
/** More than this many never wait for their close. */
const LINGERING_MOST = 2048;
/** This share of the waiting connections is closed at a time, the oldest first. */
const CLOSED_SHARE = 0.1;
/** The time between two of those closes. Milliseconds. */
const CLOSE_EVERY_MS = 10;

export class Refusals {
  readonly #clock: Clock;
  readonly #toldAtOnce: number;
  readonly #tellings: Allowance;
  readonly #lingering = new Set<Socket<TcpChannel>>();
  #telling = 0;
  #waits = false;

  /** `descriptors` is how many this process may open. */
  constructor(descriptors: number, clock: Clock) {
    this.#clock = clock;
    this.#toldAtOnce = Math.min(TOLD_AT_ONCE, descriptors / 8);
    this.#tellings = new Allowance(TOLD_PER_S, TOLD_AT_ONCE, clock);
  }

  /** How many connections wait for their close without having been told why. */
  get lingering(): number {
    return this.#lingering.size;
  }

  /** `words` are what the connection is told, or "". `room` is how many more descriptors may be open. */
  refuse(socket: Socket<TcpChannel>, words: string, room: number): void {
    if (words !== "" && this.#telling < this.#toldAtOnce && this.#tellings.take()) this.#tell(socket, words);
    else if (this.lingering < Math.min(LINGERING_MOST, Math.max(LINGERING_LEAST, room))) this.#linger(socket);
    else socket.terminate();
  }

  /** The other side has closed a socket, which may be a refused one. */
  closed(socket: Socket<TcpChannel>): void {
    this.#lingering.delete(socket);
  }

  #tell(socket: Socket<TcpChannel>, words: string): void {
    this.#telling += 1;
    const channel = new TcpChannel(socket, this.#clock, () => {
      this.#telling -= 1;
    });
    channel.limit({ deadline: TOLD_WITHIN_MS });
    channel.send(words);
    channel.finish();
  }

  #linger(socket: Socket<TcpChannel>): void {
    this.#lingering.add(socket);
    if (this.#waits) return;
    this.#waits = true;
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
    this.#waits = this.lingering > 0;
    if (this.#waits) this.#clock.after(CLOSE_EVERY_MS, () => this.#closeSome());
  }
}
