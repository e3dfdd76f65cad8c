// The linter's rules of the house (tests/rules/*.grit), each shown to bite: a forbidden line in the right folder is an error.

import { describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dir, "..");
const BIOME = join(ROOT, "node_modules", "@biomejs", "biome", "bin", "biome");

/** What the linter says of a line of code at a path: the messages of the house's rules. */
async function lint(path: string, line: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "ft-rules-"));
  try {
    cpSync(join(ROOT, "biome.json"), join(folder, "biome.json"));
    cpSync(join(ROOT, "tests", "rules"), join(folder, "tests", "rules"), { recursive: true });
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), `${line}\n`);
    const child = Bun.spawn([process.execPath, BIOME, "lint", path], { cwd: folder, stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    await child.exited;
    return out + err;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const GROUND = "The ground (lib/*.ts) imports nothing but itself and the runtime.";
const PURE = "lib/protocol/ is pure: no runtime, no packages, only the ground and itself.";
const SOCKETS = "Sockets are opened in lib/net/ only.";
const SHARED = "What both programs share imports neither of them.";
const ENGINE = "Engines name no runtime, timer, file or socket: these are handed in.";
const PROMPTS = "Only lib/peer/screen/ask.ts and list-prompt.ts import the packages of the prompts.";

describe("the linter refuses", () => {
  test.each([
    ["lib/text.ts", 'export { a } from "./protocol/record.ts";', GROUND],
    ["lib/text.ts", 'import "picocolors";', GROUND],
    ["lib/protocol/read.ts", 'import "node:fs";', PURE],
    ["lib/protocol/read.ts", 'import type { A } from "../net/channel.ts";\nexport type B = A;', PURE],
    ["lib/protocol/read.ts", "export const a = Buffer.from([]);", PURE],
    ["lib/peer/disk/share.ts", "Bun.listen({});", SOCKETS],
    ["tracker.ts", "export const connect = Bun.connect;", SOCKETS],
    ["lib/tracker/system/announce.ts", 'import "node:dgram";', SOCKETS],
    ["lib/net/tcp.ts", 'import "../peer/online/session.ts";', SHARED],
    ["lib/program/cli.ts", 'import "../../tracker.ts";', SHARED],
    [
      "lib/tracker/catalog.ts",
      'import "../peer/download/contents.ts";',
      "lib/tracker/ imports neither lib/peer/ nor a program.",
    ],
    ["lib/peer/screen/view.ts", 'import "../../tracker/events.ts";', "lib/peer/ imports neither lib/tracker/ nor a program."],
    ["lib/tracker/catalog.ts", "export const now = Date.now();", ENGINE],
    ["lib/peer/fetch/fetch.ts", "setTimeout(() => {}, 1);", ENGINE],
    ["lib/peer/online/session.ts", "process.exit(1);", ENGINE],
    ["lib/peer/serve/slots.ts", 'import "node:fs";', ENGINE],
    ["lib/peer/connect/connect.ts", 'import "../../net/dial.ts";', ENGINE],
    ["lib/peer/share/hand-out.ts", 'import "../disk/share.ts";', ENGINE],
    ["lib/tracker/work/turns.ts", "setTimeout(() => {}, 1);", ENGINE],
    ["lib/peer/screen/prompts/guide.ts", 'import "@clack/prompts";', PROMPTS],
  ])("in %s: %s", async (path, line, message) => {
    expect(await lint(path, line)).toContain(message);
  });
});

describe("the linter lets pass", () => {
  test.each([
    ["lib/files.ts", 'import "node:fs";'],
    ["lib/protocol/pass.ts", 'import "node:crypto";'],
    ["lib/net/listen.ts", "Bun.listen({});"],
    ["lib/tracker/operator/operator-socket.ts", 'import "node:net";'],
    ["lib/peer/online/session.ts", 'import type { Channel } from "../../net/channel.ts";\nexport type A = Channel;'],
    ["lib/peer/screen/ask.ts", 'import "@clack/prompts";'],
  ])("in %s: %s", async (path, line) => {
    expect(await lint(path, line)).not.toContain("plugin");
  });
});
