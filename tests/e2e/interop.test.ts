// The plain programs of 2020 and ours, in every pairing. The old ones are byte scripts: what they send, how much they read at
// once, and what they are silent about.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PEER, type Program, Stage } from "../helpers/programs.ts";
import { Raw, rawServer } from "../helpers/raw.ts";

let stage: Stage;
let cleanups: (() => void)[];

beforeEach(() => {
  stage = new Stage();
  cleanups = [];
});

afterEach(async () => {
  for (const clean of cleanups) clean();
  await stage.close();
});

// ---------------------------------------------------------------- what the tests are made of

const MODIFIED = new Date(2020, 3, 21, 12);
const DAY = "21/04/20";
const STORY = "Once upon a time there was a plain protocol.\n";
/** Every byte there is, and more of them than go into one packet. */
const PICTURE = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 255));

function folderWith(files: Record<string, string | Uint8Array>): string {
  const folder = stage.folder();
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), content);
    utimesSync(join(folder, name), MODIFIED, MODIFIED);
  }
  return folder;
}

function visitorFolder(): string {
  return folderWith({ "visitor.txt": "I share this.\n" });
}

async function ft(folder: string, ...args: string[]): Promise<{ code: number; out: string; err: string; program: Program }> {
  const program = stage.run(PEER, [...args, "--port", "0"], { cwd: folder });
  const code = await program.exited;
  return { code, out: program.out, err: program.err, program };
}

/** A peer of ours that stays online, at any tracker. */
async function sharing(address: string, folder: string): Promise<Program> {
  const program = stage.run(PEER, [address, "share", "--port", "0", "--json"], { cwd: folder });
  await program.waitFor(/"event":"joined"/);
  return program;
}

/** Waits for what another program is about to do. */
async function soon(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await Bun.sleep(10);
}

async function connect(port: number, from?: string): Promise<Raw> {
  const connection = await Raw.connect(port, "127.0.0.1", from);
  cleanups.push(() => connection.close());
  return connection;
}

/** The old client's joining: HELLO, two bytes back, the list in one piece, and away. */
async function joinAsOld(port: number, list: string, from?: string): Promise<void> {
  const connection = await connect(port, from);
  connection.send("HELLO");
  expect((await connection.take(2)).toString()).toBe("HI");
  connection.send(list);
  connection.halfClose();
  // Nothing is answered to a list.
  expect((await connection.rest()).toString()).toBe("");
}

/** One message on a connection of its own; everything that is answered until the tracker closes. */
async function say(port: number, message: string, from?: string): Promise<string> {
  const connection = await connect(port, from);
  connection.send(message);
  return (await connection.rest()).toString();
}

/** The old client's download: the request, its write side shut, everything until the end of the stream. */
async function downloadAsOld(port: number, request: string): Promise<Buffer> {
  const connection = await connect(port);
  connection.send(request);
  connection.halfClose();
  return connection.rest();
}

/** Everything that arrives until the other side shuts its write side, as the old peer reads a request. */
async function readToEnd(connection: Raw): Promise<string> {
  return (await connection.rest()).toString();
}

/** An old peer: serves when name, type and size are exactly those of its file, and otherwise closes without a word. */
async function oldPeer(
  file: { name: string; type: string; content: Uint8Array },
  serve: (connection: Raw) => void = (connection) => {
    connection.send("FILE:");
    connection.send(file.content);
    connection.halfClose();
  },
): Promise<{ port: number; requests: string[] }> {
  const requests: string[] = [];
  const server = await rawServer((connection) => {
    const answer = async () => {
      const request = await readToEnd(connection);
      requests.push(request);
      if (request === `DOWNLOAD:${file.name},${file.type},${file.content.length}`) serve(connection);
      else connection.close();
    };
    void answer().catch(() => undefined);
  });
  cleanups.push(() => server.close());
  return { port: server.port, requests };
}

/**
 * The old tracker: one `recv` of at most 1024 bytes is one message. It compares HELLO exactly, takes the whole list from the next
 * `recv`, wants `SEARCH: ` letter by letter, checks names and types by its own narrow patterns, forgets a list at the first record
 * that does not fit them, and says nothing at all to what it does not know.
 */
