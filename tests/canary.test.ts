// Canaries: how this version of the runtime behaves where we work around it, or lean on it. None of them tests our own code. When
// one falls after an upgrade, its name says which workaround may go, or must be thought over.
//
// Left out because they cannot be shown quickly: the timeout that fires on a wheel of four seconds, the missing connect timeout,
// and the accept loop that spins when descriptors run out (all three in lib/net/tcp.ts).

import { describe, expect, test } from "bun:test";
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket, SocketHandler, TCPSocketListener } from "bun";

const KiB = 1024;
const MiB = 1024 * KiB;
const LOOPBACK = "127.0.0.1";
const linux = process.platform === "linux";

/** More than the kernels of both ends hold together. */
const much = new Uint8Array(64 * MiB);

interface Pair extends AsyncDisposable {
  /** The accepted end and the connected one. */
  far: Socket;
  near: Socket;
}

interface PairOptions {
  /** Handlers and half-open setting of the accepted end … */
  farEvents?: SocketHandler<undefined>;
  farHalfOpen?: boolean;
  /** … and of the connected one, which keeps its half open and may be born paused. */
  nearEvents?: SocketHandler<undefined>;
  nearDeaf?: boolean;
}

async function pair({ farEvents, farHalfOpen, nearEvents, nearDeaf = false }: PairOptions): Promise<Pair> {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  const server = Bun.listen({
    hostname: LOOPBACK,
    port: 0,
    ...(farHalfOpen === undefined ? {} : { allowHalfOpen: farHalfOpen }),
    socket: { data() {}, ...farEvents, open: resolve },
  });
  const near = await Bun.connect({
    hostname: LOOPBACK,
    port: server.port,
    allowHalfOpen: true,
    socket: {
      data() {},
      ...nearEvents,
      open(socket) {
        if (nearDeaf) socket.pause();
      },
    },
  });
  const far = await promise;
  return {
    far,
    near,
    async [Symbol.asyncDispose]() {
      near.terminate();
      far.terminate();
      server.stop(true);
    },
  };
}

/** A few turns of the event loop: whatever was already under way has been handled. */
async function breath(): Promise<void> {
  for (let i = 0; i < 10; i += 1) await new Promise((go) => setImmediate(go));
}

/** A temporary folder that is gone after the test. */
class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "canary-"));

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

/** Runs a small program; its exit code and what it printed. */
async function run(...command: string[]): Promise<{ code: number; printed: string }> {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  const printed = await new Response(child.stdout).text();
  return { code: await child.exited, printed };
}

