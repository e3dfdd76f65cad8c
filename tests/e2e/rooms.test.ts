// Private rooms: the compiled programs, with keys that are right, wrong, old and missing, and trackers that are not what they were.

import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { files } from "../helpers/guests.ts";
import { PeerStage } from "../helpers/peer-stage.ts";
import { freePort, PEER, type Program, TRACKER } from "../helpers/programs.ts";
import { rawServer } from "../helpers/raw.ts";
import { OTHER_SECRET, RoomGuest } from "../helpers/room.ts";
import { eventually, noise } from "../helpers/sockets.ts";
import { KEY, Screen } from "../helpers/terminal.ts";
import { NOTES } from "../helpers/tracker.ts";

const stage = new PeerStage();
afterEach(() => stage.close());

const ROOM_KEY = "acid acorn acre acts afar affix";
const DATA = Buffer.from(noise(400_000));

/** The folders of one person: nothing of them is shared with others. */
function person() {
  const home = stage.folder();
  const folder = stage.folderWith({ "mine.txt": "mine" });
  const env = { XDG_STATE_HOME: home, XDG_CACHE_HOME: home, XDG_CONFIG_HOME: home };
  const run = async (args: string[], more: Record<string, string> = {}) => {
    const program = stage.run(PEER, args, { cwd: folder, env: { ...env, ...more } });
    return { code: await program.exited, out: program.out, err: program.err };
  };
  return { home, folder, env, run };
}

/** A tracker at a port of its own, which keeps its room in `state`. */
async function track(port: number, state: string, args: string[], env: Record<string, string> = {}): Promise<Program> {
  const named = args.includes("--name") ? [] : ["--name", "Lab 3"];
  const own = ["--port", String(port), "--host", "127.0.0.1", ...named, "--no-announce", "--json", ...args];
  const program = stage.run(TRACKER, own, { env: { XDG_STATE_HOME: state, XDG_CONFIG_HOME: state, ...env } });
  await program.waitFor(/"event":"listening"/);
  return program;
}

async function stop(program: Program): Promise<void> {
  program.kill("SIGTERM");
  await program.exited;
}

/** A room with a key of ours, and a member that shares a file and a folder. */
async function room(...args: string[]) {
  const port = freePort();
  const state = stage.folder();
  const tracker = await track(port, state, args, { FT_ROOM: ROOM_KEY });
  const address = `127.0.0.1:${port}`;
  return { port, state, tracker, address };
}