async function oldTracker(): Promise<{ address: string; said: string[]; index: Map<string, string[][]> }> {
  const index = new Map<string, string[][]>();
  const said: string[] = [];
  const takeList = (text: string) => {
    const tuples = [...text.matchAll(/<(.+?)>/g)].map(([, tuple = ""]) => tuple.split(","));
    if (tuples.length === 0 || tuples.length > 5) return;
    for (const [name = "", type = "", size = "", date = "", address = "", port = "", ...more] of tuples) {
      const fits =
        more.length === 0 &&
        /^[._A-Za-z -]+$/.test(name) &&
        /^[a-zA-Z/-]{3,70}$/.test(type) &&
        /^(?:[1-9]\d*|0)$/.test(size) &&
        /^\d\d\/\d\d\/\d\d$/.test(date) &&
        /^(?:(?:0|[1-9]\d{0,2})(?:\.|$)){4}$/.test(address) &&
        /^[1-9]\d{0,4}$/.test(port);
      if (!fits) return;
      index.set(name, [...(index.get(name) ?? []), [type, size, date, address, port]]);
    }
  };
  const server = await rawServer(({ socket }) => {
    let listIsNext = false;
    const receive = (message: string) => {
      said.push(message);
      if (listIsNext) {
        listIsNext = false;
        takeList(message);
      } else if (message === "HELLO") {
        listIsNext = true;
        socket.write("HI");
      } else if (message.startsWith("SEARCH: ")) {
        const records = index.get(message.slice(8).trimEnd());
        const lines = records?.map((fields) => `<${fields.join(",")}>\n`).join("");
        socket.end(lines === undefined ? "NOT FOUND" : `FOUND: ${lines}`);
      }
      // BYE, and everything it does not know, is answered with nothing; the connection stays.
    };
    socket.on("data", (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 1024) receive(chunk.subarray(at, at + 1024).toString());
    });
    socket.on("end", () => socket.end());
  });
  cleanups.push(() => server.close());
  return { address: `127.0.0.1:${server.port}`, said, index };
}

// ---------------------------------------------------------------- old client, our tracker

