// Keeps the texts of records in little memory: records with the same type or date share one text.

/** The most types and dates that are kept, so that records with the same type or date share one text. */
const TEXTS_KEPT = 4096;

/** U+FEFF at the beginning of a name is a part of it. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const utf8Bytes = new TextEncoder();

/** The same text, in memory of its own. A part of a line keeps the whole line in memory. */
export function detached<Text extends string | undefined>(text: Text): Text {
  return (text === undefined ? undefined : utf8.decode(utf8Bytes.encode(text))) as Text;
}

/** Texts that many records have, each kept once. */
export class SharedTexts {
  readonly #texts = new Map<string, string>();

  /** A text, as an earlier record has it. */
  of(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size >= TEXTS_KEPT) this.#texts.clear();
    const own = detached(text);
    this.#texts.set(own, own);
    return own;
  }
}
