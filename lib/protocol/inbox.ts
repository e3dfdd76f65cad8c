// What every reader of FT/2 shares: the bytes that have arrived, and the ERROR, which comes in all directions.

import type { MessageEnd } from "./basic.ts";
import { Frame } from "./lines.ts";
import { cutVerb } from "./values.ts";

/** A reader: `push`, `silence` and `end` tell it what arrived; `next` gives messages until it has none. */
export abstract class Inbox<Message> {
  protected readonly frame = new Frame();
  /** FT/1 only: whether something has ended the message that waits. */
  protected ending: MessageEnd = "no";

  /** Takes in bytes that arrived. */
  push(chunk: Uint8Array): void {
    this.frame.push(chunk);
    this.ending = "no";
  }

  /** Nothing has arrived for `SILENCE_MS`. */
  silence(): void {
    if (this.ending === "no") this.ending = "silence";
  }

  /** Nothing will arrive any more. */
  end(): void {
    this.ending = "end";
  }

  /** The number of bytes that are not read yet. */
  get waiting(): number {
    return this.frame.length;
  }

  /** The next whole message, or undefined. Throws `ProtocolError`; nothing may be read after that. */
  abstract next(): Message | undefined;
}

export function errorOf(rest: string): { verb: "ERROR"; code: string; words: string } {
  const [code, words] = cutVerb(rest);
  return { verb: "ERROR", code, words };
}
