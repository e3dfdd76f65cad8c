// What the programs share as command-line programs: addresses and names as typed, standard output, stopping, exit codes.

import { version } from "../../package.json";
import { CancelledError, sentenceOf, UsageError } from "../error.ts";
import { parseAddress, parsePort } from "../protocol/address.ts";
import { DEFAULT_TRACKER_PORT } from "../protocol/messages.ts";
import { type FileName, parseFileName } from "../protocol/record.ts";
import { fit, type Measure, printable } from "../text.ts";
import { completionScript } from "./completions.ts";
import { type Given, type ProgramTable, SHELL } from "./options.ts";

export const VERSION: string = version;

export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** The text that `--help`, `--completions` or `--version` ask for; undefined when none of them was given. */
export function textAskedFor({ help, completions, version }: Given, table: ProgramTable, helpText: string): string | undefined {
  if (help) return helpText;
  if (completions !== undefined) return completionScript(SHELL.read(String(completions), "--completions"), table);
  return version ? `${table.program} ${VERSION}` : undefined;
}

/** A tracker's address as typed: `ADDRESS`, `ADDRESS:PORT`, `[IPv6]:PORT`, or a host's name. */
export function parseTracker(text: string): { address: string; port: number } {
  const wrong = new UsageError(
    `"${printable(text)}" is not a tracker's address. Give one like 192.168.1.5, lab.local:1234 or [fe80::1]:1234.`,
  );
  const bare = text.includes(":") ? parseAddress(text) : undefined;
  if (bare !== undefined) return { address: bare, port: DEFAULT_TRACKER_PORT };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  const port = match?.[3] === undefined ? DEFAULT_TRACKER_PORT : parsePort(match[3]);
  const address = parseAddress(host);
  const isName = match?.[1] === undefined && /^(?=.*[a-z])[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i.test(host);
  if (port === undefined || (address === undefined && !isName)) throw wrong;
  return { address: address ?? host, port };
}

/** A file's name as typed, in the form that records have: "e" and a combining accent become "é". Throws a `UsageError`. */
export function nameArgument(text: string): FileName {
  try {
    return parseFileName(text.normalize("NFC"));
  } catch (error) {
    throw new UsageError(`"${fit(printable(text), 60, measure)}" cannot be a file's name. ${sentenceOf(error)}`);
  }
}

/** Waits for a promise, but throws a `CancelledError` as soon as the signal aborts. The promise's result is then ignored. */
export async function orCancelled<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let cancel = () => {};
  const cancelled = new Promise<never>((_, reject) => {
    cancel = () => reject(new CancelledError());
  });
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  promise.catch(() => undefined);
  try {
    return await Promise.race([cancelled, promise]);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** Gives an error's sentence and its stable code to `say`. Gives the program's exit code. */
export function exitCodeFor(error: unknown, say: (sentence: string, code: string) => void): number {
  if (error instanceof CancelledError) return EXIT.interrupted;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "failed";
  say(printable(sentenceOf(error)), code);
  return error instanceof UsageError ? EXIT.usage : EXIT.failed;
}

/** The columns a text takes in a terminal. */
export const measure: Measure = (text) => Bun.stringWidth(text);

/** A line to standard output. */
export function out(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A line to standard error. */
export function err(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Ends the program as SIGHUP does. The system does not send that signal to every program whose terminal was closed. */
export function hangUp(): void {
  process.kill(process.pid, "SIGHUP");
}

/** Runs a program's `main` and ends the process with its exit code. A closed pipe behind its output ends it without a message. */
export async function runProgram(main: (argv: string[]) => Promise<number>): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (code === "EPIPE") process.exit(EXIT.done);
      if (code === "ENOSPC") process.exit(EXIT.failed);
      if (code === "EIO") hangUp();
    });
  }
  process.exitCode = await main(process.argv.slice(2));
  // A pipe may still hold lines that its reader has not read. Nothing else keeps the process running.
  for (const stream of [process.stdout, process.stderr]) {
    if (!stream.isTTY) await new Promise<void>((done) => stream.end(() => done()));
  }
  process.exit();
}
