// What the tests of the guided prompts are made of: ft-peer on a pseudo-terminal, and peers that speak bytes.

import { afterEach, expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PeerStage } from "./peer-stage.ts";
import { PEER, type Program } from "./programs.ts";
import { Raw, rawServer } from "./raw.ts";
import { KEY, Screen } from "./terminal.ts";

/** The search line, with all its keys. */
export const SEARCH = /What are you looking for\?.*?\^X leave/s;
/** What is said of a download whose content id was right; not to be taken for "not verified". */
export const VERIFIED = ", verified";

interface TerminalPlace {
  cwd?: string;
  env?: Record<string, string>;
  columns?: number;
  rows?: number;
}

/** A stage with guided prompts on it. */
export class GuidedStage extends PeerStage {
  /** Any command on a terminal. */
  onTerminal(command: string[], { cwd = this.folder(), env = {}, ...size }: TerminalPlace): Screen {
    const screen = new Screen(command, {
      cwd,
      env: { XDG_CACHE_HOME: this.folder(), XDG_STATE_HOME: this.knownPerson(), XDG_CONFIG_HOME: this.folder(), ...env },
      ...size,
    });
    this.atEnd(() => screen.close());
    return screen;
  }

  /** A state folder in which the person's name is remembered, so that it is not asked for. */
  knownPerson(): string {
    const folder = this.folder();
    mkdirSync(join(folder, "filetracker"), { mode: 0o700 });
    const content = JSON.stringify({ folders: [{ folder: "/", name: "Tester" }] });
    writeFileSync(join(folder, "filetracker", "prompts.json"), content, { mode: 0o600 });
    return folder;
  }

  /** ft-peer without a command, on a terminal, serving on a free port. */
  guided(address: string, place: TerminalPlace, ...args: string[]): Screen {
    return this.onTerminal([PEER, address, "--port", "0", ...args], place);
  }

  /** The same, taken through the first question to the search line: it shares the files that are marked already. */
  async atSearch(address: string, place: TerminalPlace = {}, ...args: string[]): Promise<Screen> {
    const screen = this.guided(address, { cwd: place.cwd ?? this.folderWith({ "mine.txt": "mine" }), ...place }, ...args);
    await atFiles(screen);
    screen.press(KEY.enter);
    await screen.waitFor(SEARCH);
    return screen;
  }

  /** An FT/2 peer made by hand: registered with its records (without address and port), its pass at hand. */
  async rawPeer(trackerPort: number, port: number, records: string[], agent = "by-hand"): Promise<{ pass: string }> {
    const raw = await Raw.connect(trackerPort);
    this.atEnd(() => raw.close());
    raw.send(`HELLO FT/2 agent=${agent}\n`);
    expect(await raw.line()).toStartWith("HI FT/2 ");
    const lines = records.map((fields) => `<${fields},127.0.0.1,${port};v=2>\n`).join("");
    raw.send(`FILES ${records.length} port=${port}\n${lines}`);
    const welcome = await raw.line();
    return { pass: / pass=(\S+)/.exec(welcome)?.[1] ?? "" };
  }

  /** A holder made by hand: greets, and gives each DOWNLOAD to `answer`. */
  async rawHolder(answer: (connection: Raw, asked: { offset: number; length: number }) => void): Promise<number> {
    const server = await rawServer(async (connection) => {
      try {
        for (;;) {
          const line = await connection.line();
          const number = (key: string) => Number(new RegExp(` ${key}=(\\d+)`).exec(line)?.[1]);
          if (line.startsWith("HELLO FT/2")) connection.send("HI FT/2\n");
          if (line.startsWith("DOWNLOAD")) answer(connection, { offset: number("offset"), length: number("length") });
        }
      } catch {
        // It left.
      }
    });
    this.atEnd(() => server.close());
    return server.port;
  }

  /** A holder that begins with a body and then keeps silent. */
  slowHolder(size: number): Promise<number> {
    return this.rawHolder((connection, { offset, length }) => {
      if (offset === 0) connection.send(`FILE: length=${length} size=${size}\n${"x".repeat(100_000)}`);
    });
  }
}

/** The stage of a test file, cleared after each of its tests. */
export function guidedStage(): GuidedStage {
  const stage = new GuidedStage();
  afterEach(() => stage.close());
  return stage;
}

/** Waits for the question which files to share, and gives what can be read of it. */
export async function atFiles(screen: Screen): Promise<string> {
  const [shown] = await screen.waitFor(/Which files do you want to share.*?other folder/s);
  return shown;
}

/** Types what to look for, and fetches the entry that begins so. */
export async function fetchFound(screen: Screen, typed: string, label = typed): Promise<void> {
  screen.press(typed);
  await screen.take(label);
}

/** Everything is as a shell expects it afterwards. */
export async function expectLeft(screen: Screen, code: number): Promise<void> {
  expect(await screen.exited).toBe(code);
  expect(screen.raw).toContain("\x1b[?25h");
  expect(screen.cursorShown).toBe(true);
  expect(screen.cooked).toBe(true);
}

/** The next peer that left at the tracker left as its person wished. */
export async function expectBye(tracker: Program): Promise<void> {
  const [, reason] = await tracker.waitFor(/"event":"left".*"reason":"([^"]*)"/);
  expect(reason).toBe("left");
}

/** The port where the peer that shares this file serves. */
export async function servingPort(tracker: Program): Promise<number> {
  const [, port] = await tracker.waitFor(/"event":"joined".*?"port":(\d+).*?"agent":"ft-peer/);
  return Number(port);
}
