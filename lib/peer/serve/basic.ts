// Serving FT/1: one request a connection, without a pass, and the end of the stream ends the answer.
//
// A request may have no end that can be seen, so silence ends it. FT/1 has no word for a queue, so a downloader waits without an
// answer until it has a slot.

import { type Clock, sleep } from "../../clock.ts";
import type { Channel } from "../../net/channel.ts";
import { SILENCE_MS, type ToHolder } from "../../protocol/messages.ts";
import { basic } from "../../protocol/write.ts";
import type { Served, ServeOptions } from "./types.ts";

/** A downloader that waits for a slot is looked after this often. Milliseconds. */
const QUEUE_LOOK_MS = 500;

/** Calls `act` when a request has begun and then nothing arrives for `SILENCE_MS`. */
export class RequestSilence {
  readonly #clock: Clock;
  readonly #act: () => void;
  #cancel = () => {};

  constructor(clock: Clock, act: () => void) {
    this.#clock = clock;
    this.#act = act;
  }

  /** Bytes have arrived. `begun` when they are the beginning of a request that may be FT/1. */
  heard(begun: boolean): void {
    this.stop();
    if (begun) this.#cancel = this.#clock.after(SILENCE_MS, this.#act);
  }

  stop(): void {
    this.#cancel();
  }
}

/** The connection that FT/1 is served on. */
export interface BasicConnection {
  readonly channel: Channel;
  readonly options: ServeOptions;
  readonly clock: Clock;
  /** The connection has ended. */
  readonly over: boolean;
  /** Whether the downloader has a slot now; else it waits in the queue. */
  takeSlot(): boolean;
  /** Sends the whole file. */
  send(found: { name: string; file: Served }): Promise<void>;
}

/** Answers the request of an FT/1 downloader. An address that the tracker does not know gets no answer at all. */
export async function serveBasic(
  { name, size, spaced }: Extract<ToHolder, { verb: "DOWNLOAD"; profile: 1 }>,
  to: BasicConnection,
): Promise<void> {
  const { channel, options, clock } = to;
  const from = channel.remote.address;
  const known = await options.known(from).catch(() => false);
  if (to.over) return;
  if (!known) {
    options.report({ event: "download-refused", address: from, reason: "the tracker does not know it" });
    return;
  }
  const found = options.open({ name, ...(size === undefined ? {} : { size }) });
  if (found === undefined) {
    channel.send(basic.notFound);
    return;
  }
  try {
    channel.limit({ deadline: undefined });
    while (!to.over && !to.takeSlot()) await sleep(clock, QUEUE_LOOK_MS);
    if (to.over) return;
    channel.send(spaced ? basic.fileSpaced : basic.file);
    await to.send(found);
  } finally {
    found.file.close();
  }
}
