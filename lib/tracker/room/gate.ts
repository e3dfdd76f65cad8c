// Lets into a private room only connections that show the room's key. It closes every other connection without a word, whatever is wrong
// with it.

import type { Clock } from "../../clock.ts";
import { ProtocolError } from "../../error.ts";
import { BROKEN, type Channel } from "../../net/channel.ts";
import { Frame } from "../../protocol/lines.ts";
import { RoomKeeper } from "../../protocol/room.ts";
import { Guesses } from "./guesses.ts";

/** The longest line of a proof, with its end. Bytes. */
const LONGEST_LINE = 256;
/** The most that a refused guest may still send. Bytes. */
const EXCESS = 4096;
/** A refused guest has this time to close its connection. Milliseconds. */
const REFUSED_MS = 2_000;
/** A guest that has to wait is looked at again after this time. Milliseconds. */
const LOOK_AGAIN_MS = 500;

interface GateTools {
  /** 32 random bytes. */
  random(): Uint8Array;
  clock: Clock;
  /** A connection must have shown the key after this time. Milliseconds. */
  withinMs: number;
  /** Takes over a connection that has shown the key. */
  enter(channel: Channel): void;
  /** A connection is refused. `reason` is a sentence for the operator. */
  refused(address: string, code: "wrong-key" | "not-accepted", reason: string): void;
}

export class Gate {
  readonly #tools: GateTools;
  readonly #guesses: Guesses;
  readonly #waiting = new Set<Guest>();
  /** The secret that comes of the room's key. */
  #secret: Uint8Array;
  #stopped = false;

  constructor(secret: Uint8Array, tools: GateTools) {
    this.#secret = secret;
    this.#tools = tools;
    this.#guesses = new Guesses(tools.clock);
  }

  /** A new connection, after its TLS handshake. */
  accept(channel: Channel): void {
    const { secured } = channel;
    if (secured === undefined || this.#stopped) {
      channel.destroy();
      return;
    }
    // To make a keeper takes a moment. A guest that sends nothing must not cost that.
    const keeper = () => new RoomKeeper({ secret: this.#secret, binding: secured.binding(), random: this.#tools.random() });
    const guest = new Guest(channel, keeper, this.#guesses, {
      ...this.#tools,
      over: () => this.#waiting.delete(guest),
    });
    this.#waiting.add(guest);
    guest.start();
  }

  /** From now on only the new key counts. */
  changeKey(secret: Uint8Array): void {
    this.#secret = secret;
    this.#guesses.forgetMembers();
    this.#close();
  }

  /** Lets nobody in any more. */
  stop(): void {
    this.#stopped = true;
    this.#close();
  }

  /** Closes the connections that have not shown the key. */
  #close(): void {
    for (const { channel } of [...this.#waiting]) channel.destroy();
  }
}

/** A connection before it has shown the key. */
class Guest {
  readonly channel: Channel;
  readonly #newKeeper: () => RoomKeeper;
  readonly #guesses: Guesses;
  readonly #tools: GateTools & { over(): void };
  readonly #frame = new Frame();
  /** It has sent its share, and got the tracker's. */
  #keeper: RoomKeeper | undefined;
  /** It has sent something. */
  #heard = false;
  #over = false;
  #cancelWait = () => {};

  constructor(channel: Channel, newKeeper: () => RoomKeeper, guesses: Guesses, tools: GateTools & { over(): void }) {
    this.channel = channel;
    this.#newKeeper = newKeeper;
    this.#guesses = guesses;
    this.#tools = tools;
  }

  start(): void {
    this.channel.limit({ deadline: this.#tools.withinMs });
    this.channel.start({
      data: (chunk) => {
        if (this.#over) return;
        this.#heard = true;
        this.#frame.push(chunk);
        this.#read();
      },
      end: () => {
        if (this.#heard) this.#refuse();
        else this.#partQuietly();
      },
      close: (reason) => {
        // A peer that dials several addresses of this tracker closes all connections but one.
        if (reason === BROKEN && !this.#heard) this.#leave();
        else this.#refuse();
      },
    });
  }

  #read(): void {
    try {
      const line = this.#frame.line(LONGEST_LINE);
      if (line === undefined) return;
      const keeper = this.#keeper;
      this.#whenItMay(() => (keeper === undefined ? this.#share(line) : this.#check(line, keeper)));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse();
    }
  }

  /** Goes on as soon as this host may try a key. Until then nothing more is read. */
  #whenItMay(goOn: () => void): void {
    if (this.#over) return;
    if (this.#guesses.mayTry(this.channel.remote.address)) {
      this.channel.resume();
      goOn();
      return;
    }
    this.channel.pause();
    this.#cancelWait = this.#tools.clock.after(LOOK_AGAIN_MS, () => this.#whenItMay(goOn));
  }

  #share(line: string): void {
    const keeper = this.#newKeeper();
    const answer = keeper.answer(line);
    // A peer that has sent more than its share speaks another protocol.
    if (answer === undefined || this.#frame.length > 0) {
      this.#refuse();
      return;
    }
    this.#keeper = keeper;
    this.channel.send(answer);
  }

  #check(line: string, keeper: RoomKeeper): void {
    const { address } = this.channel.remote;
    const answer = this.#frame.length > 0 ? undefined : keeper.prove(line);
    if (answer === undefined) {
      this.#guesses.wrong(address);
      this.#refuse("wrong-key", "It does not know the room's key.");
      return;
    }
    this.#guesses.right(address);
    this.#leave();
    this.channel.send(answer);
    this.#tools.enter(this.channel);
  }

  /** A peer that has looked at the certificate, and knows now which key is meant. */
  #partQuietly(): void {
    this.#leave();
    this.channel.limit({ deadline: REFUSED_MS });
    this.channel.finish();
  }

  #refuse(code: "wrong-key" | "not-accepted" = "not-accepted", reason = "It did not show the room's key."): void {
    if (this.#over) return;
    this.#leave();
    this.#tools.refused(this.channel.remote.address, code, reason);
    if (this.channel.closed) return;
    this.channel.limit({ deadline: REFUSED_MS, excess: EXCESS });
    this.channel.finish();
  }

  #leave(): void {
    this.#over = true;
    this.#cancelWait();
    this.#tools.over();
  }
}
