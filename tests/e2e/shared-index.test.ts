// Trackers that share one index by a real Redis: the compiled programs.

import { describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { end, House } from "../helpers/house.ts";
import { Alone, type Host, Lan } from "../helpers/lan.ts";
import { PEER, type Program, Stage, TRACKER } from "../helpers/programs.ts";
import { Raw } from "../helpers/raw.ts";
import { RedisServer } from "../helpers/redis-server.ts";

const noRedis = RedisServer.possible();
if (noRedis !== undefined) console.warn(`Not tried: trackers that share one index, because ${noRedis}.`);
const withRedis = test.skipIf(noRedis !== undefined);

/** A tracker of the group, and a peer of it that asks. */
interface Hall {
  program: Program;
  port: number;
  /** Searches for an exact name; gives the number of records. */
  search(name: string): Promise<number>;
  raw: Raw;
}

/** Trackers that share one index by a Redis. */
class Campus implements AsyncDisposable {
  readonly stage = new Stage();
  readonly redis: RedisServer;
  readonly halls: Hall[] = [];
  readonly #guests: Raw[] = [];

  static async of(count: number): Promise<Campus> {
    const campus = new Campus(await RedisServer.start());
    for (let i = 0; i < count; i++) await campus.open(campus.redis.url);
    return campus;
  }

  constructor(redis: RedisServer) {
    this.redis = redis;
  }

  async open(url: string): Promise<Hall> {
    const name = `Hall ${this.halls.length + 1}`;
    const { program, port } = await this.stage.tracker("--json", "--name", name, "--group", "campus", "--redis", url);
    await program.waitFor(/"event":"redis","state":"connected"/);
    const raw = await this.join(port, 4_000 + this.halls.length, `own-${this.halls.length + 1}.txt`);
    const search = async (wanted: string) => {
      raw.send(`SEARCH: ${wanted}\n`);
      return Number(/^FOUND: (\d+)/.exec(await raw.reply())?.[1] ?? 0);
    };
    const hall = { program, port, raw, search };
    this.halls.push(hall);
    return hall;
  }

  hall(n: number): Hall {
    const hall = this.halls[n - 1];
    if (hall === undefined) throw new Error(`There is no hall ${n}.`);
    return hall;
  }

  /** A peer that shares a file. */
  async join(tracker: number, port: number, name: string): Promise<Raw> {
    const raw = await Raw.connect(tracker);
    this.#guests.push(raw);
    raw.send(`HELLO FT/2 agent=test/1 extras=1\nFILES 1 port=${port}\n<${name},text/plain,12,01/02/26,10.0.0.1,${port};v=2>\n`);
    await raw.line();
    await raw.line();
    return raw;
  }

  /** All records at a tracker, sorted. */
  async table(n: number): Promise<string[]> {
    const { raw } = this.hall(n);
    raw.send("LIST offset=0 limit=2000\n");
    return (await raw.reply()).split("\n").slice(1).sort();
  }

  /** Waits until every tracker has the same table, with these files in it. */
  async untilEqual(...names: string[]): Promise<void> {
    for (const until = Date.now() + 50_000; ; await Bun.sleep(100)) {
      const tables = await Promise.all(this.halls.map((_, i) => this.table(i + 1)));
      const isEqual = tables.every((table) => JSON.stringify(table) === JSON.stringify(tables[0]));
      const files = (tables[0] ?? []).map((line) => /^<([^,]+)/.exec(line)?.[1]);
      if (isEqual && names.every((name) => files.includes(name))) return;
      if (Date.now() > until) throw new Error(`The tables did not become equal: ${JSON.stringify(tables)}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const guest of this.#guests) guest.close();
    await this.stage.close();
    await this.redis[Symbol.asyncDispose]();
  }
}

describe("trackers that share one index", () => {
  withRedis("a peer of one finds, sees and fetches the file of a peer of the other", async () => {
    await using campus = await Campus.of(2);
    const { stage } = campus;
    const folder = stage.folder();
    writeFileSync(join(folder, "notes.txt"), "Bring the cables.\n");
    await stage.sharing(`127.0.0.1:${campus.hall(1).port}`, folder, 1, "--share", join(folder, "notes.txt"));
    const into = stage.folder();
    writeFileSync(join(into, "mine.txt"), "mine");
    await campus.untilEqual("notes.txt");
    const at = `127.0.0.1:${campus.hall(2).port}`;
    const getting = stage.run(PEER, [at, "get", "notes.txt", "--share", "mine.txt", "--port", "0"], { cwd: into });
    expect({ code: await getting.exited, err: getting.err }).toMatchObject({ code: 0 });
    expect(readFileSync(join(into, "notes.txt"), "utf8")).toBe("Bring the cables.\n");
    const status = stage.run(TRACKER, ["status", "--port", String(campus.hall(1).port)]);
    await status.exited;
    expect(status.out).toMatch(/group {8}"campus", Redis at 127\.0\.0\.1:\d+ connected for/);
    expect(status.out).toMatch(/ {2}tracker {4}"Hall 2" at 127\.0\.0\.1:\d+: \d peers?, \d files?\n/);
  });

  const faults: [string, (redis: RedisServer) => void | Promise<void>, (redis: RedisServer) => void | Promise<void>][] = [
    ["is killed", (redis) => redis.kill(), (redis) => redis.start()],
    ["closes all connections", (redis) => void redis.ask("CLIENT", "KILL", "TYPE", "normal"), () => {}],
    ["is emptied", (redis) => void redis.ask("FLUSHALL"), () => {}],
    [
      "takes no changes, because its disk is full",
      (redis) => redis.fillDisk(),
      (redis) => void redis.ask("CONFIG", "SET", "stop-writes-on-bgsave-error", "no"),
    ],
    [
      "has another password",
      (redis) => {
        redis.ask("CONFIG", "SET", "requirepass", "other");
        redis.ask("-a", "other", "CLIENT", "KILL", "TYPE", "normal");
      },
      (redis) => void redis.ask("-a", "other", "CONFIG", "SET", "requirepass", ""),
    ],
    ["hangs", (redis) => redis.hang(6), () => {}],
  ];
  for (const [what, fail, mend] of faults) {
    withRedis(`when Redis ${what}, no request fails, and afterwards all tables are equal`, async () => {
      await using campus = await Campus.of(2);
      await campus.untilEqual("own-1.txt", "own-2.txt");
      const failing = Promise.resolve(fail(campus.redis));
      const [one, two] = [campus.hall(1), campus.hall(2)];
      await campus.join(one.port, 4_100, "during.txt");
      for (let i = 0; i < 20; i++) {
        expect([await one.search("own-2.txt"), await two.search("own-1.txt"), await one.search("during.txt")]).toEqual([
          1, 1, 1,
        ]);
        await Bun.sleep(50);
      }
      await failing;
      await mend(campus.redis);
      await campus.untilEqual("own-1.txt", "own-2.txt", "during.txt");
    });
  }

  withRedis("a wrong password is said in the log, and nowhere is a password", async () => {
    await using campus = new Campus(await RedisServer.start("--requirepass", "right"));
    const file = join(campus.stage.folder(), "redis-url");
    writeFileSync(file, `redis://:wr0ng@127.0.0.1:${campus.redis.port}\n`);
    chmodSync(file, 0o600);
    const { program, port } = await campus.stage.tracker("--json", "--redis-file", file);
    await program.waitFor(/"state":"away"[^\n]*it refuses the password/);
    const status = campus.stage.run(TRACKER, ["status", "--port", String(port)]);
    await status.exited;
    expect(status.out).toContain("it refuses the password");
    expect(program.out + program.err + status.out + status.err).not.toContain("wr0ng");
    const config = campus.stage.run(TRACKER, ["config", "--redis", "redis://ann:wr0ng@127.0.0.1"]);
    await config.exited;
    expect(config.out).toContain("redis://ann:***@127.0.0.1");
    expect(config.out).not.toContain("wr0ng");
    writeFileSync(file, `redis://:right@127.0.0.1:${campus.redis.port}\n`);
    const right = await campus.stage.tracker("--json", "--redis-file", file);
    await right.program.waitFor(/"event":"redis","state":"connected"/);
  });
});

describe("trackers on one computer without a network", () => {
  const onNoNetwork = test.skipIf(noRedis !== undefined || Alone.possible() !== undefined);

  onNoNetwork("a peer of one fetches the file of a peer of the other", async () => {
    await using stage = Object.assign(new Stage(), { [Symbol.asyncDispose]: () => stage.close() });
    using alone = await Alone.make();
    const start = (words: string[], cwd = stage.folder()) => {
      const [command = "", ...args] = alone.command(...words);
      return stage.run(command, args, { cwd });
    };
    const redis = start(["redis-server", "--save", "", "--port", "6380"]);
    await redis.waitFor(/Ready to accept connections/);
    const shared = ["--json", "--group", "campus", "--redis", "redis://127.0.0.1:6380"];
    const trackers = ["2001", "2002"].map((port) => start([TRACKER, "--port", port, "--name", `Hall ${port}`, ...shared]));
    for (const tracker of trackers) await tracker.waitFor(/"event":"tracker","state":"here"/);
    const folder = stage.folder();
    writeFileSync(join(folder, "one.txt"), "one");
    const sharing = start([PEER, "127.0.0.1:2001", "share", "one.txt", "--json", "--port", "0"], folder);
    await sharing.waitFor(/"event":"root"/);
    const into = stage.folder();
    writeFileSync(join(into, "two.txt"), "two");
    const get = ["get", "one.txt", "--wait", "1m", "--share", "two.txt", "--port", "0"];
    const getting = start([PEER, "127.0.0.1:2002", ...get], into);
    expect({ code: await getting.exited, err: getting.err }).toMatchObject({ code: 0 });
    expect(readFileSync(join(into, "one.txt"), "utf8")).toBe("one");
  });
});

describe("trackers on several hosts", () => {
  const onCampus = test.skipIf(noRedis !== undefined || Lan.possible() !== undefined);

  onCampus(
    "a tracker that is cut off goes on with its own peers, and afterwards all tables are equal, without those that left",
    async () => {
      await using house = new House();
      const [a, b, c] = house.hosts();
      const redis = house.start(c, "redis-server", ["--save", "", "--protected-mode", "no"]);
      await redis.waitFor(/Ready to accept connections/);
      const shared = ["--group", "campus", "--redis", "redis://10.77.0.3:6379", "--no-announce"];
      const [one, two] = [await house.track(a, "--name", "A", ...shared), await house.track(b, "--name", "B", ...shared)];
      for (const tracker of [one, two]) await tracker.waitFor(/"state":"connected"/);
      const search = async (host: Host, tracker: string, name: string) => {
        const { out } = await house.peer(host, [tracker, "search", name, "--json"]);
        return out.split("\n").filter((line) => line.includes(`"name":"${name}"`)).length;
      };
      const stays = await house.share(b, house.folderWith("stays.txt", "stays"), "10.77.0.2");
      const leaves = await house.share(b, house.folderWith("leaves.txt", "leaves"), "10.77.0.2", "--port", "0");
      const own = await house.share(a, house.folderWith("own.txt", "own"), "10.77.0.1");
      for (const name of ["stays.txt", "leaves.txt"]) while ((await search(a, "10.77.0.1", name)) === 0);
      a.replug("eth0", house.lan.switch());
      await one.waitFor(/"state":"away"/);
      expect([await search(a, "10.77.0.1", "own.txt"), await search(a, "10.77.0.1", "stays.txt")]).toEqual([1, 1]);
      await end(leaves);
      a.replug("eth0", house.outside);
      await one.waitFor(/"state":"connected"/);
      while ((await search(a, "10.77.0.1", "leaves.txt")) > 0);
      while ((await search(b, "10.77.0.2", "own.txt")) === 0);
      expect(await search(a, "10.77.0.1", "stays.txt")).toBe(1);
      await Promise.all([end(stays), end(own)]);
    },
  );
});
