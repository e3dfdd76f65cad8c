// Does for both programs what a command-line program needs: texts that an option asks for, output, exit codes, the end of a program.

import pc from "picocolors";
import { version } from "../../package.json";
import { CancelledError, sentenceOf, UsageError } from "../error.ts";
import { printable } from "../text.ts";
import { completionScript } from "./completions.ts";
import { type Given, type ProgramTable, SHELL } from "./options.ts";

export const VERSION: string = version;
/** Colours for a terminal only; picocolors alone would also colour the logs of build servers. */
export const colours = pc.createColors(pc.isColorSupported && process.stdout.isTTY === true);
export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** The text that `--help`, `--completions` or `--version` ask for; undefined when none of them was given. */
export function textAskedFor({ help, completions, version }: Given, table: ProgramTable, helpText: string): string | undefined {
  if (help) return helpText;
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
