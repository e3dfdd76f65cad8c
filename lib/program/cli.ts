// Does for both programs what a command-line program needs: texts that an option asks for, output, exit codes, the end of a program.

import pc from "picocolors";
import { version } from "../../package.json";
import { CancelledError, codeOf, FtError, sentenceOf, UsageError } from "../error.ts";
import { printable } from "../text.ts";
import { wasClosed } from "./closed-output.ts";
import { completionScript } from "./completions.ts";
import { type Given, type ProgramTable, SHELL } from "./options.ts";

export const VERSION: string = version;
/** Colours for a terminal only; picocolors alone would also colour the logs of build servers. */
export const colours = pc.createColors(pc.isColorSupported && process.stdout.isTTY === true);
export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** The text that `--help`, `help`, `--completions` or `--version` ask for; undefined when none of them was given. */
export function textAskedFor(
  { given: { help, completions, version }, words }: { given: Given; words: string[] },
  table: ProgramTable,
  helpText: string,
): string | undefined {
  if (help || words[0] === "help") return helpText;
  if (completions !== undefined) return completionScript(SHELL.read(String(completions), "--completions"), table);
  return version ? `${table.program} ${VERSION}` : undefined;
}

/** Gives an error's sentence and its stable code to `say`. Gives the program's exit code. */
export function exitCodeFor(error: unknown, say: (sentence: string, code: string) => void): number {
  if (error instanceof CancelledError) return EXIT.interrupted;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "failed";
  say(printable(sentenceOf(error)), code);
  return error instanceof UsageError ? EXIT.usage : EXIT.failed;
}

/** Standard output was closed when the program was started: no write could fail by itself. */
const isOutputClosed = wasClosed(1);
const CLOSED = Object.assign(new Error("standard output is closed"), { code: "EBADF" });

/** A line to standard output. */
export function out(line: string): void {
  if (isOutputClosed) process.stdout.emit("error", CLOSED);
  else process.stdout.write(`${line}\n`);
}

/** A line to standard error. */
export function err(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Whether the program goes on when standard output cannot be written. `as the writer says`: the caller of `writeOut` decides. */
let goesOn: "always" | "with a full disk" | "never" | "as the writer says" = "never";

/** Bytes to standard output. Resolves when the system has taken them. Throws a sentence when it cannot. */
export function writeOut(bytes: Uint8Array): Promise<void> {
  goesOn = "as the writer says";
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      reject(new FtError("output-lost", `Cannot write the output: ${whyNotWritten(codeOf(error))}.`));
    };
    if (isOutputClosed) return fail(CLOSED);
    if (process.stdout.destroyed || process.stdout.errored) return fail(process.stdout.errored);
    process.stdout.once("error", fail);
    process.stdout.write(bytes, (error) => {
      process.stdout.off("error", fail);
      if (error) fail(error);
      else resolve();
    });
  });
}

/** A program that was told to end does so within this time. Milliseconds. */
export const LEAVING_MS = 4_000;

/** Ends the program with this code after LEAVING_MS, even if something hangs: a reader of its output that does not read, for one. */
export function endSoon(code: number): void {
  setTimeout(() => process.exit(code), LEAVING_MS).unref();
}

/** From now on the program does its work even if nobody reads its output: "with a full disk" it still ends when its pipe is closed. */
export function goOnWithoutOutput(when: "always" | "with a full disk" = "always"): void {
  goesOn = when;
}

/** Ends the program as SIGHUP does. The system does not send that signal to every program whose terminal was closed. */
export function hangUp(platform: string = process.platform): void {
  // A program on Windows cannot send signals to itself, but its handlers can be called.
  if (platform === "win32") process.emit("SIGHUP", "SIGHUP");
  else process.kill(process.pid, "SIGHUP");
}

/**
 * Whether the window of this program closes when it ends, before anybody could read its last sentence. Windows opens such a window for
 * a program that is started by a double-click. It cannot be told from a program that is started by its bare name.
 */
export function holdsWindow(code: number, argv: string[], platform: string = process.platform): boolean {
  return platform === "win32" && argv.length === 0 && (code === EXIT.failed || code === EXIT.usage);
}

/** Waits until a person has pressed Enter, or until the input ends. */
export async function waitForEnter(input: NodeJS.ReadableStream, say: (line: string) => void): Promise<void> {
  say("Press Enter to close this window.");
  await new Promise<void>((resolve) => {
    for (const event of ["data", "end", "error"]) input.once(event, () => resolve());
    input.resume();
  });
}

/** The clause for an output that cannot be written. */
function whyNotWritten(code: string): string {
  const clause: Record<string, string> = {
    ENOSPC: "the disk is full",
    EDQUOT: "this user's share of the disk is full",
    EFBIG: "the file has reached its largest size",
    EPIPE: "the program that reads it has ended",
    EBADF: "standard output is closed",
  };
  return clause[code] ?? (code || "unknown error");
}

/**
 * Runs a program's `main` and ends the process with its exit code. When standard output cannot be written, the program ends with an
 * error, or goes on and says so once. A closed pipe means that its reader has what it wanted: then the program ends without a message.
 */
export async function runProgram(main: (argv: string[]) => Promise<number>): Promise<void> {
  let lost = "no" as "no" | "pipe" | "error";
  process.stdout.on("error", ({ code = "" }: NodeJS.ErrnoException) => {
    // The terminal is gone: the program ends in order, as after SIGHUP.
    if (code === "EIO" && process.stdout.isTTY) return hangUp();
    if (lost !== "no") return;
    lost = code === "EPIPE" ? "pipe" : "error";
    if (goesOn === "as the writer says") return;
    if (code === "EPIPE" && goesOn !== "always") process.exit(EXIT.done);
    const goes = goesOn === "never" ? "" : " Going on without it.";
    err(`Cannot write the output: ${whyNotWritten(code)}.${goes}`);
    if (goesOn === "never") process.exit(EXIT.failed);
  });
  // Without standard error there is nowhere to complain.
  process.stderr.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (code === "EPIPE" && goesOn !== "always") process.exit(EXIT.done);
    if (code === "EIO") hangUp();
  });
  const argv = process.argv.slice(2);
  const code = await main(argv);
  if (holdsWindow(code, argv) && process.stdin.isTTY && process.stdout.isTTY) await waitForEnter(process.stdin, err);
  // A pipe may still hold lines that its reader has not read. Nothing else keeps the process running.
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.isTTY) continue;
    await new Promise<void>((done) => {
      // After an error a stream never says that it has ended.
      if (stream.destroyed || stream.errored || (stream === process.stdout && lost !== "no")) return done();
      stream.once("error", () => done());
      stream.end(() => done());
    });
  }
  // Output that is lost to a full disk is an error, too. A reader that has closed its pipe has what it wanted.
  process.exit(code === EXIT.done && lost === "error" ? EXIT.failed : code);
}
