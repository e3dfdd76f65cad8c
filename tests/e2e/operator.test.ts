// The operator's view of a running tracker, with the compiled programs.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, PEER, Stage, TRACKER } from "../helpers/programs.ts";

let stage: Stage;
let state: string;

beforeEach(() => {
  stage = new Stage();
  state = stage.folder();
});

afterEach(() => stage.close());

/** A tracker whose state is in a folder of this test. */
async function track(...args: string[]) {
  const env = { XDG_STATE_HOME: state };
  const program = stage.run(TRACKER, ["--port", "0", "--host", "127.0.0.1", "--no-announce", "--json", ...args], { env });
  const [, port = ""] = await program.waitFor(/"event":"listening"[^\n]*"port":(\d+)/);
  await program.waitFor(/"event":"addresses"/);
  return { program, port, address: `127.0.0.1:${port}` };
}

/** An operator's command. */
async function order(port: string, ...args: string[]) {
  const program = stage.run(TRACKER, [...args, "--port", port], { env: { XDG_STATE_HOME: state } });
  return { code: await program.exited, out: program.out, err: program.err };
}

async function share(address: string) {
  const folder = stage.folder();
  writeFileSync(join(folder, "notes.txt"), "twelve bytes");
  const { program } = await stage.sharing(address, folder, 1);
  return program;
}

