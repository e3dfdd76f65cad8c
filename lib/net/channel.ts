// Defines a two-way byte stream as the engines see it, with its promises. The network's channels are in tcp.ts; tests make their own.

import type { Endpoint } from "../protocol/address.ts";

/** The reason that `close` gives when the connection was reset. */
export const BROKEN = "the connection broke";

/** The code of the error for a program that does not speak TLS 1.3, as those of private rooms do. */
export const NOT_SECURED = "not-secured";

/** The events of a channel. The channel calls these handlers synchronously. A handler must not throw. */
export interface ChannelHandlers {
  data(chunk: Uint8Array): void;
  /** The other side sends nothing more. It may still be reading. Called after its last bytes. */
  end?(): void;
  /** Everything that waited is sent: `offer` may go on. */
  drain?(): void;
  /** The channel is closed, and nothing is called after this. `reason` is a clause for a person, or "" for a plain close. */
  close?(reason: string): void;
}

/** When the network itself closes a channel. A limit that is undefined does not hold. */
export interface ChannelLimits {
  /** The time from now until the close, whatever happens. Milliseconds. */
  deadline?: number | undefined;
  /** The longest time without a received byte; a pause does not count. Milliseconds. */
  idle?: number | undefined;
  /** The longest time with bytes to send while the network takes none. Milliseconds. */
  stall?: number | undefined;
  /** The most bytes that may arrive after `finish`. */
  excess?: number | undefined;
  /** The most bytes that may wait to be sent. */
  backlog?: number | undefined;
}

/** The facts of an encrypted connection. A fingerprint proves something only to a program that compares it with one that it trusts. */
export interface Secured {
  /** SHA-256 of the certificate whose key the other side has, in 64 hex digits. */
  readonly fingerprint: string;
  /** 32 bytes that both ends of this very connection can compute, and nobody else. */
  binding(): Uint8Array;
}

export interface Channel {
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /** Undefined for a connection that is not encrypted. */
  readonly secured?: Secured | undefined;
  readonly closed: boolean;
  /** The other side has sent its last byte. */
  readonly ended: boolean;
  /** The queue: bytes given to `send` that the network has not taken yet. */
  readonly backlog: number;
  /** Sets the handlers. Hands over the bytes that arrived before, within the call. */
  start(handlers: ChannelHandlers): void;
  /** Gives back bytes that arrived: the next `start` hands them over once more, and the end behind them if that has come. */
  unread(bytes: Uint8Array): void;
  /** Replaces the limits that are named. The others stay. */
  limit(limits: ChannelLimits): void;
  /** Sends all of it, in order. Bytes that the network does not take at once are queued. */
  send(bytes: Uint8Array | string): void;
  /** Sends what the network takes at once, and gives how many bytes that was. It keeps nothing; `drain` tells when to go on. */
  offer(bytes: Uint8Array): number;
  /** Stops receiving, so that the sender has to wait. No `data` and no `end` come before `resume`. */
  pause(): void;
  resume(): void;
  /** Sends the queue, then tells the other side that nothing more comes. Goes on receiving. */
  halfClose(): void;
  /** Sends the queue, then closes so that the last byte arrives. Bytes received from now on are thrown away. */
  finish(): void;
  /** Closes at once. The queue may be lost. */
  destroy(reason?: string): void;
}

/** Opens a channel. Fails with an `FtError` when there is no answer in time; its message is a clause. */
export type Dial = (
  to: { address: string; port: number },
  options?: { timeoutMs?: number; signal?: AbortSignal },
) => Promise<Channel>;