describe("a socket", () => {
  test("takes what the kernel takes and queues nothing; so lib/net/tcp.ts has a queue a channel", async () => {
    let received = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    await using ends = await pair({
      farHalfOpen: true,
      nearDeaf: true,
      nearEvents: {
        data: (_, chunk) => {
          received += chunk.length;
        },
        end: () => resolve(),
      },
    });
    const taken = ends.far.write(much, 0, much.length);
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(much.length);
    expect(ends.far.write(much, 0, much.length)).toBe(0);
    ends.far.shutdown();
    ends.near.resume();
    await promise;
    expect(received).toBe(taken);
    ends.far.terminate();
    expect(ends.far.write(much, 0, 1)).toBe(-1);
  });

  test("throws at an offset without a length; so lib/net/tcp.ts gives write three arguments", async () => {
    await using ends = await pair({});
    expect(() => ends.far.write(new Uint8Array(10), 5)).toThrow(RangeError);
    expect(ends.far.write(new Uint8Array(10), 5, 5)).toBe(5);
  });

  test("forgets with end what it had taken when the other side has talked; so finish in lib/net/tcp.ts shuts down and waits", async () => {
    let received = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    await using ends = await pair({
      farHalfOpen: true,
      nearDeaf: true,
      nearEvents: {
        data: (_, chunk) => {
          received += chunk.length;
        },
        end: () => resolve(),
        close: () => resolve(),
      },
    });
    ends.far.pause();
    ends.near.write("and another thing");
    await breath();
    const taken = ends.far.write(much, 0, much.length);
    ends.far.end();
    ends.near.resume();
    await promise;
    expect(taken).toBeGreaterThan(MiB);
    expect(received).toBeLessThan(taken);
  });

  test("drops with end(bytes) what does not fit, and is not told as closed meanwhile; so lib/net/tcp.ts keeps queue and flag", async () => {
    let received = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    await using ends = await pair({
      farHalfOpen: true,
      nearDeaf: true,
      nearEvents: {
        data: (_, chunk) => {
          received += chunk.length;
        },
        end: () => resolve(),
        close: () => resolve(),
      },
      // Without this handler it would not even close.
      farEvents: { drain() {} },
    });
    ends.far.end(much);
    expect(ends.far.readyState).toBe(1);
    ends.near.resume();
    await promise;
    expect(received).toBeLessThan(much.length);
  });

  test("cuts a long answer to a client that half-closed, unless told otherwise; so lib/net/tcp.ts sets allowHalfOpen", async () => {
    let received = 0;
    let sent = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    const more = (socket: Socket) => {
      sent += Math.max(0, socket.write(much, 0, much.length - sent));
    };
    await using ends = await pair({
      farEvents: { data: more, drain: more, end() {} },
      nearEvents: {
        data: (_, chunk) => {
          received += chunk.length;
        },
        end: () => resolve(),
        close: () => resolve(),
      },
    });
    ends.near.write("GET");
    ends.near.shutdown();
    await promise;
    expect(sent).toBeGreaterThan(0);
    expect(received).toBeLessThan(much.length);
  });

  test("tells the other side's end as a bare close once its own side is shut; so `over` in lib/net/tcp.ts makes the end", async () => {
    const told: string[] = [];
    const asked = Promise.withResolvers<void>();
    const { promise, resolve } = Promise.withResolvers<void>();
    await using ends = await pair({
      farHalfOpen: true,
      farEvents: { end: () => asked.resolve() },
      nearEvents: {
        data: () => {
          told.push("data");
        },
        end: () => {
          told.push("end");
        },
        close: (_, error) => {
          told.push(error === undefined ? "close" : "error");
          resolve();
        },
      },
    });
    ends.near.shutdown();
    await asked.promise;
    ends.far.write("answer");
    ends.far.shutdown();
    await promise;
    expect(told).toEqual(["data", "close"]);
  });

  test("stays open when a handler throws, and tells `error` alone; so lib/net/tcp.ts destroys it there", async () => {
    const told: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    await using ends = await pair({
      farEvents: {
        data() {
          throw new Error("a mistake");
        },
        error: (_, { message }) => {
          told.push(message);
          resolve();
        },
        close: () => {
          told.push("close");
        },
      },
    });
    ends.near.write("go");
    await promise;
    await breath();
    expect(told).toEqual(["a mistake"]);
    expect(ends.far.readyState).toBe(1);
  });

  test("does not wait for an async data handler; so handlers in lib/net/channel.ts are synchronous", async () => {
    const told: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const first = Promise.withResolvers<void>();
    await using ends = await pair({
      farEvents: {
        async data(socket, chunk) {
          const text = chunk.toString();
          told.push(`${text} begins`);
          socket.write("?");
          if (text === "one") await first.promise;
          told.push(`${text} ends`);
          if (text === "two") first.resolve();
          else resolve();
        },
      },
      nearEvents: {
        data(socket) {
          if (told.length === 1) socket.write("two");
        },
      },
    });
    ends.near.write("one");
    await promise;
    expect(told).toEqual(["one begins", "two begins", "two ends", "one ends"]);
  });

  test("ends the program when an async data handler rejects; so handlers in lib/net/channel.ts are synchronous", async () => {
    const program = `
      const server = Bun.listen({
        hostname: "${LOOPBACK}",
        port: 0,
        socket: {
          async data(socket) { socket.write("."); throw new Error("a mistake"); },
          error() { console.log("told"); },
        },
      });
      const socket = { open: (it) => { it.write("go"); }, data() { setTimeout(() => process.exit(0), 500); } };
      Bun.connect({ hostname: "${LOOPBACK}", port: server.port, socket });`;
    expect(await run(process.execPath, "-e", program)).toEqual({ code: 1, printed: "" });
  });

  test("gives at most 512 KiB in one call, in a buffer that may be kept; lib/net/tcp.ts keeps what comes before start", async () => {
    const chunks: Buffer[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    await using ends = await pair({
      farHalfOpen: true,
      nearDeaf: true,
      nearEvents: {
        data: (_, chunk) => {
          chunks.push(chunk);
        },
        end: () => resolve(),
      },
    });
    const sent = new Uint8Array(3 * MiB);
    for (let i = 0; i < sent.length; i += 1) sent[i] = (i * 31 + (i >>> 8) * 17 + (i >>> 16)) & 255;
    const taken = ends.far.write(sent, 0, sent.length);
    ends.far.shutdown();
    await breath();
    ends.near.resume();
    await promise;
    expect(chunks.length).toBeGreaterThan(1);
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(512 * KiB);
    expect(Buffer.concat(chunks).equals(sent.subarray(0, taken))).toBe(true);
  });

  test.skipIf(!linux)("has no keep-alive unless asked; so lib/net/tcp.ts asks", async () => {
    await using ends = await pair({});
    const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, "0");
    /** The running timer of a connection: 02 is keep-alive, 00 none. */
    const timerOf = ({ localPort, remotePort }: Socket) => {
      const row = new RegExp(` [0-9A-F]{8}:${hex(localPort)} [0-9A-F]{8}:${hex(remotePort)} 01 .*`);
      const [found] = row.exec(readFileSync("/proc/net/tcp", "utf8")) ?? [];
      return found?.trim().split(" ")[4]?.slice(0, 2);
    };
    expect(timerOf(ends.far)).toBe("00");
    expect(timerOf(ends.near)).toBe("00");
    ends.far.setKeepAlive(true, 15_000);
    expect(timerOf(ends.far)).toBe("02");
  });
});