describe("a private room", () => {
  test("is made with a key of six words, which is shown once and kept for this user alone", async () => {
    const port = freePort();
    const state = stage.folder();
    const first = await track(port, state, ["--room"]);
    const [, key = ""] = await first.waitFor(/"event":"room","file":"[^"]*","key":"([^"]+)"/);
    expect(first.out).toContain('"room":true');
    expect(key).toMatch(/^(?:[a-z-]{3,5} ){5}[a-z-]{3,5}$/);
    const path = join(state, "filetracker", `room-${port}.key`);
    expect(readFileSync(path, "utf8")).toBe(`${key}\n`);
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o600);
    await stop(first);
    const again = await track(port, state, ["--room"]);
    await again.waitFor(/"event":"room"/);
    expect(again.out).not.toContain(key);
    const { code } = await person().run([`127.0.0.1:${port}`, "who"], { FT_ROOM: key.toUpperCase() });
    expect(code).toBe(0);
  });

  test("takes its key from a file, whoever starts it, and has neither a web page nor a group", async () => {
    const file = join(stage.folderWith({ key: `${ROOM_KEY}\n` }), "key");
    chmodSync(file, 0o600);
    const port = freePort();
    await track(port, stage.folder(), ["--room-file", file]);
    const ann = person();
    expect((await ann.run([`127.0.0.1:${port}`, "who", "--room-file", file])).code).toBe(0);
    for (const [option, words] of [
      ["--web", "A private room has no web page"],
      ["--group=lab", "A private room is one tracker of its own"],
    ] as const) {
      const refused = stage.run(TRACKER, ["--port", "0", "--room", option]);
      expect(await refused.exited).toBe(2);
      expect(refused.err).toContain(words);
    }
  });

  test("serves files and folders to members, and remembers for them what they need next time", async () => {
    const { address } = await room();
    const ann = person();
    writeFileSync(join(ann.folder, "data.bin"), DATA);
    mkdirSync(join(ann.folder, "album"));
    for (let i = 0; i < 5; i += 1) writeFileSync(join(ann.folder, "album", `${i}.jpg`), noise(5_000, i + 1));
    const args = [address, "share", "data.bin", "album", "--port", "0", "--json"];
    const sharing = stage.run(PEER, args, { cwd: ann.folder, env: { ...ann.env, FT_ROOM: ROOM_KEY } });
    await sharing.waitFor(/"event":"joined"[^\n]*"room":true/);
    await sharing.waitFor(/"event":"root"/);
    await sharing.waitFor(/"event":"folder"/);
    const ben = person();
    const to = stage.folder();
    expect(await ben.run([address, "get", "data.bin", "album", "--to", to], { FT_ROOM: ROOM_KEY })).toMatchObject({ code: 0 });
    expect(readFileSync(join(to, "data.bin"))).toEqual(DATA);
    expect(readFileSync(join(to, "album", "4.jpg"))).toEqual(Buffer.from(noise(5_000, 5)));
    // The key is known now.
    expect((await ben.run([address, "find", "data"])).code).toBe(0);
    const kept = join(ben.home, "filetracker", "rooms.json");
    if (process.platform !== "win32") expect(statSync(kept).mode & 0o777).toBe(0o600);
    const { out } = await ben.run([address, "doctor", "--json"]);
    expect(out).toMatch(/"check":"tracker","status":"ok","detail":"Joined the private room at [^\n]*"room":true/);
  });
});

describe("a peer without the right key", () => {
  test("is told so in a sentence, and nothing is learnt of it", async () => {
    const { address, tracker } = await room();
    const eve = person();
    const where = `"${address}"`;
    const none = await eve.run([address, "who"]);
    expect([none.code, none.out]).toEqual([1, ""]);
    expect(none.err).toEndWith(
      `The tracker at ${where} is a private room. Give its key in a file with --room-file FILE, or in the variable FT_ROOM.\n`,
    );
    const wrong = await eve.run([address, "who"], { FT_ROOM: "acid acorn acre acts afar agile" });
    expect(wrong.code).toBe(1);
    expect(wrong.err).toEndWith(
      `The private room at ${where} does not take this key. Check it, or ask for the present one: it may have changed.\n`,
    );
    expect((await eve.run([address, "who"], { FT_ROOM: "short" })).code).toBe(2);
    const json = await eve.run([address, "who", "--json"], { FT_ROOM: "acid acorn acre acts afar agile" });
    expect(json.out + json.err).toContain('"code":"room-key"');
    expect(tracker.out).not.toContain('"event":"joined"');
    const { out } = await eve.run([address, "doctor"]);
    expect(out).toContain("is a private room. Give its key");
  });

  test("has one deadline for all that comes before the proof, however slowly it talks", async () => {
    const { port } = await room("--accept-within", "1");
    using silent = await RoomGuest.connect(port);
    using slow = await RoomGuest.connect(port);
    using half = await RoomGuest.connect(port);
    half.send(half.opener().hello);
    expect(await half.line()).toStartWith("ROOM share=");
    const hello = slow.opener().hello.repeat(100);
    for (let at = 0; !slow.over; at += 1) {
      slow.send(hello[at] ?? "");
      await Bun.sleep(100);
    }
    await silent.until(() => silent.over);
    await half.until(() => half.over);
    expect([silent.text, slow.text]).toEqual(["", ""]);
  });

  test("has few guesses, of which the operator is told the number, and members are served meanwhile", async () => {
    const { port, state } = await room("--accept-within", "1");
    using member = await RoomGuest.connect(port);
    expect(await member.prove()).toBe(true);
    member.send(`HELLO FT/2 agent=test/1\n${files(9, NOTES)}`);
    expect(await member.line()).toStartWith("HI ");
    expect(await member.line()).toStartWith("WELCOME ");
    const guess = async () => {
      using guest = await RoomGuest.connect(port);
      expect(await guest.prove(OTHER_SECRET)).toBe(false);
      expect(guest.text).toMatch(/^(?:ROOM share=[0-9a-f]{64}\n)?$/);
    };
    // An address may have fewer connections than that at once.
    const guesses = Promise.all(Array.from({ length: 10 }, async () => [await guess(), await guess()]));
    member.send("LIST\n");
    let line = await member.line();
    while (line?.startsWith("REACH")) line = await member.line();
    expect(line).toBe("FOUND: 1");
    await guesses;
    const status = stage.run(TRACKER, ["status", "--port", String(port), "--json"], { env: { XDG_STATE_HOME: state } });
    expect(await status.exited).toBe(0);
    const { refused } = JSON.parse(status.out).data;
    // Five at once; one more for each twelve seconds that this takes.
    expect(refused["wrong-key"]).toBeWithin(5, 20);
    expect(refused["wrong-key"] + refused["not-accepted"]).toBe(20);
  });

  test("keeps nothing with --forget", async () => {
    const { address } = await room();
    const ann = person();
    const kept = async () => {
      const paths = await Array.fromAsync(new Bun.Glob("**").scan(ann.home));
      return paths.filter((path) => /Lab 3|127\.0\.0\.1|acid/.test(readFileSync(join(ann.home, path), "utf8")));
    };
    expect((await ann.run([address, "who", "--forget"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
    expect(await kept()).toEqual([]);
    expect((await ann.run([address, "who"])).code).toBe(1);
    expect((await ann.run([address, "who"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
    expect(await kept()).not.toEqual([]);
    expect((await ann.run([address, "who"])).code).toBe(0);
    expect((await ann.run([address, "who", "--forget"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
    expect(await kept()).toEqual([]);
    expect((await ann.run([address, "who"])).code).toBe(1);
  });

  test("is asked in a narrow terminal, too, with the whole question, also about the name", async () => {
    const { address } = await room();
    const ann = person();
    const place = { cwd: ann.folder, env: { ...ann.env, NO_COLOR: "1" }, columns: 28, rows: 20 };
    const screen = new Screen([PEER, address, "--share", "mine.txt", "--port", "0"], place);
    try {
      await screen.waitFor(/This tracker is a\s+│ {2}private room\. Its key\?/);
      screen.press(ROOM_KEY);
      screen.press(KEY.enter);
      await screen.waitFor(/What is your name, as\s+│ {2}others see it\?/);
    } finally {
      await screen.close();
    }
  });

  test("is asked for it on a terminal, which does not show it", async () => {
    const { address } = await room();
    const ann = person();
    const screen = new Screen([PEER, address, "who"], { cwd: ann.folder, env: { ...ann.env, NO_COLOR: "1" } });
    try {
      await screen.waitFor("This tracker is a private room. Its key?");
      screen.press("wrong wrong");
      screen.press(KEY.enter);
      await screen.waitFor("does not take this key");
      await screen.waitFor("Its key?");
      screen.press(ROOM_KEY);
      screen.press(KEY.enter);
      expect(await screen.exited).toBe(0);
      for (const word of ["wrong wrong", "acid", "acorn"]) expect(screen.raw).not.toContain(word);
    } finally {
      await screen.close();
    }
    expect((await ann.run([address, "who"])).code).toBe(0);
  });
});

/** A program that keeps what it hears first on each connection, and closes that without a word. */
async function firstWords(): Promise<{ address: string; said: string[] }> {
  const said: string[] = [];
  const server = await rawServer((connection) => {
    connection.socket.once("data", (bytes: Buffer) => {
      said.push(bytes.toString());
      connection.close();
    });
  });
  stage.atEnd(() => server.close());
  return { address: `127.0.0.1:${server.port}`, said };
}

describe("an open tracker", () => {
  const named = /^HELLO FT\/2 agent=ft-peer\/[\d.]+ extras=1 key=[\w-]{43} name=me\n$/;
  const nameless = /^HELLO FT\/2 agent=ft-peer\/[\d.]+ extras=1\n$/;

  test("hears from a peer that knows of no rooms what it heard before there were any", async () => {
    const { address, said } = await firstWords();
    expect((await person().run([address, "who", "--name", "me"])).code).toBe(1);
    expect(said).toEqual([expect.stringMatching(named), "HELLO"]);
  });

  test("hears no name before a peer knows that it is no room, if that could get into one", async () => {
    const { address } = await room();
    const ann = person();
    expect((await ann.run([address, "who"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
    const known = await firstWords();
    await ann.run([known.address, "who", "--name", "me"]);
    expect(known.said).toEqual([expect.stringMatching(nameless), expect.stringMatching(named), "HELLO"]);
    const asked = await firstWords();
    const { env, folder: cwd } = person();
    const screen = new Screen([PEER, asked.address, "who", "--name", "me"], { cwd, env: { ...env, NO_COLOR: "1" } });
    try {
      expect(await screen.exited).toBe(1);
    } finally {
      await screen.close();
    }
    expect(asked.said).toEqual([expect.stringMatching(nameless), expect.stringMatching(named), "HELLO"]);
  });
});

describe("a room that changes", () => {
  test("has moved: a member finds it at the new address by its certificate", async () => {
    const { port, state, tracker, address } = await room();
    const ann = person();
    expect((await ann.run([address, "who"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
    await stop(tracker);
    const elsewhere = freePort();
    renameSync(join(state, "filetracker", `room-${port}.pem`), join(state, "filetracker", `room-${elsewhere}.pem`));
    await track(elsewhere, state, [], { FT_ROOM: ROOM_KEY });
    expect((await ann.run([`127.0.0.1:${elsewhere}`, "who"])).code).toBe(0);
  });

  test("has another key after room new: everybody is out, and the old key is old", async () => {
    const port = freePort();
    const state = stage.folder();
    const tracker = await track(port, state, ["--room"]);
    const [, key = ""] = await tracker.waitFor(/"key":"([^"]+)"/);
    const address = `127.0.0.1:${port}`;
    const ann = person();
    const args = [address, "share", "--port", "0", "--json"];
    const sharing = stage.run(PEER, args, { cwd: ann.folder, env: { ...ann.env, FT_ROOM: key } });
    await sharing.waitFor(/"event":"joined"/);
    const order = stage.run(TRACKER, ["room", "new", "--port", String(port), "--json"], { env: { XDG_STATE_HOME: state } });
    expect(await order.exited).toBe(0);
    const { data } = JSON.parse(order.out);
    await sharing.waitFor(/"event":"shut-out","code":"room-key"/);
    expect(await sharing.exited).toBe(1);
    const old = await ann.run([address, "who"]);
    expect(old.code).toBe(1);
    expect(old.err).toContain(`The private room at "${address}" has another key now. Ask for the new one.`);
    expect((await ann.run([address, "who"], { FT_ROOM: data.key })).code).toBe(0);
    expect((await ann.run([address, "who"])).code).toBe(0);
  });

  test("has another key after room new, also when it is not running; a tracker that does not answer keeps its own", async () => {
    const port = freePort();
    const state = stage.folder();
    const file = join(state, "filetracker", `room-${port}.key`);
    const order = async () => {
      const program = stage.run(TRACKER, ["room", "new", "--port", String(port)], { env: { XDG_STATE_HOME: state } });
      return { code: await program.exited, out: program.out, err: program.err };
    };
    const tracker = await track(port, state, ["--room"]);
    const [, key = ""] = await tracker.waitFor(/"key":"([^"]+)"/);
    await eventually(() => existsSync(join(state, "filetracker", `tracker-${port}.sock`)));
    const status = stage.run(TRACKER, ["status", "--port", String(port)], { env: { XDG_STATE_HOME: state } });
    expect(await status.exited).toBe(0);
    process.kill(tracker.pid, "SIGSTOP");
    const silent = await order();
    expect([silent.code, silent.out, readFileSync(file, "utf8").trim()]).toEqual([1, "", key]);
    expect(silent.err).toContain(`The tracker on port ${port} does not answer.`);
    tracker.kill("SIGKILL");
    await tracker.exited;
    const stopped = await order();
    const kept = readFileSync(file, "utf8").trim();
    expect([stopped.code, kept === key]).toEqual([0, false]);
    expect(stopped.out).toStartWith(`Its tracker is not running here. When it starts, the room has a new key: ${kept}\n`);
  });

  test("has another key: commands that wait for others end, and say why", async () => {
    const port = freePort();
    const state = stage.folder();
    const tracker = await track(port, state, ["--room"]);
    const [, key = ""] = await tracker.waitFor(/"key":"([^"]+)"/);
    const start = (name: string, ...args: string[]) => {
      const { folder, env } = person();
      writeFileSync(join(folder, `${name}.txt`), name);
      return stage.run(PEER, [`127.0.0.1:${port}`, ...args, "--name", name], { cwd: folder, env: { ...env, FT_ROOM: key } });
    };
    const commands = [["share"], ["want", "none"], ["get", "none", "--wait", "1h"], ["send", "P3.txt", "--to", "all"]];
    const programs = commands.map((words, i) => start(`P${i}`, ...words));
    const begun = [/^Sharing/m, /^Waiting/m, /^Nobody has/m, /^Handing/m];
    await eventually(() => programs.every(({ err, out }, i) => begun[i]?.test(`${out}\n${err}`)));
    for (const _ of programs) await tracker.waitFor(/"event":"joined"/);
    const order = stage.run(TRACKER, ["room", "new", "--port", String(port)], { env: { XDG_STATE_HOME: state } });
    expect(await order.exited).toBe(0);
    for (const program of programs) {
      expect(await program.exited).toBe(1);
      expect(program.err).toContain("has another key now. Ask for the new one.");
    }
  });

  test("has another key: a person at the prompts types the new one, and is back", async () => {
    const port = freePort();
    const state = stage.folder();
    const tracker = await track(port, state, ["--room"]);
    const [, key = ""] = await tracker.waitFor(/"key":"([^"]+)"/);
    const ann = person();
    const args = [`127.0.0.1:${port}`, "--share", "mine.txt", "--name", "Ann", "--port", "0"];
    const screen = new Screen([PEER, ...args], { cwd: ann.folder, env: { ...ann.env, FT_ROOM: key, NO_COLOR: "1" } });
    try {
      await screen.waitFor("What are you looking for?");
      const order = stage.run(TRACKER, ["room", "new", "--port", String(port), "--json"], { env: { XDG_STATE_HOME: state } });
      expect(await order.exited).toBe(0);
      await screen.waitFor("has another key now, and you are not online. Esc: type the new one.");
      screen.press(KEY.escape);
      await screen.waitFor("Type the room's new key");
      screen.press(KEY.enter);
      await screen.waitFor("Its key?");
      screen.press(JSON.parse(order.out).data.key);
      screen.press(KEY.enter);
      await screen.waitFor("Back at the tracker.");
    } finally {
      await screen.close();
    }
    expect((await ann.run([`127.0.0.1:${port}`, "who"])).code).toBe(0);
  });

  test("has another key: a person at the prompts serves nobody until they have typed it", async () => {
    const port = freePort();
    const state = stage.folder();
    const tracker = await track(port, state, ["--room"]);
    const [, key = ""] = await tracker.waitFor(/"key":"([^"]+)"/);
    const ann = person();
    writeFileSync(join(ann.folder, "big.bin"), new Uint8Array(20_000_000).fill(7));
    const args = [`127.0.0.1:${port}`, "--share", "big.bin", "--name", "Ann", "--port", "0", "--limit", "500kB"];
    const screen = new Screen([PEER, ...args], { cwd: ann.folder, env: { ...ann.env, FT_ROOM: key, NO_COLOR: "1" } });
    try {
      await screen.waitFor("What are you looking for?");
      const ben = person();
      const get = stage.run(PEER, [`127.0.0.1:${port}`, "get", "big.bin", "--json"], {
        cwd: ben.folder,
        env: { ...ben.env, FT_ROOM: key },
      });
      await get.waitFor(/"event":"progress","received":[1-9]/);
      const order = stage.run(TRACKER, ["room", "new", "--port", String(port)], { env: { XDG_STATE_HOME: state } });
      expect(await order.exited).toBe(0);
      expect(await get.exited).toBe(1);
      expect(get.out).toContain("Your progress is saved");
    } finally {
      await screen.close();
    }
  });

  test("has another certificate: nothing is sent to it but with --forget", async () => {
    const { port, state, tracker, address } = await room();
    const ann = person();
    expect((await ann.run([address, "who"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
    await stop(tracker);
    rmSync(join(state, "filetracker", `room-${port}.pem`));
    const other = await track(port, state, [], { FT_ROOM: ROOM_KEY });
    const refused = await ann.run([address, "who"], { FT_ROOM: ROOM_KEY });
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("is not the one that was used before: its certificate is another one.");
    expect(other.out).not.toContain('"event":"joined"');
    expect((await ann.run([address, "who", "--forget"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
  });

  test("becomes open: a peer that knows it, or has a key, tells it nothing", async () => {
    const { port, state, tracker, address } = await room();
    const ann = person();
    expect((await ann.run([address, "who"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
    await stop(tracker);
    const open = await track(port, state, []);
    const known = await ann.run([address, "who"]);
    expect(known.code).toBe(1);
    expect(known.err).toContain(
      `The tracker at "${address}" was a private room, and now a program answers there that does not encrypt.`,
    );
    const given = await person().run([address, "who"], { FT_ROOM: ROOM_KEY });
    expect(given.code).toBe(1);
    expect(given.err).toContain(`The tracker at "${address}" is not a private room: it does not encrypt.`);
    expect(open.out).not.toMatch(/"event":"joined"|ft-peer/);
    expect((await ann.run([address, "who", "--forget"])).code).toBe(0);
  });

  test("becomes open: a peer knows it by its address, too, when its host's name was typed last", async () => {
    const { port, state, tracker, address } = await room();
    const ann = person();
    expect((await ann.run([address, "who"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
    expect((await ann.run([`localhost:${port}`, "who"])).code).toBe(0);
    await stop(tracker);
    await track(port, state, ["--name", "Other"]);
    for (const at of [address, `localhost:${port}`]) {
      const { code, err } = await ann.run([at, "who"]);
      expect([code, err]).toEqual([1, expect.stringContaining("was a private room, and now a program answers there")]);
    }
  });

  test("has a double: an open tracker of its name at another address gets no list", async () => {
    const { address } = await room();
    const ann = person();
    expect((await ann.run([address, "who"], { FT_ROOM: ROOM_KEY })).code).toBe(0);
    for (const name of ["Lab 3", "LAB  3 "]) {
      const port = freePort();
      const double = await track(port, stage.folder(), ["--name", name]);
      const refused = await ann.run([`127.0.0.1:${port}`, "who"]);
      expect(refused.code).toBe(1);
      expect(refused.err).toContain(
        `The tracker "Lab 3" at "127.0.0.1:${port}" is open to everybody, and has the name of a private room that you were in.`,
      );
      expect(double.out).not.toContain('"event":"joined"');
      expect((await person().run([`127.0.0.1:${port}`, "who"])).code).toBe(0);
    }
  });
});
