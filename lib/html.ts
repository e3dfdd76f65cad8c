// Writes HTML in which no text from outside can be anything but text. Pure.

import { printable } from "./text.ts";

/** A piece of HTML that is safe as it is. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A value in a template: text and numbers are escaped, lists are joined, and undefined is an empty text. */
type Piece = Html | string | number | undefined | readonly Piece[];

/** A template of HTML. `html\`<b>${name}</b>\`` shows the name as it is, with its invisible characters as visible escapes. */
export function html(parts: TemplateStringsArray, ...values: Piece[]): Html {
  return new Html(parts.reduce((text, part, at) => text + shown(values[at - 1]) + part));
}

function shown(piece: Piece): string {
  if (piece === undefined) return "";
  if (piece instanceof Html) return piece.text;
  if (typeof piece === "object") return piece.map(shown).join("");
  return escapeHtml(printable(String(piece)));
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
