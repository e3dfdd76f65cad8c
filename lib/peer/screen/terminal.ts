// The terminal of this process, in which a person can be asked.

import { hangUp } from "../../program/cli.ts";
import { Prompts } from "./ask.ts";

/** Whether there is a terminal, so that a person can be asked. */
export function hasTerminal(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true && process.env.TERM !== "dumb";
}

/** The prompts on the terminal of this process, which has one. */
let prompts: Prompts | undefined;

/** The prompts of this process: one, because it has one terminal. */
export function promptsOn(signal: AbortSignal): Prompts {
  if (prompts !== undefined) return prompts;
  process.stdin.on("error", hangUp);
  prompts = new Prompts({ input: process.stdin, output: process.stdout, signal });
  return prompts;
}
