// A two-way byte stream as the engines see it. The network makes them (wire.ts); tests make their own.

import type { Endpoint } from "../protocol/address.ts";

/** Why a channel closed that nobody ended in order. */
export const BROKEN = "the connection broke";

/** What happens on a channel. All are called synchronously; none may throw. */
export interface ChannelHandlers {
  data(chunk: Uint8Array): void;
  /** The other side sends nothing more; it may still be reading. */
  end?(): void;
  /** Everything given to `send` and refused by `offer` may go on. */
  drain?(): void;
  /** It is over. `reason` is a clause for a person (`it did not answer for 10 s`), or "" for a plain close. */
  close?(reason: string): void;
}

/** When the network itself gives a channel up; times in milliseconds. */
export interface ChannelLimits {
  /** From now, whatever happens. */
  deadline?: number | undefined;
  /** Without a byte received. */
  idle?: number | undefined;
  /** With bytes to send and none taken. */
  stall?: number | undefined;
  /** Bytes received after `finish`. */
  excess?: number | undefined;
  /** Bytes waiting to be sent. */
  backlog?: number | undefined;
}

export interface Channel {
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly closed: boolean;
  /** The other side has sent its last byte. */
  readonly ended: boolean;
  /** Bytes given to `send` that the network has not taken yet. */
  readonly backlog: number;
  /** Sets the handlers; what arrived before is handed over at once. */
  start(handlers: ChannelHandlers): void;
  /** Replaces the limits that are named. */
  limit(limits: ChannelLimits): void;
  /** Sends all of it, in order; what the network does not take is queued. */
  send(bytes: Uint8Array | string): void;
  /** Gives what the network takes at once, and says how much that was; `drain` tells when to go on. Keeps nothing. */
  offer(bytes: Uint8Array): number;
  /** Stops receiving, so that the sender has to wait. */
  pause(): void;
  resume(): void;
  /** Says that nothing more will be sent, after what is queued; goes on receiving. */
  halfClose(): void;
  /** Sends what is queued, then closes so that the last byte arrives. What is still received is thrown away. */
  finish(): void;
  /** Gives up at once. */
  destroy(reason?: string): void;
}

/** Opens a channel; fails with a sentence when nobody answers in time. */
export type Dial = (
  to: { address: string; port: number },
  options?: { timeoutMs?: number; signal?: AbortSignal },
) => Promise<Channel>;
