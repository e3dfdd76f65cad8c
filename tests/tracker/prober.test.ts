// Whether a port can be connected to: what is said of each, and how many are tried at once.

import { describe, expect, test } from "bun:test";
import { systemClock } from "../../lib/clock.ts";
import { FtError } from "../../lib/error.ts";
import type { Channel, Dial } from "../../lib/net/channel.ts";
import { dial } from "../../lib/net/dial.ts";
import { PortProber } from "../../lib/tracker/prober.ts";
import { addressOf, connection, HandClock, Net, REFUSED, settle } from "../helpers/channel.ts";
import { rawServer } from "../helpers/raw.ts";

const LOOPBACK = addressOf("127.0.0.1");
const HERE = { address: LOOPBACK, port: 40123 };
/** A port on which nothing listens. */
const CLOSED = { address: LOOPBACK, port: 1 };
const AT_ONCE = 64;

/** An error as the network gives it when the system has refused. */
function failure(code: string): FtError {
  return new FtError("unreachable", "the connection could not be made", { cause: Object.assign(new Error(code), { code }) });
}

/** A network on which tries stay open until the test ends them. */
class Slow {
  readonly tried: number[] = [];
  readonly #open: ((outcome: FtError | undefined) => void)[] = [];
  most = 0;

  get open(): number {
    return this.#open.length;
  }

  readonly dial: Dial = ({ port }) => {
    this.tried.push(port);
    return new Promise((resolve, reject) => {
      this.#open.push((outcome) => {
        if (outcome !== undefined) return reject(outcome);
        const { near, far } = connection({ address: addressOf(LOOPBACK), port });
        void far.until(() => far.over).then(() => far.close());
        resolve(near);
      });
      this.most = Math.max(this.most, this.open);
    });
  };

  /** Ends the oldest try. */
  end(outcome?: FtError): void {
    this.#open.shift()?.(outcome);
  }
}

describe("a port", () => {
  test("that lets in is reachable; it sees a connection that says nothing and closes", async () => {
    const seen: number[] = [];
    const closed = Promise.withResolvers<void>();
    const server = await rawServer((guest) => {
      guest.rest().then(
        (bytes) => {
          seen.push(bytes.length);
          guest.halfClose();
          closed.resolve();
        },
        (error) => closed.reject(error),
      );
    });
    try {
      expect(await new PortProber(systemClock, dial).reach({ address: LOOPBACK, port: server.port })).toEqual({
        reachable: true,
        reason: "",
      });
      await closed.promise;
      expect(seen).toEqual([0]);
    } finally {
      server.close();
    }
  });

  test("that is closed is not, with the reason as a clause", async () => {
    const reason = "nothing listens there (connection refused)";
    expect(await new PortProber(systemClock, dial).reach(CLOSED)).toEqual({ reachable: false, reason });
  });

  test("that cannot be, or an address that cannot, is not either", async () => {
    const prober = new PortProber(systemClock, dial);
    for (const to of [
      { address: LOOPBACK, port: 0 },
      { address: LOOPBACK, port: 65_536 },
      { address: "", port: 5 },
      { address: "255.255.255.255", port: 5 },
      { address: "fe80::1%no-such-interface", port: 5 },
    ]) {
      expect([to, await prober.reach(to)]).toEqual([
        to,
        { reachable: false, reason: expect.stringMatching(/^[a-z][^\n]+[^.]$/) },
      ]);
    }
  });

  test("that says nothing is given three seconds", async () => {
    const asked: unknown[] = [];
    const silent = new FtError("no-answer", "no answer within 3 s");
    const prober = new PortProber(systemClock, (to, options) => {
      asked.push(to, options?.timeoutMs);
      return Promise.reject(silent);
    });
    expect(await prober.reach(HERE)).toEqual({ reachable: false, reason: "no answer within 3 s" });
    expect(asked).toEqual([HERE, 3_000]);
  });

  test.each(["EMFILE", "ENFILE"])("is not called unreachable when it is this program that could not try: %s", async (code) => {
    expect(await new PortProber(systemClock, () => Promise.reject(failure(code))).reach(HERE)).toBeUndefined();
  });

  test.each(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ECONNRESET", ""])(
    "is unreachable when the network says so: %j",
    async (code) => {
      expect(await new PortProber(systemClock, () => Promise.reject(failure(code))).reach(HERE)).toEqual({
        reachable: false,
        reason: "the connection could not be made",
      });
    },
  );

  test("is unreachable, and nothing else happens, whatever the network throws", async () => {
    const prober = new PortProber(systemClock, () => {
      throw "rubbish";
    });
    expect(await prober.reach(HERE)).toEqual({ reachable: false, reason: "rubbish" });
    expect(await prober.reach(HERE)).toEqual({ reachable: false, reason: "rubbish" });
  });
});

