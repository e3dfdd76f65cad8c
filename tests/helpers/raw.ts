// A client and a server that speak bytes, for scripts written from the protocol's text.

import net from "node:net";

const PATIENCE_MS = 55_000;
/** What a tracker says without being asked. */
const PUSH = /^(?:NOTICE|REACH|CONNECT|REVOKED|DISMISSED|APPEARED|OFFERED|DECLINED|GROUP|HOME)(?: |$)/;

/** One connection, byte for byte. */
export class Raw {
  readonly socket: net.Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #closed = false;
  #changed: () => void = () => {};
  readonly #pushes: string[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#changed();
    });
    socket.on("end", () => {
      this.#ended = true;
      this.#changed();
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#changed();
    });
    socket.on("error", () => this.#changed());
  }

  /** Connects; `allowHalfOpen` stays true, so that the other side's end is seen and answered by hand. */
  static connect(port: number, host = "127.0.0.1", localAddress?: string): Promise<Raw> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host, allowHalfOpen: true, noDelay: true, ...(localAddress ? { localAddress } : {}) });
      socket.once("connect", () => resolve(new Raw(socket)));
      socket.once("error", reject);
    });
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Shuts the write side down. */
  halfClose(): void {
    this.socket.end();
  }

  close(): void {
    this.socket.destroy();
  }

  get closed(): boolean {
    return this.#closed;
  }

  get ended(): boolean {
    return this.#ended || this.#closed;
  }

  /** Everything received so far and not taken. */
  get waiting(): Buffer {
    return this.#received;
  }

  async #until(holds: () => boolean, what: string): Promise<void> {
    const until = Date.now() + PATIENCE_MS;
    while (!holds()) {
      if (Date.now() > until)
        throw new Error(
          `${what} did not happen; received: ${JSON.stringify(this.#received.toString("latin1").slice(0, 2000))}`,
        );
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#changed = resolve;
        }),
        Bun.sleep(Math.min(250, until - Date.now())),
      ]);
    }
  }

  /** Takes exactly `count` bytes. */
  async take(count: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= count || this.ended, `${count} bytes`);
    if (this.#received.length < count) throw new Error(`It ended after ${this.#received.length} of ${count} bytes.`);
    const taken = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return taken;
  }

  /** Takes one line, without its end. */
  async line(): Promise<string> {
    await this.#until(() => this.#received.includes(10) || this.ended, "a line");
    const end = this.#received.indexOf(10);
    if (end < 0) throw new Error(`It ended before a line did: ${JSON.stringify(this.#received.toString())}`);
    return (await this.take(end + 1)).toString("utf8").slice(0, -1);
  }

  /** Takes a tracker's next reply, all of its lines. What is pushed before it waits for `push`; in the middle of a list nothing is. */
  async reply(): Promise<string> {
    for (;;) {
      const first = await this.line();
      if (!PUSH.test(first)) return await this.#wholeReply(first);
      this.#pushes.push(first);
    }
  }

  /** Takes what a tracker pushes next. Nobody may be waiting for a reply. */
  async push(): Promise<string> {
    const kept = this.#pushes.shift();
    if (kept !== undefined) return kept;
    const line = await this.line();
    if (!PUSH.test(line)) throw new Error(`A reply came where a push was waited for: ${JSON.stringify(line)}`);
    return line;
  }

  /** Takes all replies until a tracker ends, each line with its end; what was pushed between them waits for `push`. */
  async replies(): Promise<string> {
    await this.#until(() => this.ended, "the end");
    let replies = "";
    while (this.#received.includes(10)) {
      const first = await this.line();
      if (PUSH.test(first)) this.#pushes.push(first);
      else replies += `${await this.#wholeReply(first)}\n`;
    }
    return replies + (await this.rest()).toString();
  }

  /** What was pushed and not taken with `push`, as far as it was read. */
  get pushes(): readonly string[] {
    return this.#pushes;
  }

  async #wholeReply(first: string): Promise<string> {
    const lines = [first];
    const count = Number(/^(?:FOUND|PEERS): (\d+)$/.exec(first)?.[1] ?? 0);
    while (lines.length <= count) lines.push(await this.line());
    return lines.join("\n");
  }

  /** Takes everything until the other side ends. */
  async rest(): Promise<Buffer> {
    await this.#until(() => this.ended, "the end");
    const all = this.#received;
    this.#received = Buffer.alloc(0);
    return all;
  }
}

/** A server whose connections are handled by a script. */
export async function rawServer(script: (connection: Raw) => void): Promise<{ port: number; close(): void }> {
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    script(new Raw(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
