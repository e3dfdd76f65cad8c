// Sends requests on one connection to an FT/2 tracker, and gives each its reply. Says nothing by itself, and never reconnects.

import type { Clock } from "../../clock.ts";
import { FtError, ProtocolError } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import type { FromTracker, Push } from "../../protocol/messages.ts";
import { SessionInbox } from "../../protocol/read.ts";

/** A tracker that does not reply to a request within this time is away. Milliseconds. */
export const REPLY_MS = 15_000;

/** A tracker's answer to a request. */
export type Reply = Exclude<FromTracker, Push | { verb: "UNKNOWN" }>;

interface TrackerConnectionHandlers {
  /** The tracker says something that is no reply. */
  push(message: Push): void;
  /** Bytes have come, of whatever kind. */
  bytes?(chunk: Uint8Array): void;
  /** The connection has ended. `reason` is a clause. Requests without a reply fail with the error that this gives. */
  lost(reason: string): FtError;
}

export class TrackerConnection {
  readonly channel: Channel;
  /** Whether any byte has come. */
  heard = false;
  readonly #clock: Clock;
  readonly #handlers: TrackerConnectionHandlers;
  /** The tracker replies in the order of the requests. */
  readonly #pending: PromiseWithResolvers<Reply>[] = [];

  constructor(channel: Channel, clock: Clock, handlers: TrackerConnectionHandlers) {
    this.channel = channel;
    this.#clock = clock;
    this.#handlers = handlers;
    const inbox = new SessionInbox();
    channel.start({
      data: (chunk) => {
        this.heard = true;
        handlers.bytes?.(chunk);
        inbox.push(chunk);
        try {
          for (let message = inbox.next(); message !== undefined; message = inbox.next()) this.#hear(message);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          channel.destroy(`the tracker broke the protocol: ${error.message}`);
        }
      },
      end: () => channel.finish(),
      close: (reason) => {
        const error = handlers.lost(reason === "" ? "it closed the connection" : reason);
        for (const { reject } of this.#pending.splice(0)) reject(error);
      },
    });
  }

  /** Sends a request and gives its reply, which may be an `ERROR`. Closes the connection when none comes in time. */
  async ask(request: string): Promise<Reply> {
    const cancel = this.#clock.after(REPLY_MS, () => this.channel.destroy("it does not answer"));
    try {
      const reply = Promise.withResolvers<Reply>();
      this.#pending.push(reply);
      this.channel.send(request);
      return await reply.promise;
    } finally {
      cancel();
    }
  }

  #hear(message: FromTracker): void {
    if (isPush(message)) {
      this.#handlers.push(message);
    } else if (message.verb !== "UNKNOWN") this.#pending.shift()?.resolve(message);
  }
}

/** The messages that a tracker sends without a request: any other one is the reply to the oldest request. */
const PUSHES: Record<Push["verb"], true> = {
  NOTICE: true,
  REACH: true,
  CONNECT: true,
  REVOKED: true,
  DISMISSED: true,
  APPEARED: true,
  GROUP: true,
  HOME: true,
  OFFERED: true,
  DECLINED: true,
};

function isPush(message: FromTracker): message is Push {
  return Object.hasOwn(PUSHES, message.verb);
}

/** A reply that does not belong to the request. */
export function unexpected(reply: Reply): never {
  throw new FtError("bad-answer", `The tracker answered ${reply.verb}, which was not asked for.`);
}
