// Joins pieces of bytes, and gives the memory of received ones back.

/** Joins pieces, one after the other. A single piece is given back as it is. */
export function concatBytes(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const joined = new Uint8Array(pieces.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

/** Texts are encoded when they are a little longer than this. Characters. */
const CHUNK = 64 * 1024;

/** The UTF-8 of some texts, one behind the other. It is made step by step: all of them as one text would be much memory. */
export function encodeAll(texts: Iterable<string>): Uint8Array {
  const encoder = new TextEncoder();
  const chunks: Uint8Array[] = [];
  let waiting = "";
  for (const text of texts) {
    waiting += text;
    if (waiting.length < CHUNK) continue;
    chunks.push(encoder.encode(waiting));
    waiting = "";
  }
  chunks.push(encoder.encode(waiting));
  return concatBytes(chunks);
}

/**
 * Gives the memory of a received chunk back at once. Nothing may use the chunk any more. The collector would be late: it does not
 * count the bytes of chunks, and after a gigabyte tens of megabytes would still be held.
 */
export function release(chunk: Uint8Array): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && chunk.byteLength === buffer.byteLength) buffer.transfer(0);
}
