// The terminal of this process, in which a person can be asked.

import { hangUp } from "../../program/cli.ts";
import { Prompts } from "./ask.ts";

/** Whether there is a terminal, so that a person can be asked. */
export function hasTerminal(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true && process.env.TERM !== "dumb";
}

/** The prompts on the terminal of this process, which has one. */
let theTerminal: Prompts | undefined;

/** The prompts on this terminal. */
export function promptsOn(signal: AbortSignal): Prompts {
  if (theTerminal !== undefined) return theTerminal;
  process.stdin.on("error", hangUp);
  theTerminal = new Prompts({ input: process.stdin, output: process.stdout, signal });
  return theTerminal;
}
