// What both programs share as command-line programs: options, standard output, exit codes.

import { type ParseArgsConfig, parseArgs } from "node:util";
import { version } from "../package.json";
import { CancelledError, sentenceOf, UsageError } from "./error.ts";
import { type Measure, printable } from "./text.ts";

export const VERSION: string = version;

export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Reads options strictly; what is wrong becomes one sentence. */
export function readArguments<O extends NonNullable<ParseArgsConfig["options"]>>(argv: string[], options: O, program: string) {
  try {
    return parseArgs({ args: argv, options, allowPositionals: true, strict: true });
  } catch (error) {
    const option = /'(-[^']*?)(?:,? |<|')/.exec(sentenceOf(error))?.[1] ?? "";
    const missing = /argument missing|ambiguous/.test(sentenceOf(error));
    const unwanted = /does not take an argument/.test(sentenceOf(error));
    const what = missing ? "needs a value" : unwanted ? "takes no value" : "is not an option";
    throw new UsageError(`"${printable(option)}" ${what}. Try: ${program} --help`);
  }
}

/** A whole number given with an option, within bounds. */
export function numberOption(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${option} needs a whole number from ${least} to ${most}, not "${printable(text)}".`);
}

/** How an error ends a program: its sentence goes to `say`, its exit code is given back. */
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

/** Runs a program's `main` and ends the process with its exit code; a reader of its output that went away ends it quietly. */
export async function runProgram(main: (argv: string[]) => Promise<number>): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(EXIT.done);
    });
  }
  process.exitCode = await main(process.argv.slice(2));
  // Whatever is still open (a keep-alive timer, a paused terminal) must not hold the process.
  process.exit();
}
