// Reads a command line and writes `--help` from one table of a program's options. The completions use the same table.
// It knows no program: the rows are in lib/tracker/options.ts and lib/peer/options.ts.

import { type ParseArgsConfig, parseArgs } from "node:util";
import { sentenceOf, UsageError } from "../error.ts";
import { didYouMean } from "../nearest.ts";
import { parseDuration, parseSize, printable } from "../text.ts";
import { meantPath } from "./typed-path.ts";

/** The shells that there are completions for. */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;

export type Shell = (typeof SHELLS)[number];

/** How a shell completes an option's value. A list completes to its words; `none` is for an option without a value. */
export type Completes = "file" | "folder" | "nothing" | "none" | readonly string[];

/** The kind of value that an option takes. */
export interface Kind<Value = unknown> {
  completes: Completes;
  /** The option may be given more than once; its value is then a list. */
  repeatable?: true;
  /** Turns a given text into a value. Throws a `UsageError`; `option` is its name in that sentence, such as `--port`. */
  read(text: string, option: string): Value;
  /** The text as it is shown to people, when something in it is secret. */
  shown?(text: string): string;
}

/** One row of a program's table. The order of the rows is their order in `--help`. */
export interface Option {
  /** Without its dashes. */
  name: string;
  /** One letter, typed with one dash. */
  short?: string;
  kind: Kind;
  /** The option's value as `--help` calls it, such as `PATH`. Only an option that takes a value has one. */
  label?: string;
  /** As `--help` says it. Plain ASCII, because shells read it. */
  about: string;
  /** The default: the text that is read when the option is not given. */
  standard?: string;
  /** The name is also a key in the file of settings, and a variable in the environment: `FT_MAX_FILES` for `max-files`. */
  setting?: true;
  /** The only command that takes the option, or the commands that do. Without one, every command takes it. */
  command?: string | readonly string[];
}

export interface Command {
  name: string;
  /** Its argument as `--help` calls it. */
  label?: string;
  about: string;
}

/** Everything that can be typed behind a program's name. */
export interface ProgramTable {
  program: string;
  commands: readonly Command[];
  options: readonly Option[];
}

/** The given texts by option: a list for a repeatable option, `true` for a flag. */
export type Given = Partial<Record<string, string | boolean | (string | boolean)[]>>;

type Single<O extends Option> = ReturnType<O["kind"]["read"]>;

/** The values of a table's options, each with the type of its `Kind`; `undefined` for an option that was not given and has no default. */
export type Values<Table extends readonly Option[]> = {
  [O in Table[number] as O["name"]]: O["kind"] extends { repeatable: true }
    ? Single<O>[]
    : O extends { standard: string } | { kind: typeof FLAG }
      ? Single<O>
      : Single<O> | undefined;
};

// ---------------------------------------------------------------- kinds of values

/** An option without a value. */
export const FLAG: Kind<boolean> & { completes: "none" } = { completes: "none", read: (text) => text !== "false" };
export const TEXT: Kind<string> = { completes: "nothing", read: (text) => text };
export const TEXTS = { ...TEXT, repeatable: true } as const;
/** A path, also as it is dropped or pasted into a terminal. An empty one is a mistake: `--to "$FOLDER"` without a value for FOLDER. */
const PATH: Kind<string> = {
  ...TEXT,
  read: (text, option) => (text === "" ? refuse(option, "a path", text) : meantPath(text)),
};
export const FILE: Kind<string> = { ...PATH, completes: "file" };
export const FILES = { ...FILE, repeatable: true } as const;
export const FOLDER: Kind<string> = { ...PATH, completes: "folder" };

/** Bytes, such as 500kB. */
export const SIZE: Kind<number> = {
  completes: "nothing",
  read: (text, option) => parseSize(text) ?? refuse(option, "a size, such as 500kB or 10MB", text),
};

/** Seconds, given such as 30m. */
export const DURATION: Kind<number> = {
  completes: "nothing",
  read: (text, option) => parseDuration(text) ?? refuse(option, "a duration such as 30m, 2h or 7d", text),
};

export const SHELL: Kind<Shell> = {
  completes: SHELLS,
  read: (text, option) => SHELLS.find((one) => one === text) ?? refuse(option, `one of ${SHELLS.join(", ")}`, text),
};

/** A whole number within bounds, both included. */
export function wholeNumber(least: number, most: number): Kind<number> {
  return {
    completes: "nothing",
    read: (text, option) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      if (value >= least && value <= most) return value;
      return refuse(option, `a whole number from ${least} to ${most}`, text);
    },
  };
}

/** Throws the sentence about a value that an option cannot take. `needs` describes the values that it takes, with an example. */
export function refuse(option: string, needs: string, text: string): never {
  throw new UsageError(`${option} needs ${needs}, not "${printable(text)}".`);
}