describe("a listener", () => {
  test("on :: shows IPv4 guests as ::ffff:a.b.c.d; so parseAddress in lib/protocol/address.ts has one form", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    let server: TCPSocketListener;
    try {
      server = Bun.listen({ hostname: "::", port: 0, socket: { open: (socket) => resolve(socket.remoteAddress), data() {} } });
    } catch {
      // This machine has no IPv6.
      return;
    }
    const guest = await Bun.connect({ hostname: LOOPBACK, port: server.port, socket: { data() {} } });
    expect(await promise).toBe("::ffff:127.0.0.1");
    guest.terminate();
    server.stop(true);
  });

  test("keeps its connections at stop() and frees the port; stop in lib/net/listen.ts leans on it", async () => {
    const opened = Promise.withResolvers<Socket>();
    const answered = Promise.withResolvers<string>();
    const closed = Promise.withResolvers<void>();
    const options = { hostname: LOOPBACK, socket: { open: opened.resolve, data() {} } };
    const server = Bun.listen({ ...options, port: 0 });
    const guest = await Bun.connect({
      hostname: LOOPBACK,
      port: server.port,
      socket: { data: (_, chunk) => answered.resolve(chunk.toString()), close: () => closed.resolve() },
    });
    const host = await opened.promise;
    server.stop();
    const again = Bun.listen({ ...options, port: server.port });
    host.write("still here");
    expect(await answered.promise).toBe("still here");
    again.stop(true);
    server.stop(true);
    host.terminate();
    await closed.promise;
    guest.terminate();
  });

  const longQueue = linux && Number(readFileSync("/proc/sys/net/core/somaxconn", "utf8")) > 512;
  test.skipIf(!longQueue)(
    "has a queue of 512 and no option for it; so lib/peer/online/retries.ts comes back at random moments",
    async () => {
      const program = `
      const server = Bun.listen({ hostname: "${LOOPBACK}", port: 0, socket: { data() {} } });
      require("node:fs").writeSync(1, server.port + "\\n");
      Bun.sleepSync(60_000);`;
      const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
      const first = await child.stdout.getReader().read();
      const port = Number(new TextDecoder().decode(first.value));
      const guests: Socket[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      const socket = {
        open(guest: Socket) {
          guests.push(guest);
          if (guests.length === 513) resolve();
        },
        data() {},
        connectError() {},
      };
      for (let i = 0; i < 530; i += 1) Bun.connect({ hostname: LOOPBACK, port, socket }).catch(() => undefined);
      await promise;
      await breath();
      // A full queue of n lets in n + 1.
      expect(guests.length).toBe(513);
      for (const guest of guests) guest.terminate();
      child.kill();
      await child.exited;
    },
  );
});

test.skipIf(!linux)(
  "the runtime raises its descriptor limit to the hard one; descriptorLimit in lib/net/listen.ts leans on it",
  async () => {
    const program = `console.log(/^Max open files +(\\d+) +(\\d+)/m.exec(require("fs").readFileSync("/proc/self/limits", "utf8")).slice(1).join())`;
    const { printed } = await run("sh", "-c", `ulimit -n 512; ulimit -Sn 200; exec "$0" -e "$1"`, process.execPath, program);
    expect(printed).toBe("512,512\n");
  },
);

