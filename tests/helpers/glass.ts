// A terminal in memory: it shows what was written to it as a real one would, and can be given another size and keys.

import { EventEmitter } from "node:events";

export class Glass extends EventEmitter {
  columns: number;
  rows: number;
  /** Everything that was written. */
  raw = "";
  #lines: string[] = [""];
  #row = 0;
  #column = 0;

  constructor(columns = 80, rows = 24) {
    super();
    this.columns = columns;
    this.rows = rows;
  }

  /** The lines that are not empty, without colours. */
  get lines(): string[] {
    return this.#lines.map((line) => line.trimEnd()).filter((line) => line !== "");
  }

  get text(): string {
    return this.lines.join("\n");
  }

  write(text: string): boolean {
    this.raw += text;
    for (const [, count, act, control, letter] of text.matchAll(
      /\x1b\[\??([\d;]*)([A-Za-z])|([\r\n\x07])|([^\x1b\r\n\x07])/gu,
    )) {
      if (act === "A") this.#row = Math.max(this.#lines.length - this.rows, 0, this.#row - Number(count || 1));
      else if (act === "J")
        this.#lines.splice(this.#row, this.#lines.length, this.#lines[this.#row]?.slice(0, this.#column) ?? "");
      else if (control === "\r") this.#column = 0;
      else if (control === "\n") this.#down();
      else if (letter !== undefined) this.#put(letter);
    }
    this.emit("written");
    return true;
  }

  /** Breaks the lines that are too long now, as most terminals do. */
  resize(columns: number): void {
    const before = this.#lines.slice(0, this.#row);
    const broken = (line: string) => line.match(new RegExp(`.{1,${columns}}`, "gu")) ?? [""];
    this.#row = before.flatMap(broken).length;
    this.#lines = this.#lines.flatMap(broken);
    this.columns = columns;
    this.emit("resize");
  }

  #down(): void {
    this.#row += 1;
    this.#column = 0;
    if (this.#row === this.#lines.length) this.#lines.push("");
  }

  #put(letter: string): void {
    if (this.#column === this.columns) this.#down();
    const line = (this.#lines[this.#row] ?? "").padEnd(this.#column);
    this.#lines[this.#row] = line.slice(0, this.#column) + letter + line.slice(this.#column + 1);
    this.#column += 1;
  }
}