// ---------------------------------------------------------------- reading

/**
 * Splits a command line into options and words. `typedAs` has each option as it was typed, such as `-o`. Throws a `UsageError` about an
 * option that the table does not have.
 */
export function splitArguments(
  argv: string[],
  { program, options }: ProgramTable,
): { given: Given; words: string[]; typedAs: Record<string, string> } {
  const config: NonNullable<ParseArgsConfig["options"]> = Object.fromEntries(
    options.map(({ name, short, kind }) => [
      name,
      {
        type: kind.completes === "none" ? "boolean" : "string",
        multiple: kind.repeatable === true,
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
  try {
    const parsed = parseArgs({ args: argv, options: config, allowPositionals: true, strict: true, tokens: true });
    const typedAs = parsed.tokens.flatMap((token) => (token.kind === "option" ? [[token.name, token.rawName]] : []));
    return { given: { ...parsed.values }, words: parsed.positionals, typedAs: Object.fromEntries(typedAs) };
  } catch (error) {
    const letter = /^Unknown option '([^-'])'/.exec(sentenceOf(error))?.[1];
    const letters = letter === undefined ? undefined : lettersWith(letter, argv);
    if (letters !== undefined) {
      const instead = "To give it as a name or a word, put -- before it.";
      throw new UsageError(`"${printable(letters)}" is not an option. ${instead} Try: ${program} --help`);
    }
    const option = /'(?:-\w, )?(-[^']*?)(?:,? |<|')/.exec(sentenceOf(error))?.[1] ?? "";
    const missing = /argument missing|ambiguous/.test(sentenceOf(error));
    const unwanted = /does not take an argument/.test(sentenceOf(error));
    const what = missing ? "needs a value" : unwanted ? "takes no value" : "is not an option";
    const names = options.map(({ name }) => `--${name}`);
    const meant = missing || unwanted || !option.startsWith("--") ? "" : didYouMean(option, names);
    throw new UsageError(`"${printable(option)}" ${what}.${meant} Try: ${program} --help`);
  }
}

/** The argument that was read as letters of options, among them this one: "-draft" has "d". */
function lettersWith(letter: string, argv: string[]): string | undefined {
  const end = argv.indexOf("--");
  return argv.slice(0, end < 0 ? argv.length : end).find((arg) => /^-[^-]./su.test(arg) && arg.includes(letter, 1));
}

/**
 * Turns given texts into values. Throws a `UsageError` about the first text that its option cannot take.
 * `called` is an option's name in that sentence, which tells where the text comes from.
 */
export function readValues<const Table extends readonly Option[]>(
  options: Table,
  given: Given,
  called = (name: string) => `--${name}`,
): Values<Table> {
  const values = options.map(({ name, kind, standard }) => {
    const one = (text: string | boolean) => kind.read(String(text), called(name));
    const texts = given[name] ?? standard;
    if (kind.repeatable) return [name, [texts ?? []].flat().map(one)];
    if (texts === undefined) return [name, kind.completes === "none" ? false : undefined];
    return [name, Array.isArray(texts) ? texts.map(one).at(-1) : one(texts)];
  });
  return Object.fromEntries(values) as Values<Table>;
}

/** An option that was given and belongs to another command than this one. */
export function misplacedOption(options: readonly Option[], given: Given, command: string | undefined): Option | undefined {
  const takes = (option: Option) => option.command === undefined || [option.command].flat().includes(command ?? "");
  return options.find((option) => option.name in given && !takes(option));
}

// ---------------------------------------------------------------- --help

/** The width of `--help`, which every terminal has. Columns. */
const HELP_WIDTH = 80;

/** The rows of commands in `--help`: the typed text, padded to `width`, and its meaning, on the next line if the text is longer. */
export function commandRows(commands: readonly Command[], width: number): string {
  const indent = `\n${" ".repeat(width + 4)}`;
  const rows = commands.map(({ name, label, about }) => {
    const typed = label === undefined ? name : `${name} ${label}`;
    const gap = typed.length > width ? indent : `${" ".repeat(width - typed.length)}  `;
    return `  ${typed}${gap}${brokenAt(about, HELP_WIDTH - width - 4).join(indent)}`;
  });
  return rows.join("\n");
}

/** Plain ASCII as lines of at most `width` characters, where its words allow that. */
function brokenAt(text: string, width: number): string[] {
  return text.match(new RegExp(`(?:.{1,${width}}|\\S+)(?= |$)`, "g"))?.map((line) => line.trim()) ?? [];
}

/** The rows of options in `--help`, like those of commands. */
export function optionRows(options: readonly Option[], width: number): string {
  return commandRows(
    options.map((option) => ({ ...option, name: `${option.short === undefined ? "" : `-${option.short}, `}--${option.name}` })),
    width,
  );
}