describe("files", () => {
  test.skipIf(!linux)("a writer's end resolves on a full disk; so lib/peer/disk/incoming.ts writes by descriptor", async () => {
    const writer = Bun.file("/dev/full").writer();
    const failed = await Promise.try(() => writer.write(new Uint8Array(MiB))).then(
      () => false,
      () => true,
    );
    expect(failed).toBe(true);
    // Nothing was written, and this says so nowhere.
    expect(await writer.end()).toBe(0);
  });

  test("a stream of a file that shrinks ends early without an error, and size is stale; so lib/peer/disk/share.ts reads by position", async () => {
    using folder = new Folder();
    const path = folder.file("shrinks");
    writeFileSync(path, new Uint8Array(8 * MiB));
    const file = Bun.file(path);
    expect(file.size).toBe(8 * MiB);
    let received = 0;
    for await (const chunk of file.stream()) {
      if (received === 0) truncateSync(path, 0);
      received += chunk.length;
    }
    expect(received).toBeLessThan(8 * MiB);
    expect(file.size).toBe(8 * MiB);
    expect(Bun.file(path).size).toBe(0);
  });

  test("wx and link never overwrite, and a folder can be synced; publishing in lib/peer/disk/naming.ts leans on it", () => {
    using folder = new Folder();
    const part = folder.file("part");
    const taken = folder.file("taken");
    writeFileSync(part, "new");
    writeFileSync(taken, "old");
    expect(() => writeFileSync(taken, "new", { flag: "wx" })).toThrow("EEXIST");
    expect(() => linkSync(part, taken)).toThrow("EEXIST");
    expect(readFileSync(taken, "utf8")).toBe("old");
    linkSync(part, folder.file("published"));
    expect(readFileSync(folder.file("published"), "utf8")).toBe("new");
    const descriptor = openSync(folder.path, "r");
    fsyncSync(descriptor);
    closeSync(descriptor);
  });

  test("there is no BLAKE3 among the hashes; so lib/peer/content/merkle.ts uses SHA-256", () => {
    const known: readonly string[] = Bun.CryptoHasher.algorithms;
    expect(known).toContain("sha256");
    expect(known.filter((name) => name.startsWith("blake3"))).toEqual([]);
  });
});

describe("Bun.RedisClient", () => {
  /** A server that takes HELLO, answers each further command by its name, and keeps what it heard on each connection. */
  function redis(answer: (command: string, socket: Socket) => string) {
    const heard: string[][] = [];
    const server = Bun.listen<{ commands: string[] }>({
      hostname: LOOPBACK,
      port: 0,
      socket: {
        open(socket) {
          socket.data = { commands: [] };
          heard.push(socket.data.commands);
        },
        data(socket, chunk) {
          // `*2\r\n$3\r\nGET\r\n$1\r\na\r\n` → GET
          for (const [, command = ""] of chunk.toString().matchAll(/\*\d+\r\n\$\d+\r\n([A-Za-z]+)\r\n/g)) {
            socket.data.commands.push(command);
            socket.write(command === "HELLO" ? "%1\r\n+proto\r\n:3\r\n" : answer(command, socket as unknown as Socket));
          }
        },
      },
    });
    return { server, heard, url: `redis://${LOOPBACK}:${server.port}` };
  }

  test("does not subscribe again after its own reconnect, so that is off (lib/tracker/group/redis.ts)", async () => {
    const subscribed = ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
    const { server, heard, url } = redis((_command, socket) => {
      setTimeout(() => socket.end(), 10);
      return subscribed;
    });
    const client = new Bun.RedisClient(url, { autoReconnect: true, maxRetries: 50 });
    await client.connect();
    await client.subscribe("news", () => {});
    while (heard.length < 2 || heard[1]?.length === 0) await Bun.sleep(10);
    await Bun.sleep(100);
    expect(heard[1]).toEqual(["HELLO"]);
    client.close();
    server.stop(true);
  });

  test("without its reconnect, a lost connection rejects what waits for a reply, and tells", async () => {
    const { server, url } = redis((_command, socket) => {
      setTimeout(() => socket.end(), 10);
      return "";
    });
    const client = new Bun.RedisClient(url, { autoReconnect: false });
    const closed = new Promise<void>((resolve) => {
      client.onclose = () => resolve();
    });
    expect(await client.send("GET", ["a"]).catch((error: Error) => error.message)).toBe("Connection closed");
    await closed;
    server.stop(true);
  });

  test("sends commands of one turn together and in order, and gives the error of one of a transaction in its results", async () => {
    const { server, heard, url } = redis((command) => (command === "EXEC" ? "*2\r\n:1\r\n-WRONGTYPE no\r\n" : "+OK\r\n"));
    const client = new Bun.RedisClient(url, { autoReconnect: false });
    const replies = await Promise.all(["MULTI", "HSET", "XADD", "EXEC"].map((command) => client.send(command, [])));
    expect(heard).toEqual([["HELLO", "MULTI", "HSET", "XADD", "EXEC"]]);
    expect((replies[3] as unknown[])[1]).toBeInstanceOf(Error);
    client.close();
    server.stop(true);
  });
});
