// What the tests of transfers are made of: running downloads, what they printed, and what they left in a folder.

import { afterEach, expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Answers, contentId, type Holder, startHolder } from "./holder.ts";
import { PeerStage } from "./peer-stage.ts";
import { PEER, type Program } from "./programs.ts";

/** The hidden files that a transfer may leave in a folder before it is done. */
export const HIDDEN = /^\.ft-[^/]*\.(?:part|lock)$/;
/** A program that does not end within this time never ends. Milliseconds; a test has 60 s. */
const PATIENCE_MS = 50_000;

/** A stage with downloads that go on while the test acts. */
class TransferStage extends PeerStage {
  /** A running `get` of a peer that shares one small file; its events are on standard output. */
  get(address: string, wanted: string, inbox: string, ...args: string[]): Program {
    return this.run(PEER, [address, "get", wanted, "--to", inbox, "--port", "0", "--json", ...args], {
      cwd: this.folderWith({ "visitor.txt": "I share this.\n" }),
    });
  }

  /** A raw holder that is online at a tracker with one content under this name. */
  async rawHolder(tracker: number, name: string, content: Uint8Array, answers: Answers = {}): Promise<Holder> {
    const holder = await startHolder(content, answers);
    this.atEnd(() => holder.close());
    await this.enlist(tracker, holder.port, [binaryRecord(name, content.length, holder.port, contentId(content))]);
    return holder;
  }

  /** The records that a search finds now. */
  async search(address: string, name: string): Promise<Record<string, unknown>[]> {
    const program = this.run(PEER, [address, "search", name, "--json", "--port", "0"], {
      cwd: this.folderWith({ "visitor.txt": "I share this.\n" }),
    });
    await program.exited;
    return program.objects().filter(({ event }) => event === undefined);
  }
}

/** The stage of a test file, cleared after each of its tests. */
export function transferStage(): TransferStage {
  const stage = new TransferStage();
  afterEach(() => stage.close());
  return stage;
}

/** The objects of one kind that a program printed so far. */
export function events(program: Program, event: string): Record<string, unknown>[] {
  return program.objects().filter((object) => object.event === event);
}

/** Resolves at the first progress of a download that has come at least so far. */
export async function waitForProgress(program: Program, least: number): Promise<number> {
  for (;;) {
    const [, received] = await program.waitFor(/"event":"progress","received":(\d+)/);
    if (Number(received) >= least) return Number(received);
  }
}

/** The exit code of a program that is expected to end by itself. */
export async function exitOf(program: Program): Promise<number> {
  const code = await Promise.race([program.exited, Bun.sleep(PATIENCE_MS)]);
  if (code === undefined) throw new Error(`it does not end; out:\n${program.out}\nerr: ${program.err}`);
  return code;
}

/** The outcome of a `get` that is expected to work: its last object. */
export async function done(program: Program): Promise<Record<string, unknown>> {
  const code = await exitOf(program);
  const last = program.objects().at(-1) ?? {};
  expect({ code, err: program.err, last }).toMatchObject({ code: 0, last: { event: "done", verified: true } });
  return last;
}

/** The sentence of a `get` that is expected to fail. */
export async function failed(program: Program): Promise<string> {
  const code = await exitOf(program);
  const last = program.objects().at(-1) ?? {};
  expect({ code, event: last.event, message: typeof last.message }).toEqual({ code: 1, event: "error", message: "string" });
  expect(program.err).not.toMatch(/\n\s+at |Error:/);
  return String(last.message);
}

/** Bytes that a sharing peer says it sent, once all its uploads are over. */
export async function sentBy(holder: Program): Promise<number> {
  while (events(holder, "upload-ended").length < events(holder, "upload-started").length) {
    await holder.waitFor(/"event":"upload-ended"[^\n]*\n/);
  }
  return events(holder, "upload-ended").reduce((sum, { sent }) => sum + Number(sent), 0);
}

export function binaryRecord(name: string, size: number, port: number, root: string): string {
  return `<${name},application/octet-stream,${size},22/11/26,127.0.0.1,${port};v=2;root=${root}>`;
}

/** The file is there, whole and right, and nothing of the transfer is. */
export function expectOnly(inbox: string, name: string, content: Uint8Array): void {
  expect(readdirSync(inbox)).toEqual([name]);
  expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
}

/** What came is kept, and no file has the name. */
export function expectUnfinished(inbox: string): void {
  const names = readdirSync(inbox);
  expect(names.filter((name) => !HIDDEN.test(name))).toEqual([]);
  expect(names.filter((name) => name.endsWith(".part"))).toHaveLength(1);
}

/** Numbers from 0 to 1 that look random, the same ones for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
