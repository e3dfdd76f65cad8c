// Writes the manual page of a program from its table of options and commands.

import type { Option, ProgramTable } from "../../lib/program/options.ts";

/** What a manual says besides the table. */
interface Manual {
  table: ProgramTable;
  version: string;
  /** The program in one line. */
  about: string;
  /** The words that can stand behind the program's name. */
  usage: string;
  /** Paragraphs on what the program does. */
  description: string[];
}

/** The manual as the source of a man page, section 1. */
export function manualPage({ table, version, about, usage, description }: Manual): string {
  const { program, commands, options } = table;
  const lines = [
    `.TH ${text(program.toUpperCase())} 1 "" "FileTracker ${text(version)}" "FileTracker"`,
    ".SH NAME",
    `${text(program)} \\- ${text(about)}`,
    ".SH SYNOPSIS",
    `.B ${text(program)}`,
    text(usage),
    ".SH DESCRIPTION",
    ...description.flatMap((paragraph) => [".PP", line(paragraph)]),
    ".SH COMMANDS",
    ...commands.flatMap(({ name, label, about }) => [
      ".TP",
      `\\fB${text(name)}\\fR${label === undefined ? "" : ` \\fI${text(label)}\\fR`}`,
      line(about),
    ]),
    ".SH OPTIONS",
    ...options.flatMap((option) => [".TP", typed(option), line(option.about), ...variableOf(option)]),
    ".SH EXIT STATUS",
    ...[
      ["0", "done"],
      ["1", "it could not be done"],
      ["2", "the command line is wrong"],
      ["130", "stopped by Ctrl-C or a signal"],
    ].flatMap(([code = "", meaning = ""]) => [".TP", `.B ${code}`, meaning]),
    ".SH SEE ALSO",
    `.BR ${text(program === "ft-peer" ? "ft-tracker" : "ft-peer")} (1)`,
  ];
  return `${lines.join("\n")}\n`;
}

function typed({ name, short, label }: Option): string {
  const both = short === undefined ? `--${name}` : `-${short}, --${name}`;
  return `\\fB${text(both)}\\fR${label === undefined ? "" : ` \\fI${text(label)}\\fR`}`;
}

function variableOf({ name, setting }: Option): string[] {
  return setting ? [line(`Environment: FT_${name.toUpperCase().replaceAll("-", "_")}`)] : [];
}

/** A text as it is shown: backslashes and dashes mean something else in a man page. */
function text(plain: string): string {
  return plain.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}

/** A text on a line of its own. A dot or a quote at the beginning would be a request. */
function line(plain: string): string {
  const shown = text(plain);
  return /^[.']/.test(shown) ? `\\&${shown}` : shown;
}