describe("an old client at our tracker", () => {
  test("joins, searches and leaves with the bytes of 2020", async () => {
    const { port, program } = await stage.tracker("--json");
    await joinAsOld(
      port,
      "<notes.txt,text/plain,12,21/04/20,10.1.2.3,40404>\n<my photo.jpg,image/jpeg,5000,01/12/19,10.1.2.3,40404>\n",
    );
    await program.waitFor(/"event":"joined"[^\n]*"port":40404[^\n]*"files":2/);
    // The tracker publishes the address it saw, whatever the peer wrote.
    expect(await say(port, "SEARCH: notes.txt")).toBe("FOUND: <text/plain,12,21/04/20,127.0.0.1,40404>\n");
    expect(await say(port, "SEARCH: my photo.jpg")).toBe("FOUND: <image/jpeg,5000,01/12/19,127.0.0.1,40404>\n");
    expect(await say(port, "SEARCH notes.txt")).toBe("FOUND: <text/plain,12,21/04/20,127.0.0.1,40404>\n");
    expect(await say(port, "SEARCH:   notes.txt  \n")).toBe("FOUND: <text/plain,12,21/04/20,127.0.0.1,40404>\n");
    expect(await say(port, "SEARCH: notes")).toBe("NOT FOUND");
    expect(await say(port, "SEARCH: __proto__")).toBe("NOT FOUND");
    expect(await say(port, "BYE")).toBe("");
    await program.waitFor(/"event":"left"[^\n]*"port":40404[^\n]*"reason":"left"/);
    // Nobody's address any more: no answer.
    expect(await say(port, "SEARCH: notes.txt")).toBe("");
  });

  test("is served when its HELLO and its list come byte by byte, or the list without its last newline", async () => {
    const { port, program } = await stage.tracker("--json");
    const connection = await connect(port);
    for (const byte of "HELLO") connection.send(byte);
    expect((await connection.take(2)).toString()).toBe("HI");
    for (const byte of "<a.txt,data,1,21/04/20,1.2.3.4,40404>\n<b c.txt,data,2,21/04/20,1.2.3.4,40404>") connection.send(byte);
    connection.halfClose();
    expect((await connection.rest()).toString()).toBe("");
    await program.waitFor(/"event":"(?:joined|updated)"[^\n]*"files":2/);
    expect(await say(port, "SEARCH: b c.txt")).toBe("FOUND: <data,2,21/04/20,127.0.0.1,40404>\n");
  });

  test("gets no answer as long as it has shared nothing", async () => {
    const { port, program } = await stage.tracker("--json");
    expect(await say(port, "SEARCH: notes.txt")).toBe("");
    const connection = await connect(port);
    connection.send("HELLO");
    expect((await connection.take(2)).toString()).toBe("HI");
    connection.halfClose();
    expect((await connection.rest()).toString()).toBe("");
    expect(await say(port, "SEARCH: notes.txt")).toBe("");
    await program.waitFor(/"event":"refused"/);
    expect(program.out).not.toContain('"joined"');
    // That another client is accepted changes nothing for it.
    await joinAsOld(port, "<notes.txt,text/plain,12,21/04/20,10.1.2.3,40404>\n");
    expect(await say(port, "SEARCH: notes.txt", "127.0.0.2")).toBe("");
    expect(await say(port, "SEARCH: notes.txt")).toStartWith("FOUND: ");
  });

  test("with six files is not accepted", async () => {
    const { port, program } = await stage.tracker("--json");
    const list = Array.from({ length: 6 }, (_, i) => `<${"abcdef"[i]}.txt,data,1,21/04/20,1.2.3.4,40404>\n`).join("");
    const connection = await connect(port);
    connection.send("HELLO");
    expect((await connection.take(2)).toString()).toBe("HI");
    connection.send(list);
    connection.halfClose();
    await connection.rest();
    await program.waitFor(/"event":"refused"/);
    expect(await say(port, "SEARCH: a.txt")).toBe("");
  });

  test("finds old and new peers together, a line each", async () => {
    const { port, address } = await stage.tracker();
    await joinAsOld(port, "<story.txt,text/plain,9,01/01/20,1.1.1.1,40001>\n");
    await joinAsOld(port, "<story.txt,data,8,02/01/20,1.1.1.1,40002>\n", "127.0.0.2");
    await sharing(address, folderWith({ "story.txt": STORY }));
    const answer = await say(port, "SEARCH: story.txt");
    expect(answer).toStartWith("FOUND: <");
    const lines = answer.slice("FOUND: ".length).split("\n");
    expect(lines.pop()).toBe("");
    expect(lines.sort()).toEqual([
      "<data,8,02/01/20,127.0.0.2,40002>",
      expect.stringMatching(new RegExp(`^<text/plain,${STORY.length},${DAY},127\\.0\\.0\\.1,\\d+>$`)),
      "<text/plain,9,01/01/20,127.0.0.1,40001>",
    ]);
    // And new peers find old ones.
    const { program } = await ft(visitorFolder(), address, "search", "story.txt", "--json");
    const seen = program
      .objects()
      .map((record) => `${record.address}:${record.port} ${record.size} ${record.modified} ${record.root}`);
    expect(seen).toContain("127.0.0.2:40002 8 2020-01-02 null");
    expect(seen.length).toBe(3);
  });

  test("that says BYE takes every old peer of its address along, and nobody else", async () => {
    const { port, address, program } = await stage.tracker("--json");
    await joinAsOld(port, "<one.txt,data,1,01/01/20,1.1.1.1,40001>\n");
    await joinAsOld(port, "<two.txt,data,1,01/01/20,1.1.1.1,40002>\n");
    await joinAsOld(port, "<three.txt,data,1,01/01/20,1.1.1.1,40003>\n", "127.0.0.2");
    await sharing(address, folderWith({ "four.txt": "new" }));
    expect(await say(port, "BYE")).toBe("");
    await program.waitFor(/"event":"left"/);
    await program.waitFor(/"event":"left"/);
    const { program: list } = await ft(visitorFolder(), address, "list", "--json");
    const names = list.objects().map(({ name }) => String(name));
    expect(names.sort()).toEqual(["four.txt", "three.txt", "visitor.txt"]);
  });

  test("is told nothing of FT/2: bare HELLO is answered with exactly two bytes and the connection waits", async () => {
    const { port } = await stage.tracker();
    const connection = await connect(port);
    connection.send("HELLO");
    expect((await connection.take(2)).toString()).toBe("HI");
    connection.send("<a.txt,data,1,21/04/20,1.2.3.4,40404>\n");
    // The next search is answered from the list above, so everything that was to be said on this connection has been.
    await soon(async () => (await say(port, "SEARCH: a.txt")) !== "");
    expect(connection.waiting.toString()).toBe("");
    connection.halfClose();
    expect((await connection.rest()).toString()).toBe("");
  });
});

