// Defines a request of a browser and its answer, as the programs see them. http.ts makes them of HTTP/1.1; tests make their own.

import type { Channel } from "./channel.ts";

export interface Exchange {
  /** The caller answers both alike. http.ts does not send the body of an answer to HEAD. */
  readonly method: "GET" | "HEAD";
  /** Path and query, as they came. */
  readonly target: string;
  readonly channel: Channel;
  /** A header of the request by its name in small letters. */
  header(name: string): string | undefined;
  /** Answers at once. */
  reply(status: number, headers: Record<string, string>, body: string | Uint8Array): void;
  /** Begins an answer whose body comes in parts. */
  begin(status: number, headers: Record<string, string>): Body;
}

/** The body of an answer that comes in parts. */
export interface Body {
  /** Sends a part. Resolves when the next one may come: true, or false when the connection is closed. */
  write(part: string | Uint8Array): Promise<boolean>;
  end(): void;
  /** Ends the answer in the middle, so that the other side sees that it is not whole. */
  break(): void;
  /** Calls `act` when the answer is sent, or the connection is closed. */
  whenOver(act: () => void): void;
}
