// Reads the keys of a terminal. The package of the prompts takes it for its input. Text that comes at once, such as a paste, is one key, so
// that a prompt draws itself once for it; line ends in it are no Enter.

import { emitKeypressEvents, type Key } from "node:readline";
import { PassThrough, Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** Behind Esc, the rest of the sequence of a key comes within this time. Milliseconds. */
const SEQUENCE_MS = 50;
/** The most text that is taken at once. Characters. */
const LONGEST_TEXT = 1_000;
/** The most keys that are kept while nothing reads them. */
const MOST_KEPT = 256;

const PASTE_ON = "\x1b[?2004h";
const PASTE_OFF = "\x1b[?2004l";
/** A paste, the sequence of a key, text, or one control character. */
const TOKENS =
  /\x1b\[200~([\s\S]*?)\x1b\[201~|(\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[^[O\x1b])|\x1b(?=\x1b))|([^\x00-\x1f\x7f]+)|([\x00-\x1a\x1c-\x1f\x7f])/y;
const PASTE_START = "\x1b[200~";
/** A sequence that is not complete yet. */
const BEGUN = /^\x1b(?:\[[0-?]*[ -/]*|O)?$/;

/** Keys with a meaning in every prompt. */
export type Special = "interrupt" | "suspend" | "redraw";

interface KeyboardOptions {
  input: NodeJS.ReadStream;
  output: { write(text: string): unknown };
  special(what: Special): void;
}

export class Keyboard extends Readable {
  readonly isTTY = true;
  /** Whether the last key that ended a prompt was Ctrl-C, and not Esc. */
  interrupted = false;
  /** Called for Esc while a prompt is open; true when that was all that Esc means now. */
  escape: (() => boolean) | undefined;
  /** Called for each key that a prompt gets, before the prompt does. */
  pressed: (() => void) | undefined;
  /** Gets the keys while no prompt is open. */
  watcher: ((name: string) => void) | undefined;
  readonly #options: KeyboardOptions;
  readonly #decoder = new PassThrough();
  readonly #utf8 = new StringDecoder("utf8");
  readonly #data = (bytes: Buffer) => this.#take(bytes);
  #kept: [string | undefined, Key][] = [];
  #rest = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #opened = false;

  constructor(options: KeyboardOptions) {
    super();
    this.#options = options;
    emitKeypressEvents(this.#decoder);
    this.#decoder.on("keypress", (text: string | undefined, key: Key) => this.#hear(text, key));
    this.on("newListener", (event) => {
      if (event === "keypress") queueMicrotask(() => this.#giveKept());
    });
  }

  override _read(): void {}

  /** The package turns this on and off; the terminal stays as `open` has set it. */
  setRawMode(): this {
    return this;
  }

  open(): void {
    if (this.#opened) return;
    this.#opened = true;
    const { input, output } = this.#options;
    input.on("data", this.#data);
    input.setRawMode(true);
    input.resume();
    output.write(PASTE_ON);
  }

  close(): void {
    if (!this.#opened) return;
    this.#opened = false;
    clearTimeout(this.#timer);
    const { input, output } = this.#options;
    input.off("data", this.#data);
    input.setRawMode(false);
    input.pause();
    output.write(PASTE_OFF);
  }

  /** After another program has had the terminal: its settings may be others now. */
  reopen(): void {
    if (!this.#opened) return;
    this.close();
    this.open();
  }

  #take(bytes: Buffer): void {
    clearTimeout(this.#timer);
    this.#rest += this.#utf8.write(bytes);
    TOKENS.lastIndex = 0;
    for (let from = 0; from < this.#rest.length; from = TOKENS.lastIndex) {
      TOKENS.lastIndex = from;
      // A paste whose end has not come yet is kept until it has.
      const isPaste = this.#rest.startsWith(PASTE_START, from);
      const match = isPaste && this.#rest.indexOf("\x1b[201~", from) < 0 ? null : TOKENS.exec(this.#rest);
      if (match === null) {
        this.#rest = this.#rest.slice(from);
        this.#waitForRest(isPaste);
        return;
      }
      const [token, pasted, sequence, text, control] = match;
      if (pasted !== undefined) this.#hearText(pasted);
      else if (text !== undefined && text.length > 1) this.#hearTyped(text);
      else if (sequence === "\x1b") this.#hear(undefined, { name: "escape", sequence });
      else if (control === "\n" && this.#rest.trim() !== "") this.#hearLineEnd(TOKENS.lastIndex);
      else this.#decoder.emit("data", Buffer.from(token));
    }
    this.#rest = "";
  }

  /** Spaces before a text are keys of their own: a space may mark an entry. */
  #hearTyped(text: string): void {
    const rest = text.trimStart();
    this.#decoder.emit("data", Buffer.from(text.slice(0, text.length - rest.length)));
    this.#hearText(rest);
  }

  /** A line end within a text is a space, and at its end nothing: it came with a paste. */
  #hearLineEnd(next: number): void {
    if (next < this.#rest.length) this.#hear(" ", { name: "space", sequence: " " });
  }

  #waitForRest(isPaste: boolean): void {
    if (isPaste) {
      // Of a paste that is longer than any answer only the start is kept.
      if (this.#rest.length > 4 * LONGEST_TEXT) this.#rest = this.#rest.slice(0, 2 * LONGEST_TEXT) + this.#rest.slice(-10);
      return;
    }
    const isKey = BEGUN.test(this.#rest);
    this.#timer = setTimeout(() => {
      this.#rest = "";
      if (isKey) this.#hear(undefined, { name: "escape", sequence: "\x1b" });
    }, SEQUENCE_MS);
  }

  #hearText(pasted: string): void {
    const text = pasted
      .replace(/[\r\n]+$/, "")
      .replace(/[\x00-\x1f\x7f]+/g, " ")
      .slice(0, LONGEST_TEXT);
    if (text !== "") this.#hear(text, { sequence: text });
  }

  #hear(text: string | undefined, key: Key): void {
    const { ctrl, name } = key;
    if (ctrl && name === "z") this.#options.special("suspend");
    else if (ctrl && name === "l") this.#options.special("redraw");
    // Line editing would take Ctrl-D in an empty line as the end of all input, and the arrows for its history.
    else if (ctrl && name === "d") this.#give(undefined, { name: "escape", sequence: "\x1b" });
    else if (name === "enter") this.#give("\r", { name: "return", sequence: "\r" });
    else this.#give(text, name === "up" || name === "down" ? { ...key, meta: true } : key);
  }

  #give(text: string | undefined, key: Key): void {
    const isInterrupt = key.ctrl === true && key.name === "c";
    if (this.watcher !== undefined) {
      this.watcher(isInterrupt ? "interrupt" : (key.name ?? ""));
      return;
    }
    if (this.listenerCount("keypress") === 0) {
      if (isInterrupt) this.#options.special("interrupt");
      else if (this.#kept.length < MOST_KEPT) this.#kept.push([text, key]);
      return;
    }
    this.pressed?.();
    if (key.name === "escape" && this.escape?.() === true) return;
    this.interrupted = isInterrupt;
    this.emit("keypress", text, key);
  }

  #giveKept(): void {
    for (let next = this.#kept.shift(); next !== undefined; next = this.#kept.shift()) {
      if (this.listenerCount("keypress") === 0) {
        this.#kept.unshift(next);
        return;
      }
      this.#give(...next);
    }
  }
}