describe("the operator", () => {
  test("is told in words when the tracker cannot keep its files", async () => {
    const file = join(state, "file");
    writeFileSync(file, "no folder");
    // A key is kept for a fixed port only.
    const port = String(freePort());
    const args = ["--port", port, "--host", "127.0.0.1", "--no-announce", "--bans", join(state, "bans.txt")];
    const program = stage.run(TRACKER, args, { env: { XDG_STATE_HOME: file } });
    await program.waitFor(/listening on/);
    program.kill("SIGTERM");
    expect(await program.exited).toBe(0);
    const folder = join(file, "filetracker");
    const why = "(a part of its path is not a folder).\n";
    expect(program.err).toBe(
      `After the next start of this tracker, peers do not know it again: cannot write "${join(folder, `key-${port}.pem`)}" ${why}` +
        `Commands such as "ft-tracker status" do not reach this tracker: cannot write into "${folder}" ${why}`,
    );
  });

  test("sees what the tracker does, on one screen, by a command and by a signal", async () => {
    const { program, port, address } = await track("--name", "Lab 3");
    await share(address);
    const { code, out } = await order(port, "status");
    expect(code).toBe(0);
    expect(out.split("\n").length).toBeLessThan(24);
    expect(out).toMatch(/"Lab 3", ft-tracker \S+ on 127\.0\.0\.1:\d+/);
    expect(out).toMatch(/^peers +1 online, 1 connection$/m);
    expect(out).toMatch(/^files +1 \(12 B\), 1 content$/m);
    expect(out).toMatch(/^requests +\d+/m);
    expect(out).toMatch(/^memory +\d+ MB$/m);
    const json = await order(port, "status", "--json");
    expect(JSON.parse(json.out)).toMatchObject({ event: "status", done: true, data: { peers: 1, files: 1, bytes: 12 } });
    expect(JSON.parse(json.out)).not.toHaveProperty("words");
    program.kill("SIGUSR1");
    const [line] = await program.waitFor(/\{"event":"status"[^\n]*\n/);
    expect(JSON.parse(line)).toMatchObject({ peers: 1, files: 1, name: "Lab 3", rates: { joins: { total: 1 } } });
  });

  test("tells every peer something", async () => {
    const { program, port, address } = await track();
    const peer = await share(address);
    expect(await order(port, "notice", "Lunch", "is", "served")).toMatchObject({
      code: 0,
      out: "Told 1 peer: Lunch is served\n",
    });
    const [line] = await peer.waitFor(/\{"event":"notice"[^\n]*\n/);
    expect(JSON.parse(line)).toEqual({ event: "notice", words: "Lunch is served" });
    await program.waitFor(/"event":"operator","order":"notice"/);
  });

  test("keeps an address out for a while, also after a restart, and lets it in again", async () => {
    const first = await track();
    const peer = await share(first.address);
    expect((await order(first.port, "bans")).out).toBe("No bans.\n");
    const { code, out } = await order(first.port, "ban", "127.0.0.1", "too", "loud", "--for", "2h");
    expect(code).toBe(0);
    expect(out).toMatch(/^Banned 127\.0\.0\.1 until (?:\d{4}-\d\d-\d\d )?\d\d:\d\d\.\n$/);
    await first.program.waitFor(/"event":"left"/);
    await peer.waitFor(/\{"event":"dismissed","code":"banned","until":"[^"]*Z"\}/);
    peer.kill();
    const folder = stage.folder();
    writeFileSync(join(folder, "mine.txt"), "mine");
    const who = async (address: string) => {
      const program = stage.run(PEER, [address, "who"], { cwd: folder });
      return { code: await program.exited, err: program.err };
    };
    expect(await who(first.address)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^You are banned from this tracker until (?:\S+ )?\d\d:\d\d\.$/m),
    });
    await first.program.waitFor(/"event":"refused","address":"127\.0\.0\.1","code":"banned"/);
    const path = join(state, "filetracker", "bans.txt");
    expect(readFileSync(path, "utf8")).toMatch(/^127\.0\.0\.1 {2}until \S+ {2}too loud$/m);
    first.program.kill("SIGTERM");
    await first.program.exited;
    const second = await track();
    expect((await who(second.address)).code).toBe(1);
    expect((await order(second.port, "unban", "127.0.0.1")).code).toBe(0);
    expect((await order(second.port, "unban", "127.0.0.1")).code).toBe(1);
    expect((await who(second.address)).code).toBe(0);
  });

  test("that has made a slip in the bans: the tracker does not start, says the line, and leaves the file as it is", async () => {
    const path = join(stage.folder(), "bans.txt");
    const text = "# kept\n10.0.0.0/8 for good\n192.168.1 for good\n";
    writeFileSync(path, text);
    const program = stage.run(TRACKER, ["--port", "0", "--no-announce", "--bans", path]);
    expect(await program.exited).toBe(1);
    expect({ out: program.out, err: program.err }).toEqual({
      out: "",
      err: `Line 3 of "${path}" is no ban: "192.168.1 for good". Write ADDRESS for good, or ADDRESS until 2027-01-31T12:00:00Z, or # before it.\n`,
    });
    expect(readFileSync(path, "utf8")).toBe(text);
  });

  test("disconnects an address for a minute, and its person is told that and until when", async () => {
    const { program, port, address } = await track();
    const peer = await share(address);
    expect((await order(port, "kick", "127.0.0.1")).out).toMatch(/^Disconnected 127\.0\.0\.1 until (?:\S+ )?\d\d:\d\d\.\n$/);
    const [, reason] = await program.waitFor(/"event":"left"[^\n]*"reason":"([^"]*)"/);
    expect(reason).toBe("disconnected by the operator");
    await peer.waitFor(/\{"event":"dismissed","code":"kicked","until":"[^"]*Z"\}/);
    expect(peer.out).not.toContain('"event":"away"');
    expect((await order(port, "kick", "10.0.0.1")).code).toBe(1);
  });

  test("kicks, bans and unbans the peer that is called or listed so", async () => {
    const { program, port, address } = await track();
    const folder = stage.folder();
    writeFileSync(join(folder, "notes.txt"), "twelve bytes");
    await stage.sharing(address, folder, 1, "--name", "Ben");
    const ben = await stage.sharing(address, folder, 1, "--name", "Ben");
    const joined = await program.waitFor(/"event":"joined"[^\n]*"name":"Ben \(2\)"[^\n]*"port":(\d+)/);
    const named = await order(port, "kick", "ben (2)");
    expect(named.out).toStartWith(`Disconnected "Ben (2)" at 127.0.0.1:${joined[1]} until `);
    await ben.program.waitFor(/"event":"dismissed","code":"kicked"/);
    expect((await order(port, "status")).out).toMatch(/^peers +1 online/m);
    expect((await order(port, "kick", "nobody")).code).toBe(1);
    expect((await order(port, "ban", "Ben", "too", "loud")).out).toBe('Banned 127.0.0.1 ("Ben").\n');
    expect((await order(port, "bans")).out).toBe("127.0.0.1: Ben: too loud\n");
    expect((await order(port, "unban", "ben")).out).toBe("Unbanned 127.0.0.1.\n");
  });

  test.skipIf(process.platform === "win32")(
    "closes the terminal's window: the peers are told, and the socket is removed",
    async () => {
      const { program, port, address } = await track();
      const peer = await share(address);
      const door = join(state, "filetracker", `tracker-${port}.sock`);
      expect(existsSync(door)).toBe(true);
      // A terminal sends it to the whole group, and the shell once more to its jobs.
      program.kill("SIGHUP");
      program.kill("SIGHUP");
      expect(await program.exited).toBe(0);
      expect(existsSync(door)).toBe(false);
      expect(program.objects().at(-1)).toMatchObject({ event: "stopped" });
      expect(program.objects().find(({ event }) => event === "left")).toMatchObject({ reason: "the tracker is stopping" });
      const [line] = await peer.waitFor(/\{"event":"away"[^\n]*\n/);
      expect(JSON.parse(line)).toEqual({ event: "away", reason: "it was stopped" });
    },
  );

  test.skipIf(process.platform !== "linux")("has a tracker that nohup keeps when the window is closed", async () => {
    const args = ["--port", "0", "--host", "127.0.0.1", "--no-announce", "--json"];
    const program = stage.run("nohup", [TRACKER, ...args], { env: { XDG_STATE_HOME: state } });
    const [, port = ""] = await program.waitFor(/"event":"listening"[^\n]*"port":(\d+)/);
    await program.waitFor(/"event":"addresses"/);
    program.kill("SIGHUP");
    expect((await order(port, "status")).code).toBe(0);
    program.kill("SIGTERM");
    expect(await program.exited).toBe(0);
  });

  test.skipIf(process.platform === "win32")("reaches a tracker whose state folder was deleted while it runs", async () => {
    const { program, port } = await track();
    await order(port, "ban", "10.9.9.9", "too loud");
    rmSync(join(state, "filetracker"), { recursive: true });
    expect((await order(port, "status")).code).toBe(1);
    // The socket is back when a command gets through.
    while ((await order(port, "status")).code !== 0);
    expect(program.err).toBe(
      `Somebody has deleted this tracker's files in "${join(state, "filetracker")}". They were made anew.\n`,
    );
    expect(readFileSync(join(state, "filetracker", "bans.txt"), "utf8")).toContain("10.9.9.9  for good  too loud");
  });

  test("is this user alone", async () => {
    const { port } = await track();
    expect((await order(port, "status")).code).toBe(0);
    const door = statSync(join(state, "filetracker", `tracker-${port}.sock`));
    expect(door.mode & 0o077).toBe(0);
    expect(statSync(join(state, "filetracker")).mode & 0o077).toBe(0);
  });

  test.each([
    [["status", "x"], 2],
    [["kick"], 2],
    [["ban", ""], 2],
    [["kick", "Ben", "Smith"], 2],
    [["ban", "10.0.0.1", "--for", "soon"], 2],
    [["status", "--for", "2h"], 2],
    [["notice"], 2],
    [["reboot"], 2],
  ])("%p is refused with a sentence", async (args, wanted) => {
    const { code, out, err } = await order("1", ...args);
    expect({ code, out }).toEqual({ code: wanted, out: "" });
    expect(err.trim().split("\n")).toHaveLength(1);
  });

  test("is told when no tracker of theirs listens there", async () => {
    const { code, err } = await order("1", "status");
    expect(code).toBe(1);
    expect(err).toBe("You have no tracker running on port 1. If it uses another port, give --port N.\n");
  });
});

describe("a log", () => {
  test("has the first refusals of a flood one by one, and the others as a number", async () => {
    const { program, address, port } = await track();
    const peer = await share(address);
    for (let i = 0; i < 25; i++) {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port: Number(port), socket: { data() {} } });
      socket.write("GET / HTTP/1.1\r\n\r\n");
      socket.flush();
    }
    const total = async () => JSON.parse((await order(port, "status", "--json")).out).data.rates.refused.total;
    while ((await total()) < 25);
    program.kill("SIGTERM");
    await program.exited;
    const refused = program.objects().filter(({ event }) => event === "refused");
    expect(refused).toHaveLength(11);
    expect(refused.at(-1)).toMatchObject({ address: "127.0.0.1", more: 15 });
    peer.kill();
  });
});
