// A connection of an attacker, and how one is poured at. Only used by attacks.ts.

import type { Socket } from "bun";

/** The pause after each piece that a connection has sent. Milliseconds. */
export const PAUSE_MS = 2;
/** An answer that takes longer than this does not come. Milliseconds. */
const ANSWER_MS = 30_000;

/** What all connections of this process did: bytes sent and bytes read, connections made and refused. */
export const counts = { connections: 0, refused: 0, bytes: 0, read: 0 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A connection that forgets what it is told unless somebody waits for a line. */
export class Conn {
  closed = false;
  readonly #socket: Socket;
  #drained = () => {};
  #text = "";
  #lines: string[] | undefined;
  #heard = () => {};
  /** Raw bytes that come before the next line. */
  #skip = 0;
  onLine: ((line: string) => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Undefined where it is not let in. */
  static async open(hostname: string, port: number, localAddress?: string): Promise<Conn | undefined> {
    const opened = Promise.withResolvers<Conn>();
    let conn: Conn | undefined;
    const local = localAddress === undefined ? {} : { localAddress };
    try {
      await Bun.connect({
        hostname,
        port,
        ...local,
        socket: {
          open(socket) {
            counts.connections += 1;
            socket.setNoDelay(true);
            conn = new Conn(socket);
            opened.resolve(conn);
          },
          data: (_, chunk) => conn?.hear(chunk),
          drain: () => conn?.drained(),
          end: (socket) => void socket.end(),
          close: () => conn?.end(),
          error: (socket) => void socket.terminate(),
        },
      });
      return await opened.promise;
    } catch {
      counts.refused += 1;
      return undefined;
    }
  }

  /** The wrapper of a socket that this process accepted. */
  static accept(socket: Socket): Conn {
    return new Conn(socket);
  }

  hear(chunk: Uint8Array): void {
    counts.read += chunk.length;
    if (this.#lines === undefined && this.onLine === undefined) return;
    let at = 0;
    while (at < chunk.length) {
      const skipped = Math.min(this.#skip, chunk.length - at);
      this.#skip -= skipped;
      at += skipped;
      const end = chunk.indexOf(10, at);
      if (at === chunk.length) break;
      this.#text += decoder.decode(chunk.subarray(at, end < 0 ? chunk.length : end));
      if (end < 0) break;
      at = end + 1;
      const line = this.#text;
      this.#text = "";
      const body = /^(?:FILE: length=|HAVE: )(\d+)/.exec(line);
      if (body !== null) this.#skip = Number(body[1]);
      const hashes = /^TREE: (\d+)/.exec(line);
      if (hashes !== null) this.#skip = Number(hashes[1]) * 32;
      this.#lines?.push(line);
      this.onLine?.(line);
    }
    this.#heard();
  }

  drained(): void {
    this.#drained();
  }

  end(): void {
    this.closed = true;
    this.#drained();
    this.#heard();
  }

  /** The next line that fits. */
  async line(wanted: RegExp): Promise<string | undefined> {
    this.#lines ??= [];
    const lines = this.#lines;
    const until = performance.now() + ANSWER_MS;
    while (!this.closed && performance.now() < until) {
      const found = lines.findIndex((line) => wanted.test(line));
      if (found >= 0) return lines.splice(0, found + 1).at(-1);
      await Promise.race([
        Bun.sleep(200),
        new Promise<void>((resolve) => {
          this.#heard = resolve;
        }),
      ]);
    }
    return undefined;
  }

  /** From now on nothing that comes is kept. */
  deaf(): void {
    this.#lines = undefined;
    this.onLine = undefined;
  }

  /** Sends all of it, as fast as the other side reads; gives false if it ends before. */
  async send(data: string | Uint8Array, until = Number.POSITIVE_INFINITY): Promise<boolean> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let at = 0; at < bytes.length; ) {
      if (this.closed || performance.now() > until) return false;
      const taken = Math.max(0, this.#socket.write(bytes, at, bytes.length - at));
      at += taken;
      counts.bytes += taken;
      if (taken === 0) {
        await Promise.race([
          Bun.sleep(50),
          new Promise<void>((resolve) => {
            this.#drained = resolve;
          }),
        ]);
      }
    }
    return true;
  }

  close(): void {
    this.#socket.end();
  }

  halfClose(): void {
    this.#socket.shutdown();
  }

  reset(): void {
    this.#socket.terminate();
  }
}

/** Sends pieces again and again while the connection is there. */
export async function pour(conn: Conn | undefined, pieces: Iterable<string | Uint8Array>, until: number, pause = PAUSE_MS) {
  if (conn === undefined) return;
  conn.deaf();
  for (const piece of pieces) {
    if (performance.now() > until || !(await conn.send(piece, until))) break;
    await Bun.sleep(pause);
  }
  conn.reset();
}

export function* forever<Piece>(make: (round: number) => Piece): Generator<Piece> {
  for (let round = 0; ; round++) yield make(round);
}
