// A holder of one content that speaks FT/2 over TCP, written from the text of the protocol and without the library. It is honest unless
// a test replaces an answer. Content ids and piece hashes are computed here a second time, too.

import { type Raw, rawServer } from "./raw.ts";

const BLOCK = 16_384;

function sha256(bytes: Uint8Array): Buffer {
  return new Bun.CryptoHasher("sha256").update(bytes).digest();
}

/** The hashes of 16 KiB blocks, padded with zero hashes to a power of two. */
function leavesOf(content: Uint8Array): Buffer[] {
  const leaves: Buffer[] = [];
  for (let at = 0; at < content.length; at += BLOCK) leaves.push(sha256(content.subarray(at, at + BLOCK)));
  if (leaves.length === 0) leaves.push(sha256(content));
  while ((leaves.length & (leaves.length - 1)) !== 0) leaves.push(Buffer.alloc(32));
  return leaves;
}

function parentsOf(layer: Buffer[]): Buffer[] {
  const parents: Buffer[] = [];
  for (let i = 0; i < layer.length; i += 2) {
    parents.push(sha256(Buffer.concat([layer[i] ?? Buffer.alloc(32), layer[i + 1] ?? Buffer.alloc(32)])));
  }
  return parents;
}

/** The content id as the protocol defines it. */
export function contentId(content: Uint8Array | string): string {
  let layer = leavesOf(Buffer.from(content));
  while (layer.length > 1) layer = parentsOf(layer);
  return Buffer.concat(layer).toString("hex");
}

/** The hashes of the pieces of this size that hold something, one after the other: the body of TREE. */
export function pieceLayer(content: Uint8Array, piece: number): Buffer {
  let layer = leavesOf(content);
  for (let size = BLOCK; size < piece; size *= 2) layer = parentsOf(layer);
  return Buffer.concat(layer.slice(0, Math.ceil(content.length / piece)));
}

/** Pseudo-random bytes, the same for the same seed. */
export function noise(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed * 2_654_435_761 + 1;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** A request of a downloader: its line, and the numbers in it. */
export interface Asked {
  line: string;
  offset: number;
  length: number;
  piece: number;
}

type Answer = (asked: Asked, connection: Raw) => unknown;

/** Answers that replace the honest ones. */
export interface Answers {
  hello?: Answer;
  tree?: Answer;
  have?: Answer;
  download?: Answer;
}

export interface Holder {
  readonly port: number;
  /** All lines that were received, in order. */
  readonly asked: string[];
  close(): void;
}

/** A holder of `content` on a free loopback port. While an answer waits, later requests wait, too. */
export async function startHolder(content: Uint8Array, answers: Answers = {}): Promise<Holder> {
  const asked: string[] = [];
  const answer = (line: string): Answer => {
    const [verb] = line.split(" ");
    if (verb === "HELLO") return answers.hello ?? sayHi;
    if (verb === "TREE") return answers.tree ?? giveTree(content);
    if (verb === "HAVE") return answers.have ?? giveHave(content);
    if (verb === "DOWNLOAD") return answers.download ?? giveBytes(content);
    return verb === "BYE" ? (_, connection) => connection.close() : sayUnknown;
  };
  const converse = async (connection: Raw) => {
    for (;;) {
      const line = await connection.line();
      asked.push(line);
      const number = (key: string) => Number(new RegExp(` ${key}=(\\d+)`).exec(line)?.[1] ?? 0);
      await answer(line)({ line, offset: number("offset"), length: number("length"), piece: number("piece") }, connection);
    }
  };
  // The end of a connection ends its script.
  const server = await rawServer((connection) => void converse(connection).catch(() => undefined));
  return { port: server.port, asked, close: () => server.close() };
}

export const sayHi: Answer = (_, connection) => connection.send("HI FT/2\n");

const sayUnknown: Answer = (_, connection) => connection.send("ERROR unknown-verb What?\n");

function giveTree(content: Uint8Array): Answer {
  return ({ piece }, connection) => {
    const layer = pieceLayer(content, piece);
    connection.send(`TREE: ${layer.length / 32}\n`);
    connection.send(layer);
  };
}

/** A whole file: all ones. */
function giveHave(content: Uint8Array): Answer {
  return (_, connection) => {
    const length = Math.ceil(Math.ceil(content.length / 65_536) / 8);
    connection.send(`HAVE: ${length}\n`);
    connection.send(Buffer.alloc(length, 255));
  };
}

/** The bytes that are asked for, of this content. */
export function giveBytes(content: Uint8Array): Answer {
  return ({ offset, length }, connection) => {
    connection.send(`FILE: length=${length} size=${content.length}\n`);
    connection.send(content.subarray(offset, offset + length));
  };
}