// ---------------------------------------------------------------- old client, our peer

describe("an old client that downloads from our peer", () => {
  test("searches, picks a record, and gets FILE: and the bytes", async () => {
    const { port, address } = await stage.tracker();
    await joinAsOld(port, "<old.txt,data,1,21/04/20,10.1.2.3,40404>\n");
    await sharing(address, folderWith({ "story.txt": STORY, "picture.png": PICTURE, "empty.txt": "" }));
    for (const [name, content] of [
      ["story.txt", Buffer.from(STORY)],
      ["picture.png", PICTURE],
      ["empty.txt", Buffer.alloc(0)],
    ] as const) {
      const answer = await say(port, `SEARCH: ${name}`);
      const [, type = "", size = "", day, host, at] = /^FOUND: <([^,]+),(\d+),([^,]+),([^,]+),(\d+)>\n$/.exec(answer) ?? [];
      expect({ name, size: Number(size), day, host }).toEqual({ name, size: content.length, day: DAY, host: "127.0.0.1" });
      const got = await downloadAsOld(Number(at), `DOWNLOAD:${name},${type},${size}`);
      expect(got.subarray(0, 5).toString()).toBe("FILE:");
      expect({ name, same: got.subarray(5).equals(content) }).toEqual({ name, same: true });
    }
  });

  test("may spell it as the written specification does, and then gets FILE: and one space", async () => {
    const { port, address } = await stage.tracker();
    const folder = folderWith({ "story.txt": STORY, "two words, and more.txt": "spaces and a comma" });
    await sharing(address, folder);
    await joinAsOld(port, "<old.txt,data,1,21/04/20,10.1.2.3,40404>\n");
    const serving = Number(/,(\d+)>\n$/.exec(await say(port, "SEARCH: story.txt"))?.[1]);
    expect((await downloadAsOld(serving, "DOWNLOAD story.txt")).toString()).toBe(`FILE: ${STORY}`);
    expect((await downloadAsOld(serving, "DOWNLOAD story.txt\n")).toString()).toBe(`FILE: ${STORY}`);
    expect((await downloadAsOld(serving, "DOWNLOAD two words, and more.txt")).toString()).toBe("FILE: spaces and a comma");
    // A name with a comma also in the other form: type and size are what stands last.
    expect((await downloadAsOld(serving, "DOWNLOAD:two words, and more.txt,text/plain,18")).toString()).toBe(
      "FILE:spaces and a comma",
    );
  });

  test("gets the same when it does not shut its write side, but falls silent, or ends with a newline", async () => {
    const { port, address } = await stage.tracker();
    await sharing(address, folderWith({ "story.txt": STORY }));
    await joinAsOld(port, "<old.txt,data,1,21/04/20,10.1.2.3,40404>\n");
    const serving = Number(/,(\d+)>\n$/.exec(await say(port, "SEARCH: story.txt"))?.[1]);
    for (const end of ["", "\n", "\r\n"]) {
      expect(await say(serving, `DOWNLOAD:story.txt,text/plain,${STORY.length}${end}`)).toBe(`FILE:${STORY}`);
    }
  });

  test("gets no FILE: for another size, another name, or a path", async () => {
    const { port, address } = await stage.tracker();
    const folder = folderWith({ "story.txt": STORY });
    mkdirSync(join(folder, "below"));
    writeFileSync(join(folder, "below", "secret.txt"), "secret");
    await sharing(address, folder);
    await joinAsOld(port, "<old.txt,data,1,21/04/20,10.1.2.3,40404>\n");
    const serving = Number(/,(\d+)>\n$/.exec(await say(port, "SEARCH: story.txt"))?.[1]);
    const answers = new Set<string>();
    for (const request of [
      `DOWNLOAD:story.txt,text/plain,${STORY.length + 1}`,
      `DOWNLOAD:Story.txt,text/plain,${STORY.length}`,
      "DOWNLOAD:below/secret.txt,text/plain,6",
      `DOWNLOAD:${folder}/story.txt,text/plain,${STORY.length}`,
      `DOWNLOAD:./story.txt,text/plain,${STORY.length}`,
      "DOWNLOAD:../../../../etc/passwd,text/plain,1",
      "DOWNLOAD /etc/passwd",
      "DOWNLOAD below/secret.txt",
      "DOWNLOAD .",
    ]) {
      answers.add((await downloadAsOld(serving, request)).toString());
    }
    // The same answer to all.
    expect(answers.size).toBe(1);
    expect([...answers][0]).not.toContain("FILE:");
    expect((await downloadAsOld(serving, `DOWNLOAD:story.txt,text/plain,${STORY.length}`)).toString()).toBe(`FILE:${STORY}`);
  });
});

