// The lock beside a part file, among living, dead and sleeping processes.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lock, removeIfThere } from "../../../lib/peer/disk/lock.ts";

let folder = "";
const held: Lock[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ft-lock-"));
});
afterEach(() => {
  for (const lock of held.splice(0)) lock.release();
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);

function take(path: string): Lock | undefined {
  const lock = Lock.take(path);
  if (lock !== undefined) held.push(lock);
  return lock;
}

/** The id of a process that is over. */
function deadId(): number {
  return Bun.spawnSync([process.execPath, "-e", ""], { env: { ...process.env, BUN_BE_BUN: "1" } }).pid;
}

/** A process that lives until it is told to end. */
async function withLiving(act: (pid: number) => void): Promise<void> {
  const living = Bun.spawn(["cat"], { stdin: "pipe", stdout: "ignore" });
  try {
    act(living.pid);
  } finally {
    living.stdin.end();
    await living.exited;
  }
}

function backdate(path: string, seconds: number): void {
  const then = new Date(Date.now() - seconds * 1000);
  utimesSync(path, then, then);
}

describe("Lock: a lock", () => {
  test("names this process, is not given twice, and is gone when it is given back", () => {
    const lock = take(at("l"));
    expect(readFileSync(at("l"), "utf8")).toBe(String(process.pid));
    expect(take(at("l"))).toBeUndefined();
    expect(take(at("other"))).toBeDefined();
    lock?.release();
    expect(existsSync(at("l"))).toBe(false);
    expect(take(at("l"))).toBeDefined();
  });

  test.skipIf(process.platform !== "linux")(
    "of a process that was killed, and whose parent does not ask for it, is taken",
    async () => {
      // The shell becomes `cat`, which never asks how its child has ended. The shell itself would ask.
      const parent = Bun.spawn(["sh", "-c", "sleep 1000 & echo $!; exec cat"], { stdin: "pipe", stdout: "pipe" });
      const reader = parent.stdout.getReader();
      const pid = Number(new TextDecoder().decode((await reader.read()).value));
      while (readFileSync(`/proc/${parent.pid}/comm`, "utf8") !== "cat\n") await new Promise((go) => setImmediate(go));
      process.kill(pid, "SIGKILL");
      while (!/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))) await new Promise((go) => setImmediate(go));
      writeFileSync(at("l"), String(pid));
      expect(take(at("l"))).toBeDefined();
      parent.stdin.end();
      await parent.exited;
    },
  );

  test("of a process that lives and beats is respected, and not touched", async () => {
    await withLiving((pid) => {
      writeFileSync(at("l"), String(pid));
      backdate(at("l"), 20);
      const before = statSync(at("l")).mtimeMs;
      expect(take(at("l"))).toBeUndefined();
      expect([readFileSync(at("l"), "utf8"), statSync(at("l")).mtimeMs]).toEqual([String(pid), before]);
    });
  });

  test("of a process that lives but does not beat any more does not count", async () => {
    await withLiving((pid) => {
      writeFileSync(at("l"), String(pid));
      backdate(at("l"), 40);
      expect(take(at("l"))).toBeDefined();
      expect(readFileSync(at("l"), "utf8")).toBe(String(process.pid));
    });
  });

  test("of a process that is dead does not count", () => {
    writeFileSync(at("l"), String(deadId()));
    expect(take(at("l"))).toBeDefined();
  });

  test("that this process's id names, but this process does not hold, does not count: ids are used again", () => {
    writeFileSync(at("l"), String(process.pid));
    expect(take(at("l"))).toBeDefined();
    expect(take(at("l"))).toBeUndefined();
  });

  test.each(["", "rubbish", "-1", "0", "1.5", "\u0000", "9".repeat(400)])("that says %j is none", (text) => {
    writeFileSync(at("l"), text);
    expect(take(at("l"))).toBeDefined();
  });

  test("is a file that only this user may write to", () => {
    take(at("l"));
    expect(lstatSync(at("l")).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["l"]);
  });

  test("that is long is none, and is not read whole", () => {
    writeFileSync(at("l"), "");
    truncateSync(at("l"), 2 ** 40);
    expect(take(at("l"))).toBeDefined();
  });

  test("a link of its name is not followed, neither to be read nor to be written", () => {
    writeFileSync(at("mine"), "precious");
    symlinkSync(at("mine"), at("l"));
    const lock = take(at("l"));
    expect(lstatSync(at("l")).isFile()).toBe(true);
    expect(readFileSync(at("mine"), "utf8")).toBe("precious");
    lock?.release();
    symlinkSync(at("nowhere"), at("l"));
    take(at("l"))?.release();
    expect(existsSync(at("nowhere"))).toBe(false);
  });

  test("that somebody has replaced is theirs: giving ours back leaves it", () => {
    const lock = take(at("l"));
    rmSync(at("l"));
    writeFileSync(at("l"), String(deadId()));
    lock?.release();
    expect(existsSync(at("l"))).toBe(true);
    rmSync(at("l"));
    symlinkSync(at("mine"), at("l"));
    writeFileSync(at("mine"), String(process.pid));
    lock?.release();
    expect(readlinkSync(at("l"))).toBe(at("mine"));
  });

  test("that somebody has removed is given back without a word, twice too", () => {
    const lock = take(at("l"));
    rmSync(at("l"));
    lock?.release();
    lock?.release();
    expect(take(at("l"))).toBeDefined();
  });

  test("where it cannot be written, the system's error says why, and nothing is held", () => {
    expect(() => Lock.take(join(folder, "no", "l"))).toThrow(/ENOENT/);
    mkdirSync(at("no"));
    expect(take(join(folder, "no", "l"))).toBeDefined();
    mkdirSync(at("dir"));
    writeFileSync(join(at("dir"), "kept"), "x");
    expect(() => Lock.take(at("dir"))).toThrow();
    expect(readFileSync(join(at("dir"), "kept"), "utf8")).toBe("x");
  });
});

describe("Lock: removing", () => {
  test("what is there is gone, what is not there is as good, and what cannot be removed is said", () => {
    writeFileSync(at("a"), "");
    removeIfThere(at("a"));
    removeIfThere(at("a"));
    expect(existsSync(at("a"))).toBe(false);
    mkdirSync(at("dir"));
    expect(() => removeIfThere(at("dir"))).toThrow();
    expect(existsSync(at("dir"))).toBe(true);
  });
});
