// Reads the command line of this process, and asks a person about a first word that is neither a command nor clearly an address.

import type { Outside } from "../../program/settings.ts";
import { parsePeerArguments, UnknownWord } from "../arguments.ts";
import { hasTerminal, promptsOn } from "../screen/terminal.ts";

/** Reads a command line like `parsePeerArguments`. Without a terminal, and with --json, an unknown first word is an error. */
export async function readCommandLine(argv: string[], outside: Outside, signal: AbortSignal) {
  try {
    return parsePeerArguments(argv, outside);
  } catch (error) {
    if (!(error instanceof UnknownWord) || argv.includes("--json") || !hasTerminal()) throw error;
    const { word } = error;
    const answer = await promptsOn(signal).choose(`"${word}" is not a command. Is it the name of the tracker's computer?`, [
      { value: "no", label: "No" },
      { value: "yes", label: `Yes, connect to "${word}"` },
    ]);
    if (answer !== "yes") throw error;
    return parsePeerArguments(argv, outside, word);
  }
}