describe("of a thousand ports at once", () => {
  test("never more than 64 are being tried, the first come first, and each is told its own outcome", async () => {
    const network = new Slow();
    const prober = new PortProber(systemClock, network.dial);
    const ports = Array.from({ length: 1000 }, (_, i) => i + 1);
    const outcomes = ports.map((port) => prober.reach({ address: LOOPBACK, port }));
    await settle();
    expect(network.open).toBe(AT_ONCE);
    // In waves of different sizes, some of which fail, in one way or the other.
    for (let ended = 0, wave = 1; ended < 1000; wave = (wave % 70) + 1) {
      for (let i = 0; i < wave && network.open > 0; i += 1, ended += 1) {
        network.end(ended % 5 === 1 ? REFUSED : ended % 5 === 2 ? failure("EMFILE") : undefined);
      }
      await settle();
      expect(network.open).toBe(Math.min(AT_ONCE, 1000 - ended));
    }
    expect(network.most).toBe(AT_ONCE);
    expect(network.tried).toEqual(ports);
    const said = await Promise.all(outcomes);
    expect(said.map((reach) => reach?.reachable)).toEqual(
      ports.map((_, i) => (i % 5 === 1 ? false : i % 5 === 2 ? undefined : true)),
    );
  });

  test("the last ones leave nothing behind: a thousand more go as well", async () => {
    const network = new Slow();
    const prober = new PortProber(systemClock, network.dial);
    for (let round = 0; round < 2; round += 1) {
      const all = Promise.all(Array.from({ length: 200 }, () => prober.reach(HERE)));
      await settle();
      while (network.open > 0) {
        expect(network.open).toBeLessThanOrEqual(AT_ONCE);
        network.end(REFUSED);
        await settle();
      }
      expect((await all).every((reach) => reach?.reachable === false)).toBe(true);
    }
    expect([network.most, network.tried.length]).toEqual([AT_ONCE, 400]);
  });

  test("never more than 64 are open, although nobody there closes", async () => {
    const clock = new HandClock();
    const network = new Net(clock);
    network.onConnection = () => {};
    const open = new Set<Channel>();
    let most = 0;
    let known = 0;
    const prober = new PortProber(systemClock, async (to, options) => {
      for (const channel of open) if (channel.closed) open.delete(channel);
      const channel = await network.dial(to, options);
      open.add(channel);
      most = Math.max(most, open.size);
      return channel;
    });
    for (let port = 1; port <= 1000; port += 1) {
      void prober.reach({ address: "192.168.1.7", port }).then((reach) => {
        if (reach?.reachable) known += 1;
      });
    }
    for (let second = 0; second < 60 && known < 1000; second += 1) await clock.pass(1_000);
    expect(known).toBe(1000);
    expect(most).toBeLessThanOrEqual(AT_ONCE);
  });
});

describe("a holder that does not close", () => {
  test("holds a descriptor for no longer than a try may take", async () => {
    const clock = new HandClock();
    const network = new Net(clock);
    network.onConnection = () => {};
    const open: Channel[] = [];
    const prober = new PortProber(systemClock, async (to, options) => {
      const channel = await network.dial(to, options);
      open.push(channel);
      return channel;
    });
    expect(await prober.reach({ address: "192.168.1.7", port: 5 })).toMatchObject({ reachable: true });
    await clock.pass(2_999);
    expect(open.map(({ closed }) => closed)).toEqual([false]);
    await clock.pass(1);
    expect(open.map(({ closed }) => closed)).toEqual([true]);
  });

  test("cannot make this program read for ever", async () => {
    const LOT = 256 * 1024 * 1024;
    const chunk = new Uint8Array(256 * 1024);
    let sent = 0;
    const ended = Promise.withResolvers<void>();
    const server = Bun.listen({
      hostname: LOOPBACK,
      port: 0,
      // It is told that nothing more is wanted, and goes on.
      allowHalfOpen: true,
      socket: {
        open: pour,
        drain: pour,
        data: () => undefined,
        end: () => undefined,
        close: () => ended.resolve(),
        error: () => undefined,
      },
    });
    function pour(socket: Bun.Socket): void {
      for (;;) {
        const taken = Math.max(0, socket.write(chunk));
        sent += taken;
        if (sent >= LOT) socket.terminate();
        if (taken < chunk.length || sent >= LOT) return;
      }
    }
    try {
      expect(await new PortProber(systemClock, dial).reach({ address: LOOPBACK, port: server.port })).toMatchObject({
        reachable: true,
      });
      await ended.promise;
      expect(sent).toBeLessThan(LOT / 4);
    } finally {
      server.stop(true);
    }
  });
});
