// What the tests of the compiled ft-peer are made of: folders, commands that run to their end, and trackers and holders that speak
// bytes written from the protocol's text.

import { afterAll, afterEach, beforeAll, expect } from "bun:test";
import { generateKeyPairSync, sign } from "node:crypto";
import { chmodSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Answers, type Holder, noise, startHolder } from "./holder.ts";
import { PEER, type Program, Stage } from "./programs.ts";
import { Raw, rawServer } from "./raw.ts";

export interface Outcome {
  code: number;
  out: string;
  err: string;
  program: Program;
}

/** What only a program that failed unseen would print. */
export const INSIDE = /bunfs|node:|^\s+at |Error:|undefined|\[object/m;

/** Characters that a terminal, a log or a reader could be misled by; line ends are the program's own. */
export const DECEIVING = /(?!\n)\p{Cc}|\p{Default_Ignorable_Code_Point}|[\u2028\u2029\u2800]/u;

/** The folders, programs and connections of one test after another: each test ends with none of them left. */
export class PeerStage extends Stage {
  readonly #cleanups: (() => void | Promise<void>)[] = [];

  /** Does this when the test is over, before the programs end; what was added last comes first. */
  atEnd(clean: () => void | Promise<void>): void {
    this.#cleanups.push(clean);
  }

  override async close(): Promise<void> {
    for (const clean of this.#cleanups.splice(0).reverse()) await clean();
    await super.close();
  }

  /** A new folder with these files in it. */
  folderWith(files: Record<string, string | Uint8Array>): string {
    const folder = this.folder();
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    return folder;
  }

  /** The folder of a peer that only fetches: it has the one file that a peer must share. */
  visitorFolder(): string {
    return this.folderWith({ "visitor.txt": "I share this.\n" });
  }

  /** A folder with `notes.txt` of twelve bytes and a known date. */
  notesFolder(): string {
    const folder = this.folderWith({ "notes.txt": "twelve bytes" });
    utimesSync(join(folder, "notes.txt"), MODIFIED, MODIFIED);
    return folder;
  }

  /** Runs one command to its end, serving on a free port. */
  ft(folder: string, ...args: string[]): Promise<Outcome> {
    const end = args.indexOf("--");
    const placed = end < 0 ? [...args, "--port", "0"] : [...args.slice(0, end), "--port", "0", ...args.slice(end)];
    return ended(this.run(PEER, placed, { cwd: folder }));
  }

  /** A shell's pipeline around a command: `"$@"` in the script is the command. */
  shell(script: string, folder: string, ...command: string[]): Program {
    return this.run("/bin/sh", ["-c", script, "sh", ...command], { cwd: folder });
  }

  /** The only record that a search finds. */
  async onlyRecord(address: string, name: string): Promise<Record<string, unknown>> {
    const { program, err } = await this.ft(this.visitorFolder(), address, "search", name, "--json");
    const [record, more] = program.objects();
    if (record === undefined || more !== undefined) throw new Error(`not one record: ${program.out}${err}`);
    return record;
  }

  /** A raw FT/2 session with a tracker that shares these records; it stays open. Gives its pass. */
  async enlist(tracker: number, port: number, records: string[]): Promise<string> {
    const session = await Raw.connect(tracker);
    this.atEnd(() => session.close());
    session.send(`HELLO FT/2 agent=raw\nFILES ${records.length} port=${port}\n${records.map((line) => `${line}\n`).join("")}`);
    expect(await session.line()).toStartWith("HI FT/2 ");
    const welcome = await session.line();
    expect(welcome).toStartWith("WELCOME ");
    return /pass=(\S+)/.exec(welcome)?.[1] ?? "";
  }

  /** A raw holder of one content that answers as it is told, else honestly. */
  async holder(content: Uint8Array, answers: Answers = {}): Promise<Holder> {
    const started = await startHolder(content, answers);
    this.atEnd(() => started.close());
    return started;
  }

  /** A raw tracker with a key of its own, so that a test can sign any pass and give any answer. */
  async rawTracker({ answers = {}, known = () => false }: { answers?: Record<string, string>; known?: () => boolean } = {}) {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const key = String(publicKey.export({ format: "jwk" }).x);
    const signed = (payload: string, by = privateKey) =>
      `${Buffer.from(payload).toString("base64url")}.${sign(null, Buffer.from(payload), by).toString("base64url")}`;
    const pass = (address: string, inSeconds: number, by = privateKey) =>
      signed(`somebody ${address} ${Math.floor(Date.now() / 1000) + inSeconds}`, by);
    const port = Promise.withResolvers<number>();
    const converse = async (connection: Raw) => {
      for (;;) {
        const line = await connection.line();
        const [verb = ""] = line.split(" ");
        const files = /^FILES (\d+) port=(\d+)$/.exec(line);
        if (line.startsWith("HELLO FT/2")) connection.send(`HI FT/2 name=raw max=5 key=${key} you=127.0.0.1\n`);
        else if (files !== null) {
          for (let i = 0; i < Number(files[1]); i++) await connection.line();
          connection.send(`WELCOME id=somebody pass=${pass("127.0.0.1", 3600)} peers=1 files=${files[1]}\n`);
          port.resolve(Number(files[2]));
        } else if (verb === "KNOWN") connection.send(known() ? "YES\n" : "NO\n");
        else if (verb === "BYE") {
          connection.send("BYE\n");
          connection.halfClose();
        } else if (answers[verb] === undefined) connection.send("OK\n");
        else if (answers[verb] === "") connection.close();
        else connection.send(answers[verb]);
      }
    };
    const server = await rawServer((connection) => void converse(connection).catch(() => undefined));
    this.atEnd(() => server.close());
    /** `peerPort` is where the first peer that joins serves. */
    return { address: `127.0.0.1:${server.port}`, pass, signed, peerPort: port.promise };
  }

  /** Everything a peer answers to these bytes, until it closes. */
  async answerTo(port: number, bytes: string): Promise<Buffer> {
    const connection = await Raw.connect(port);
    this.atEnd(() => connection.close());
    connection.send(bytes);
    connection.halfClose();
    return connection.rest();
  }
}

/** The stage of a test file, cleared after each of its tests. */
export function peerStage(): PeerStage {
  const stage = new PeerStage();
  afterEach(() => stage.close());
  return stage;
}

/** The files in a folder, without the hidden files of transfers. */
export function seenIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .sort();
}

export async function ended(program: Program): Promise<Outcome> {
  const code = await program.exited;
  return { code, out: program.out, err: program.err, program };
}

/** Exactly one line for a person: no stack, nothing of the program's inside. */
export function expectSentence(text: string): void {
  expect(text).toMatch(/^[^\n]*[.?!][^\n]*\n$/);
  expect(text).not.toMatch(INSIDE);
}

/** The next peer that a tracker's log says joined. */
export async function waitForJoined(tracker: Program): Promise<{ id: string; port: number; files: number }> {
  const [line] = await tracker.waitFor(/\{"event":"joined"[^\n]*/);
  return JSON.parse(line) as { id: string; port: number; files: number };
}

/** The next line of a tracker's log about the peer that serves on this port. */
export async function waitForLog(tracker: Program, event: string, port: number): Promise<Record<string, unknown>> {
  const [line] = await tracker.waitFor(new RegExp(`\\{"event":"${event}"[^\\n]*"port":${port}[,}][^\\n]*`));
  return JSON.parse(line) as Record<string, unknown>;
}

/** A name as a record or a `key=value` carries it: `%XX` for what the grammar needs for itself. */
export function escaped(name: string): string {
  return name.replace(/[%,;<> \u0000-\u001f\u007f-\u009f]/g, (character) =>
    Array.from(Buffer.from(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

/** A record line of a holder on this machine. */
export function record(name: string, size: number, port: number, root?: string): string {
  return `<${escaped(name)},text/plain,${size},22/11/26,127.0.0.1,${port};v=2${root === undefined ? "" : `;root=${root}`}>`;
}

/** A loopback port on which nothing listens. */
export async function closedPort(): Promise<number> {
  const server = await rawServer(() => undefined);
  server.close();
  return server.port;
}

export const MODIFIED = new Date("2024-03-04T05:06:07.000Z");
export const BIG = noise(3_000_000);
const BOOKS: Record<string, string | Uint8Array> = {
  "notes.txt": "twelve bytes",
  "big.bin": BIG,
  "empty.dat": "",
  "two words & more.txt": "spaces",
  "Größe naïve.txt": "umlauts",
  "файл 空.txt": "letters",
  "a.txt": "a",
  "b.txt": "b",
  "c.txt": "c",
  "no extension": "theirs too",
  "run-me.sh": "#!/bin/sh\necho run\n",
  "--version": "not an option",
};

/** One tracker and one sharing peer for all tests of a file that only ask and fetch. They are there once the tests run. */
export interface Library {
  tracker: { program: Program; port: number; address: string };
  /** The sharing peer, and where it serves. */
  program: Program;
  port: number;
}

export function startLibrary(): Library {
  const stage = new Stage();
  const library = {} as Library;
  beforeAll(async () => {
    const folder = stage.folder();
    for (const [name, content] of Object.entries(BOOKS)) writeFileSync(join(folder, name), content);
    utimesSync(join(folder, "notes.txt"), MODIFIED, MODIFIED);
    chmodSync(join(folder, "run-me.sh"), 0o755);
    library.tracker = await stage.tracker("--max-files", "50", "--json");
    const named = Object.keys(BOOKS).flatMap((name) => ["--share", join(folder, name)]);
    const { program } = await stage.sharing(library.tracker.address, folder, Object.keys(BOOKS).length, ...named);
    library.program = program;
    library.port = (await waitForJoined(library.tracker.program)).port;
  });
  afterAll(() => stage.close());
  return library;
}
