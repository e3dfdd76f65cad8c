// ft-peer share, and what a sharing peer serves to whom: the compiled program against the compiled tracker, and against downloaders
// that speak bytes written from the protocol's text.

import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { contentId } from "../helpers/holder.ts";
import { Alone } from "../helpers/lan.ts";
import {
  closedPort,
  ended,
  escaped,
  expectSentence,
  peerStage,
  record,
  waitForJoined,
  waitForLog,
} from "../helpers/peer-stage.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";
import { rawServer } from "../helpers/raw.ts";

const stage = peerStage();
const notAlone = Alone.possible();
if (notAlone !== undefined) console.warn(`Not tried: the port that is taken where none is given, because ${notAlone}.`);

describe("sharing", () => {
  test("by default the folder's first five files by name are shared, hidden ones left out, and it says which", async () => {
    const { address, port } = await stage.tracker();
    const folder = stage.folderWith({
      "g.txt": "g",
      "f.txt": "f",
      "e.txt": "e",
      "d.txt": "d",
      "c.txt": "c",
      "b.txt": "b",
      "a.txt": "a",
      ".hidden": "h",
    });
    mkdirSync(join(folder, "Folder"));
    const { program } = await stage.sharing(address, folder, 5);
    const { program: list } = await stage.ft(stage.visitorFolder(), address, "list", "--json");
    const names = list.objects().map(({ name }) => String(name));
    expect(names.sort()).toEqual(["a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "visitor.txt"]);
    const [taken = "", left = ""] = program.err.split("Not shared");
    for (const name of ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]) expect(taken).toContain(`"${name}"`);
    for (const name of ["f.txt", "g.txt"]) {
      expect(taken).not.toContain(name);
      expect(left).toContain(name);
    }
    // What is not on the list is not served to anybody either; all such requests get the same answer.
    const pass = await stage.enlist(port, 40_000, [record("raw.txt", 1, 40_000)]);
    const { port: serving } = await stage.onlyRecord(address, "a.txt");
    for (const name of [
      "f.txt",
      ".hidden",
      "Folder",
      ".",
      "..",
      "../a.txt",
      "..%2Fa.txt",
      join(folder, "a.txt"),
      "./a.txt",
      "%2e%2e",
      "C:\\",
    ]) {
      const answer = await stage.answerTo(Number(serving), `HELLO FT/2 pass=${pass}\nDOWNLOAD name=${escaped(name)}\nBYE\n`);
      expect({ name, answer: answer.toString() }).toEqual({ name, answer: "HI FT/2\nNOT FOUND\n" });
    }
    const control = await stage.answerTo(Number(serving), `HELLO FT/2 pass=${pass}\nDOWNLOAD name=a.txt\nBYE\n`);
    expect(control.toString()).toBe("HI FT/2\nFILE: length=1 size=1\na");
  });

  test("a folder is shared up to the tracker's own limit, and the rest is named with a way out", async () => {
    const { address } = await stage.tracker("--max-files", "8");
    const names = Array.from({ length: 9 }, (_, i) => `file ${i}.txt`);
    const folder = stage.folderWith(Object.fromEntries(names.map((name) => [name, name])));
    const { program } = await stage.sharing(address, stage.visitorFolder(), 8, "--share", folder);
    const [taken = "", left = ""] = program.err.split("Not shared");
    for (const name of names.slice(0, 8)) expect(taken).toContain(`"${name}"`);
    expect(left).toBe(
      ' (the limit is 8 files): "file 8.txt". Share their folder as one: ft-peer share FOLDER. Or have ft-tracker started with --max-files N.\n',
    );
    const { program: list } = await stage.ft(stage.visitorFolder(), address, "list", "--json");
    expect(list.objects()).toHaveLength(9);
    // A command that only asks shares no more than the usual number of files of its folder.
    const asking = await stage.ft(folder, address, "who", "--json");
    expect(asking.program.objects().map(({ files }) => files)).toContain(5);
    expect(asking.err).toContain("Name the files to share with --share, or their folder for all that the tracker takes.");
    expect(asking.err).not.toContain("--max-files");
  });

  test("--share takes files and folders, and may be repeated", async () => {
    const { address } = await stage.tracker();
    const elsewhere = stage.folderWith({ "x.txt": "x", "y.txt": "y" });
    const third = stage.folderWith({ "z.txt": "z", "not this.txt": "n" });
    await stage.sharing(address, stage.visitorFolder(), 3, "--share", elsewhere, "--share", join(third, "z.txt"));
    const { program } = await stage.ft(stage.visitorFolder(), address, "list", "--json");
    const names = program.objects().map(({ name }) => String(name));
    expect(names.sort()).toEqual(["visitor.txt", "x.txt", "y.txt", "z.txt"]);
  });

  test("links, pipes and folders inside a folder are not shared and block nothing", async () => {
    const { address } = await stage.tracker();
    const outside = stage.folderWith({ "secret.txt": "secret" });
    const folder = stage.folderWith({ "plain.txt": "plain" });
    symlinkSync(join(outside, "secret.txt"), join(folder, "link.txt"));
    expect(Bun.spawnSync(["mkfifo", join(folder, "pipe.txt")]).exitCode).toBe(0);
    await stage.sharing(address, folder, 1);
    const { program } = await stage.ft(stage.visitorFolder(), address, "list", "--json");
    const names = program.objects().map(({ name }) => String(name));
    expect(names.sort()).toEqual(["plain.txt", "visitor.txt"]);
  });

  test("with nothing to share it says so and how, and ends with exit code 2 before it connects", async () => {
    let connections = 0;
    const server = await rawServer((connection) => {
      connections += 1;
      connection.close();
    });
    stage.atEnd(() => server.close());
    const address = `127.0.0.1:${server.port}`;
    const empty = stage.folder();
    const hidden = stage.folderWith({ ".profile": "x" });
    mkdirSync(join(hidden, "folder"));
    const attempts = [
      { words: ["share"], folder: empty, says: "ft-peer share FILE", not: "--share" },
      { words: ["share", "missing.txt"], folder: empty, says: "Check the path.", not: "--share" },
      { words: ["who"], folder: empty, says: "--share FILE" },
      { words: ["list"], folder: hidden, says: "--share FILE" },
      { words: ["search", "a.txt"], folder: hidden, says: "--share FILE" },
      { words: ["get", "a.txt"], folder: empty, says: "--share FILE" },
      { words: ["who", "--share", empty], folder: stage.visitorFolder(), says: `in "${empty}"` },
      { words: ["who", "--share", join(empty, "missing.txt")], folder: stage.visitorFolder(), says: "Check the path." },
    ];
    await Promise.all(
      attempts.map(async ({ folder, words, says, not = "--no-such-option" }) => {
        const { code, out, err } = await stage.ft(folder, address, ...words);
        expect({ words, code, out }).toEqual({ words, code: 2, out: "" });
        expectSentence(err);
        expect(err).toContain(says);
        expect(err).not.toContain(not);
      }),
    );
    const json = await stage.ft(empty, address, "who", "--json");
    expect(json.code).toBe(2);
    expect(json.program.objects()).toMatchObject([
      { event: "error", code: "usage", message: expect.stringContaining("--share") },
    ]);
    expect(connections).toBe(0);
    // The server does see a peer that has something to share.
    expect((await stage.ft(stage.visitorFolder(), address, "who")).code).toBe(1);
    expect(connections).toBeGreaterThan(0);
  });

  test("share stays online, prints one line an event, and leaves with BYE and exit code 130 on Ctrl-C", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const program = stage.run(PEER, [address, "share", "--port", "0"], { cwd: stage.notesFolder() });
    await program.waitFor(/Online at [^\n]*\n/);
    await program.waitFor(/notes\.txt[^\n]*\n/);
    const { port } = await waitForJoined(tracker);
    expect((await stage.ft(stage.visitorFolder(), address, "get", "notes.txt")).code).toBe(0);
    await program.waitFor(/has all of "notes\.txt"[^\n]*\n/);
    program.kill("SIGINT");
    expect(await program.exited).toBe(130);
    expect(await waitForLog(tracker, "left", port)).toMatchObject({ reason: "left" });
    expect(program.out).toContain("Others can connect to this machine: port ");
    expect(program.out.trimEnd().split("\n").length).toBe(4);
  });

  test("share --quiet serves and says nothing", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const program = stage.run(PEER, [address, "share", "--port", "0", "--quiet"], { cwd: stage.notesFolder() });
    await waitForJoined(tracker);
    expect((await stage.ft(stage.visitorFolder(), address, "get", "notes.txt")).code).toBe(0);
    program.kill("SIGINT");
    expect(await program.exited).toBe(130);
    expect([program.out, program.err]).toEqual(["", ""]);
  });

  test("share --json prints one object an event and nothing else on standard output", async () => {
    const { address } = await stage.tracker("--name", "Lab 3");
    const { program } = await stage.sharing(address, stage.notesFolder(), 1);
    expect((await stage.ft(stage.visitorFolder(), address, "get", "notes.txt")).code).toBe(0);
    await program.waitFor(/"event":"has-all"/);
    program.kill("SIGTERM");
    expect(await program.exited).toBe(130);
    const events = program.objects();
    // Whether others can connect is told when the tracker has tried, at any time after joining.
    const [reach] = events.filter(({ event }) => event === "reach");
    expect(reach).toMatchObject({ reachable: true, reason: "", port: expect.any(Number) });
    const rest = events.filter(({ event }) => event !== "reach");
    expect(rest.map(({ event }) => event)).toEqual(["joined", "root", "upload-started", "upload-ended", "has-all"]);
    expect(rest[0]).toMatchObject({ profile: 2, name: "Lab 3", peers: 1, files: 1, left: [] });
    expect(rest[1]).toMatchObject({ event: "root", name: "notes.txt", size: 12, root: contentId("twelve bytes") });
    expect(rest[3]).toEqual({
      event: "upload-ended",
      address: "127.0.0.1",
      port: expect.any(Number),
      id: expect.stringMatching(/./),
      by: expect.stringMatching(/./),
      name: "notes.txt",
      root: contentId("twelve bytes"),
      sent: 12,
      wanted: 12,
      seconds: expect.any(Number),
      complete: true,
      reason: "",
    });
    expect(program.err).toContain("notes.txt");
  });

  test("--port is where it serves; a port that is taken is a sentence and exit code 1", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const port = await closedPort();
    const chosen = stage.run(PEER, [address, "share", "--port", String(port), "--json"], { cwd: stage.visitorFolder() });
    await chosen.waitFor(/"event":"joined"/);
    expect((await waitForJoined(tracker)).port).toBe(port);
    const taken = await ended(
      stage.run(PEER, [address, "who", "--port", String(port), "--quiet"], { cwd: stage.visitorFolder() }),
    );
    expect({ code: taken.code, out: taken.out }).toEqual({ code: 1, out: "" });
    expectSentence(taken.err);
    expect(taken.err).toContain(String(port));
  });

  test.skipIf(notAlone !== undefined)(
    "without --port a peer serves on 1235, and on a free port where that is taken",
    async () => {
      // In a network of its own, where nothing else on this machine takes or frees the port.
      using alone = await Alone.make();
      const start = (...words: string[]) => {
        const [command = "", ...args] = alone.command(...words);
        return stage.run(command, args, { cwd: stage.visitorFolder() });
      };
      const tracker = start(TRACKER, "--no-announce", "--json");
      await tracker.waitFor(/"event":"listening"/);
      const ports: number[] = [];
      for (let i = 0; i < 2; i += 1) {
        await start(PEER, "127.0.0.1", "share", "--json").waitFor(/"event":"joined"/);
        ports.push((await waitForJoined(tracker)).port);
      }
      expect(ports).toEqual([1235, expect.any(Number)]);
      expect(ports[1]).toBeGreaterThan(0);
      expect(ports[1]).not.toBe(1235);
    },
  );

  test("a tracker that takes fewer files is told fewer, and it says which were left out", async () => {
    const { address } = await stage.tracker("--max-files", "2");
    const { program } = await stage.sharing(address, stage.folderWith({ "a.txt": "a", "b.txt": "b", "c.txt": "c" }), 0);
    expect(program.objects()[0]).toMatchObject({ event: "joined", files: 2, left: ["c.txt"] });
    const { code } = await stage.ft(stage.visitorFolder(), address, "search", "c.txt");
    expect(code).toBe(1);
  });

  test("a file that changes while it is shared is served with its new content or not at all", async () => {
    const { address, port } = await stage.tracker();
    const folder = stage.folderWith({ "page.txt": "the first text", "other.txt": "stays" });
    await stage.sharing(address, folder, 2);
    const pass = await stage.enlist(port, 40_000, [record("raw.txt", 1, 40_000)]);
    const before = await stage.onlyRecord(address, "page.txt");
    expect(before.root).toBe(contentId("the first text"));
    // As long as before, so that only looking at the file itself can tell.
    writeFileSync(join(folder, "page.txt"), "the other text");
    const stale = await stage.answerTo(Number(before.port), `HELLO FT/2 pass=${pass}\nDOWNLOAD root=${before.root}\nBYE\n`);
    expect(stale.toString()).toBe("HI FT/2\nNOT FOUND\n");
    let now = before;
    while (now.root !== contentId("the other text")) now = await stage.onlyRecord(address, "page.txt");
    expect(now.root).toBe(contentId("the other text"));
    const inbox = stage.folder();
    const { code } = await stage.ft(stage.visitorFolder(), address, "get", "page.txt", "--to", inbox);
    expect(code).toBe(0);
    expect(readFileSync(join(inbox, "page.txt"), "utf8")).toBe("the other text");
  });

  test("a file that changes while it goes out ends that download short, with not one byte of the new content", async () => {
    const { address, port } = await stage.tracker();
    const size = 48 * 1024 * 1024;
    const folder = stage.folderWith({ "big.bin": Buffer.alloc(size, "a") });
    await stage.sharing(address, folder, 1);
    const pass = await stage.enlist(port, 40_000, [record("raw.txt", 1, 40_000)]);
    const { port: serving } = await stage.onlyRecord(address, "big.bin");
    const socket = net.connect(Number(serving), "127.0.0.1");
    stage.atEnd(() => void socket.destroy());
    const chunks: Buffer[] = [];
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => undefined);
    const head = `HI FT/2\nFILE: length=${size} size=${size}\n`;
    await new Promise<void>((resolve) => {
      let received = 0;
      socket.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        received += chunk.length;
        if (received <= head.length || received - chunk.length > head.length) return;
        // The first bytes of the file are here: from now on nobody reads, so that most of it has yet to be sent.
        socket.pause();
        resolve();
      });
      socket.write(`HELLO FT/2 pass=${pass}\nDOWNLOAD name=big.bin\nBYE\n`);
    });
    writeFileSync(join(folder, "big.bin"), Buffer.alloc(size, "b"));
    socket.resume();
    await closed;
    const answer = Buffer.concat(chunks);
    expect(answer.subarray(0, head.length).toString()).toBe(head);
    const body = answer.subarray(head.length);
    expect(body.length).toBeGreaterThan(0);
    expect(body.length).toBeLessThan(size);
    expect(body.includes("b")).toBe(false);
  });

  test("a file that disappears while it is shared is withdrawn, and fetching it is a sentence with exit code 1", async () => {
    const { address } = await stage.tracker();
    const folder = stage.folderWith({ "gone.txt": "gone soon", "stays.txt": "stays" });
    const { program } = await stage.sharing(address, folder, 2);
    unlinkSync(join(folder, "gone.txt"));
    const { code, err, out } = await stage.ft(stage.visitorFolder(), address, "get", "gone.txt", "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain('"gone.txt"');
    await program.waitFor(/"event":"withdrawn"[^\n]*gone\.txt/);
    expect((await stage.ft(stage.visitorFolder(), address, "search", "gone.txt")).code).toBe(1);
    expect((await stage.ft(stage.visitorFolder(), address, "get", "stays.txt")).code).toBe(0);
  });
});

