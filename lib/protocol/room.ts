// The proof that a peer and the tracker of a private room know the same key: the first four lines on each connection to such a tracker,
// inside TLS. The text at the head of messages.ts describes it. cpace.ts has the mathematics.

import { confirmation, generator, type Share as Half, isSameTag, multiply, POINT_BYTES, sessionKey } from "./cpace.ts";

/** What both sides put into the generator, beside the key: this protocol and nothing else. */
const ABOUT = text("FileTracker FT/2 private room");
/** The data that each side binds to its share, so that nobody can send a side its own words back. */
const OPENER = text("peer");
const KEEPER = text("tracker");
/** A tag of a proof. Bytes. */
const TAG_BYTES = 64;

/** One proof on one connection. */
interface Start {
  /** The secret that comes of the room's key. */
  secret: Uint8Array;
  /** Bytes that only the two ends of this connection have: a proof is worth nothing on another one. */
  binding: Uint8Array;
  /** 32 random bytes, used once. */
  random: Uint8Array;
}

class Prover {
  readonly #binding: Uint8Array;
  readonly #scalar: Uint8Array;
  readonly half: Half;

  constructor({ secret, binding, random }: Start, data: Uint8Array) {
    this.#binding = binding;
    this.#scalar = random;
    this.half = { point: multiply(random, generator(secret, ABOUT, binding)) ?? new Uint8Array(POINT_BYTES), data };
  }

  /** The tags of both sides, or undefined when the other side's point is none. */
  tags(other: Uint8Array, isOpener: boolean): { opener: Uint8Array; keeper: Uint8Array } | undefined {
    const common = multiply(this.#scalar, other);
    if (common === undefined) return undefined;
    const theirs = { point: other, data: isOpener ? KEEPER : OPENER };
    const [opener, keeper] = isOpener ? [this.half, theirs] : [theirs, this.half];
    const key = sessionKey(common, this.#binding, opener, keeper);
    return { opener: confirmation(key, this.#binding, opener), keeper: confirmation(key, this.#binding, keeper) };
  }
}

/** The peer's side. It speaks first, and shows first that it has the key. */
export class RoomOpener {
  readonly #prover: Prover;
  #expected: Uint8Array | undefined;

  constructor(start: Start) {
    this.#prover = new Prover(start, OPENER);
  }

  /** The first line. */
  get hello(): string {
    return `ROOM FT/2 share=${hexOf(this.#prover.half.point)}\n`;
  }

  /** The answer to the tracker's share, or undefined when that is none. */
  answer(line: string): string | undefined {
    const point = bytesIn(line, "ROOM share=", POINT_BYTES);
    const tags = point && this.#prover.tags(point, true);
    this.#expected = tags?.keeper;
    return tags && `ROOM proof=${hexOf(tags.opener)}\n`;
  }

  /** Whether the tracker has shown that it has the key, too. */
  isProven(line: string): boolean {
    const tag = bytesIn(line, "ROOM proof=", TAG_BYTES);
    return tag !== undefined && this.#expected !== undefined && isSameTag(tag, this.#expected);
  }
}

/** The tracker's side. */
export class RoomKeeper {
  readonly #prover: Prover;
  #tags: { opener: Uint8Array; keeper: Uint8Array } | undefined;

  constructor(start: Start) {
    this.#prover = new Prover(start, KEEPER);
  }

  /** The answer to the peer's share, or undefined when that is none. It tells nothing about the key. */
  answer(line: string): string | undefined {
    const point = bytesIn(line, "ROOM FT/2 share=", POINT_BYTES);
    this.#tags = point && this.#prover.tags(point, false);
    return this.#tags && `ROOM share=${hexOf(this.#prover.half.point)}\n`;
  }

  /** The answer to a peer that has shown that it has the key; undefined for any other. */
  prove(line: string): string | undefined {
    const tag = bytesIn(line, "ROOM proof=", TAG_BYTES);
    const tags = this.#tags;
    // A second try would be a second guess.
    this.#tags = undefined;
    return tag && tags && isSameTag(tag, tags.opener) ? `ROOM proof=${hexOf(tags.keeper)}\n` : undefined;
  }
}

/** The bytes of a line `START` + hex digits. */
function bytesIn(line: string, start: string, length: number): Uint8Array | undefined {
  const digits = line.slice(start.length);
  if (!line.startsWith(start) || digits.length !== 2 * length || !/^[0-9a-f]+$/.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function text(words: string): Uint8Array {
  return new TextEncoder().encode(words);
}
