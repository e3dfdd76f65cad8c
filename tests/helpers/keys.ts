// A keyboard without a terminal: what is pressed arrives as the bytes that a terminal sends.

import { EventEmitter } from "node:events";
import { Keyboard, type Special } from "../../lib/peer/screen/keyboard.ts";

/** A lone Esc is known as such after this time. Milliseconds. */
const ESCAPE_MS = 100;

export class Keys {
  readonly keyboard: Keyboard;
  readonly specials: Special[] = [];
  /** Whether the terminal is in raw mode. */
  raw = false;
  readonly #input = Object.assign(new EventEmitter(), {
    setRawMode: (on: boolean) => {
      this.raw = on;
    },
    resume: () => {},
    pause: () => {},
  });

  constructor() {
    this.keyboard = new Keyboard({
      input: this.#input as unknown as NodeJS.ReadStream,
      output: { write: () => true },
      special: (what) => this.specials.push(what),
    });
    this.keyboard.open();
  }

  /** Each text arrives in one piece. */
  press(...texts: string[]): void {
    for (const text of texts) this.#input.emit("data", Buffer.from(text));
  }

  /** Resolves when what was begun with Esc is known to be Esc alone. */
  settled(): Promise<void> {
    return Bun.sleep(ESCAPE_MS);
  }
}