// ---------------------------------------------------------------- our peer, old tracker

describe("our peer at an old tracker", () => {
  test("joins with HELLO and one list, says that the tracker speaks the basic protocol, and leaves with BYE", async () => {
    const { address, said, index } = await oldTracker();
    const program = stage.run(PEER, [address, "share", "--port", "0"], {
      cwd: folderWith({ "story.txt": STORY, "my photo.png": PICTURE, "ünï.txt": "letters", "part1.txt": "a digit" }),
    });
    await soon(() => index.size === 2);
    expect(said[0]).toMatch(/^HELLO FT\/2 agent=ft-peer\/[\d.]+ extras=1 offers=1 key=[\w-]{43} name=[^ ]+\n$/);
    expect(said[1]).toBe("HELLO");
    const port = /,(\d+)>$/.exec(said[2] ?? "")?.[1];
    expect(said[2]?.trimEnd().split("\n").sort()).toEqual([
      `<my photo.png,image/png,${PICTURE.length},${DAY},127.0.0.1,${port}>`,
      `<story.txt,text/plain,${STORY.length},${DAY},127.0.0.1,${port}>`,
    ]);
    expect(said.length).toBe(3);
    program.kill("SIGINT");
    expect(await program.exited).toBe(130);
    expect(said.slice(3)).toEqual(["BYE"]);
    // Being online is the first of the events that share prints, whatever the tracker speaks.
    const [online = ""] = program.out.split("\n");
    expect(online).toContain("basic protocol");
    expect(online).toContain('"ünï.txt"');
    expect(online).toContain('"part1.txt"');
    expect(online).not.toContain("story.txt");
  });

  test("searches, is told what the tracker cannot do, and downloads without verification from a peer of ours", async () => {
    const { address, said } = await oldTracker();
    const holder = await sharing(address, folderWith({ "story.txt": STORY, "picture.png": PICTURE }));
    const inbox = stage.folder();
    const commands = {
      table: ["search", "story.txt"],
      json: ["search", "story.txt", "--json"],
      missing: ["search", "missing.txt", "--quiet"],
      list: ["list", "--quiet"],
      who: ["who", "--quiet"],
      get: ["get", "story.txt", "--to", inbox],
      getJson: ["get", "picture.png", "--to", inbox, "--json"],
      getRoot: ["get", `root:${"0".repeat(64)}`, "--quiet"],
    };
    const run = async ([name, words]: [string, string[]]) => [name, await ft(visitorFolder(), address, ...words)] as const;
    const outcomes = new Map(await Promise.all(Object.entries(commands).map(run)));
    const outcome = (name: keyof typeof commands) => {
      const found = outcomes.get(name);
      if (found === undefined) throw new Error(name);
      return found;
    };

    expect(outcome("table").code).toBe(0);
    expect(outcome("table").out).toMatch(/^story\.txt\t45 B\ttext\/plain\t2020-04-21\t127\.0\.0\.1:\d+\t\n$/);
    expect(outcome("table").err).toContain("basic protocol");
    expect(outcome("json").program.objects()).toMatchObject([
      {
        name: "story.txt",
        type: "text/plain",
        size: STORY.length,
        modified: "2020-04-21",
        address: "127.0.0.1",
        port: expect.any(Number),
        root: null,
        holders: 1,
      },
    ]);
    expect(said).toContain("SEARCH: story.txt");

    expect(outcome("missing").code).toBe(1);
    expect(outcome("missing").err).toMatch(/^[^\n]*"missing\.txt"[^\n]*\n$/);
    for (const name of ["list", "who", "getRoot"] as const) {
      const { code, out, err } = outcome(name);
      expect({ name, code, out }).toEqual({ name, code: 1, out: "" });
      expect(err).toMatch(/^[^\n]*basic protocol[^\n]*\n$/);
    }

    expect(outcome("get").code).toBe(0);
    expect(outcome("get").out).toMatch(/ {2}not verified\n$/);
    expect(readFileSync(join(inbox, "story.txt"), "utf8")).toBe(STORY);
    expect(outcome("getJson").code).toBe(0);
    expect(outcome("getJson").program.objects().at(-1)).toMatchObject({ event: "done", verified: false, size: PICTURE.length });
    expect(readFileSync(join(inbox, "picture.png")).equals(PICTURE)).toBe(true);
    expect(readdirSync(inbox).sort()).toEqual(["picture.png", "story.txt"]);
    // Every peer that joined has left with BYE.
    expect(said.filter((message) => message === "BYE").length).toBe(Object.keys(commands).length);
    expect(holder.objects()).toContainEqual(
      expect.objectContaining({ event: "upload-ended", name: "story.txt", complete: true }),
    );
  });

  test("keeps its list within one read of the old tracker, and says what was left out", async () => {
    const { address, said, index } = await oldTracker();
    const long = (letter: string) => `${letter.repeat(230)}.txt`;
    const files = Object.fromEntries(["a", "b", "c", "d", "e"].map((letter) => [long(letter), letter]));
    const program = await sharing(address, folderWith(files));
    await soon(() => index.size > 0);
    expect(said.length).toBe(3);
    // All files that fit.
    expect(index.size).toBe(3);
    const left = Object.keys(files).filter((name) => !index.has(name));
    expect(program.objects()[0]).toMatchObject({ event: "joined", profile: 1, left });
  });

  test("whose files all have names that the old tracker does not take is told so, with exit code 1", async () => {
    const { address, said } = await oldTracker();
    const { code, out, err } = await ft(folderWith({ "part1.txt": "a digit" }), address, "search", "x", "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^[^\n]*basic protocol[^\n]*share another one\.\n$/);
    expect(said.filter((message) => message.includes("<"))).toEqual([]);
  });

  test("downloads from an old peer there, all of it in the plain protocol", async () => {
    const { address, index } = await oldTracker();
    const { port, requests } = await oldPeer({ name: "my photo.jpg", type: "image/jpeg", content: PICTURE });
    index.set("my photo.jpg", [["image/jpeg", String(PICTURE.length), DAY, "127.0.0.1", String(port)]]);
    const inbox = stage.folder();
    const { code, out } = await ft(visitorFolder(), address, "get", "my photo.jpg", "--to", inbox);
    expect(code).toBe(0);
    expect(out).toStartWith(join(inbox, "my photo.jpg"));
    expect(out).toMatch(/ {2}not verified\n$/);
    expect(requests).toEqual([`DOWNLOAD:my photo.jpg,image/jpeg,${PICTURE.length}`]);
    expect(readFileSync(join(inbox, "my photo.jpg")).equals(PICTURE)).toBe(true);
  });
});

// ---------------------------------------------------------------- our peer, old peer

describe("our peer that downloads from an old peer", () => {
  const FILE = { name: "old story.txt", type: "text/plain", content: Buffer.from(STORY) };

  /** An old peer at our tracker, and what our peer's `get` makes of it. */
  async function fetchFrom(serve?: (connection: Raw) => void, file: typeof FILE = FILE) {
    const { port, address } = await stage.tracker();
    const old = await oldPeer(file, serve);
    await joinAsOld(port, `<${file.name},${file.type},${file.content.length},${DAY},10.9.8.7,${old.port}>\n`);
    const inbox = stage.folder();
    const outcome = await ft(visitorFolder(), address, "get", file.name, "--to", inbox, "--json");
    return { ...outcome, ...old, inbox, last: outcome.program.objects().at(-1) };
  }

  test("asks for exactly its name, type and size, shuts its write side, and says that nothing was verified", async () => {
    const { code, inbox, last, requests } = await fetchFrom();
    expect(code).toBe(0);
    expect(requests).toEqual([`DOWNLOAD:old story.txt,text/plain,${STORY.length}`]);
    expect(last).toMatchObject({ event: "done", name: "old story.txt", size: STORY.length, verified: false, holders: 1 });
    expect(readFileSync(join(inbox, "old story.txt"), "utf8")).toBe(STORY);
    expect(readdirSync(inbox)).toEqual(["old story.txt"]);
  });

  test("takes the answer however it is cut, an empty file, and a long one", async () => {
    const cut = await fetchFrom((connection) => {
      for (const byte of `FILE:${STORY}`) connection.send(byte);
      connection.halfClose();
    });
    expect(cut.code).toBe(0);
    expect(readFileSync(join(cut.inbox, "old story.txt"), "utf8")).toBe(STORY);
    const empty = await fetchFrom(undefined, { name: "empty.txt", type: "data", content: Buffer.alloc(0) });
    expect(empty.code).toBe(0);
    expect(empty.last).toMatchObject({ event: "done", size: 0, verified: false });
    expect(readFileSync(join(empty.inbox, "empty.txt")).length).toBe(0);
    const long = await fetchFrom(undefined, { name: "picture.png", type: "image/png", content: PICTURE });
    expect(long.code).toBe(0);
    expect(readFileSync(join(long.inbox, "picture.png")).equals(PICTURE)).toBe(true);
  });

  const failures: [string, (connection: Raw) => void][] = [
    [
      "fewer bytes than its record says",
      (connection) => {
        connection.send(`FILE:${STORY.slice(1)}`);
        connection.halfClose();
      },
    ],
    [
      "more bytes than its record says",
      (connection) => {
        connection.send(`FILE:${STORY}!`);
        connection.halfClose();
      },
    ],
    ["nothing", (connection) => connection.halfClose()],
    [
      "half of FILE:",
      (connection) => {
        connection.send("FIL");
        connection.halfClose();
      },
    ],
    [
      "something else than FILE:",
      (connection) => {
        connection.send(`ERROR ${STORY}`);
        connection.halfClose();
      },
    ],
  ];

  test.each(failures)("that sends %s is named, exit code 1, and no file has the name", async (_, serve) => {
    const { code, inbox, last, port, requests } = await fetchFrom(serve);
    expect(code).toBe(1);
    expect(requests.length).toBeGreaterThan(0);
    expect(last).toMatchObject({ event: "error" });
    expect(last?.message).toContain(`127.0.0.1:${port}`);
    expect(readdirSync(inbox).filter((name) => !name.startsWith("."))).toEqual([]);
  });

  test("whose record is out of date, so that it closes without a word, is named, and no file has the name", async () => {
    const { port, address } = await stage.tracker();
    const old = await oldPeer(FILE);
    await joinAsOld(port, `<${FILE.name},${FILE.type},${STORY.length + 5},${DAY},10.9.8.7,${old.port}>\n`);
    const inbox = stage.folder();
    const { code, out, err } = await ft(visitorFolder(), address, "get", FILE.name, "--to", inbox, "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain(`127.0.0.1:${old.port}`);
    expect(readdirSync(inbox).filter((name) => !name.startsWith("."))).toEqual([]);
  });

  test("does not overwrite: a different file of the name stays, an equal one is not doubled", async () => {
    const { port, address } = await stage.tracker();
    const old = await oldPeer(FILE);
    await joinAsOld(port, `<${FILE.name},${FILE.type},${STORY.length},${DAY},10.9.8.7,${old.port}>\n`);
    const inbox = folderWith({ "old story.txt": "mine" });
    for (let round = 0; round < 2; round++) {
      const { code, out } = await ft(visitorFolder(), address, "get", FILE.name, "--to", inbox);
      expect(code).toBe(0);
      expect(out).toStartWith(join(inbox, "old story (1).txt"));
    }
    expect(readdirSync(inbox).sort()).toEqual(["old story (1).txt", "old story.txt"]);
    expect(readFileSync(join(inbox, "old story.txt"), "utf8")).toBe("mine");
    expect(readFileSync(join(inbox, "old story (1).txt"), "utf8")).toBe(STORY);
  });
});