describe("downloaders", () => {
  /** A peer that shares `notes.txt`, at a raw tracker whose passes the test signs. */
  async function sharingAtRaw(known: () => boolean = () => false) {
    const tracker = await stage.rawTracker({ known });
    await stage.sharing(tracker.address, stage.notesFolder(), 1);
    return { ...tracker, port: await tracker.peerPort };
  }

  test("a downloader with a good pass gets the bytes it asks for", async () => {
    const { pass, port } = await sharingAtRaw();
    const root = contentId("twelve bytes");
    const requests = [
      `HELLO FT/2 pass=${pass("127.0.0.1", 60)}`,
      "DOWNLOAD name=notes.txt",
      `DOWNLOAD root=${root} offset=7 length=3`,
      `DOWNLOAD root=${root} offset=7`,
      `DOWNLOAD root=${contentId("something else")}`,
      "BYE",
    ];
    const answer = await stage.answerTo(port, requests.map((line) => `${line}\n`).join(""));
    expect(answer.toString()).toBe(
      "HI FT/2\nFILE: length=12 size=12\ntwelve bytesFILE: length=3 size=12\nbytFILE: length=5 size=12\nbytesNOT FOUND\n",
    );
  });

  test("no pass, a forged, tampered, expired or borrowed one is refused before any byte of a file", async () => {
    const { pass, signed, port } = await sharingAtRaw();
    const { privateKey: stranger } = generateKeyPairSync("ed25519");
    const good = pass("127.0.0.1", 60);
    const [payload = "", signature = ""] = good.split(".");
    const later = Buffer.from(`somebody 127.0.0.1 ${Math.floor(Date.now() / 1000) + 9_999}`).toString("base64url");
    const bad = {
      none: "HELLO FT/2",
      empty: "HELLO FT/2 pass=",
      rubbish: "HELLO FT/2 pass=rubbish",
      dots: "HELLO FT/2 pass=...",
      unsigned: `HELLO FT/2 pass=${payload}.`,
      halfSigned: `HELLO FT/2 pass=${payload}.${signature.slice(0, 40)}`,
      forged: `HELLO FT/2 pass=${pass("127.0.0.1", 60, stranger)}`,
      tampered: `HELLO FT/2 pass=${later}.${signature}`,
      expired: `HELLO FT/2 pass=${pass("127.0.0.1", -60)}`,
      borrowed: `HELLO FT/2 pass=${pass("192.0.2.55", 60)}`,
      notAPass: `HELLO FT/2 pass=${signed("127.0.0.1")}`,
      long: `HELLO FT/2 pass=${"A".repeat(3_000)}.${signature}`,
    };
    for (const [what, hello] of Object.entries(bad)) {
      const answer = await stage.answerTo(port, `${hello}\nDOWNLOAD name=notes.txt\n`);
      expect({ what, answer: answer.toString() }).toEqual({
        what,
        answer: expect.stringMatching(/^ERROR not-accepted [^\n]+\n$/),
      });
    }
    expect((await stage.answerTo(port, `HELLO FT/2 pass=${good}\nDOWNLOAD name=notes.txt\nBYE\n`)).toString()).toEndWith(
      "twelve bytes",
    );
  });

  test("a stranger of the basic protocol, whom the tracker does not know, gets not one byte; once it is known, the file", async () => {
    let accepted = false;
    const { port } = await sharingAtRaw(() => accepted);
    for (const request of ["DOWNLOAD:notes.txt,text/plain,12", "DOWNLOAD notes.txt"]) {
      expect((await stage.answerTo(port, request)).toString()).toBe("");
    }
    accepted = true;
    // A no is remembered for two seconds.
    let answer = "";
    while (answer === "") answer = (await stage.answerTo(port, "DOWNLOAD:notes.txt,text/plain,12")).toString();
    expect(answer).toBe("FILE:twelve bytes");
  });

  test("other programs' bytes on the serving port hurt nobody", async () => {
    const { pass, port } = await sharingAtRaw();
    const rubbish = [
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "\u0016\u0003\u0001\u0002\u0000",
      "SSH-2.0-x\r\n",
      "\u0000".repeat(9_000),
      "A".repeat(9_000),
    ];
    for (const bytes of rubbish) expect((await stage.answerTo(port, bytes)).toString()).not.toContain("twelve");
    expect(
      (await stage.answerTo(port, `HELLO FT/2 pass=${pass("127.0.0.1", 60)}\nDOWNLOAD name=notes.txt\nBYE\n`)).toString(),
    ).toEndWith("twelve bytes");
  });
});
