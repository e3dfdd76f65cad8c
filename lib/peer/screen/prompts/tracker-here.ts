// Starts ft-tracker on this computer for a person who found no tracker. It runs on when ft-peer has ended, until somebody ends it.

import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { basename, dirname } from "node:path";
import { FtError } from "../../../error.ts";
import { readOwnFile } from "../../../files.ts";
import { printable } from "../../../text.ts";

/** A tracker that has not ended after this time is taken to run. Milliseconds. */
const START_MS = 500;
/** A longer log is not read for its last line. Bytes. */
const LOG_LIMIT = 64 * 1024;

/** A tracker that was started here. */
export interface TrackerHere {
  pid: number;
  /** Ends it. */
  stop(): void;
}

/** The path of ft-tracker beside this program or on the PATH; undefined when there is none. */
export function findTrackerProgram(): string | undefined {
  const name = process.platform === "win32" ? "ft-tracker.exe" : "ft-tracker";
  const beside = Bun.which(name, { PATH: dirname(process.execPath) });
  return beside ?? Bun.which(name, { PATH: process.env.PATH ?? "" }) ?? undefined;
}

/** Starts it. `log` is the file that gets what it prints. Throws a sentence when it ends at once. */
export async function startTrackerHere(program: string, log: string): Promise<TrackerHere> {
  mkdirSync(dirname(log), { recursive: true, mode: 0o700 });
  const fd = openSync(log, "w", 0o600);
  const child = spawn(program, [], { detached: true, stdio: ["ignore", fd, fd], windowsHide: true });
  closeSync(fd);
  const ended = Promise.withResolvers<string>();
  child.on("error", (error) => ended.resolve(error.message));
  child.on("exit", () => ended.resolve(lastLineOf(log)));
  const failed = await Promise.race([ended.promise, Bun.sleep(START_MS).then(() => undefined)]);
  if (failed !== undefined || child.pid === undefined) {
    throw new FtError("no-tracker", `Cannot start ${basename(program)}: ${printable(failed ?? "it did not start")}`);
  }
  child.unref();
  return { pid: child.pid, stop: () => void child.kill() };
}

function lastLineOf(log: string): string {
  try {
    return readOwnFile(log, LOG_LIMIT).toString().trim().split("\n").at(-1) || "it ended at once";
  } catch {
    return "it ended at once";
  }
}
