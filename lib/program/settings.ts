// Settings that a person gives once: in a file of this user's config folder, and in the environment. Both have the names of the options,
// and the checks of the options read them. The command line comes before the environment, the environment before the file.

import { realpathSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { codeOf, pathFault, sentenceOf, UsageError } from "../error.ts";
import { homeFolder, readPlainFile, userFolder } from "../files.ts";
import { didYouMean, nearest } from "../nearest.ts";
import { jsonLine, printable } from "../text.ts";
import { type Given, type Option, type ProgramTable, readValues, refuse } from "./options.ts";
import { ROOM_VARIABLE } from "./room-key.ts";

/** A longer file of settings is not read. Bytes. */
const FILE_LIMIT = 32 * 1024;

/** Where settings come from, beside the command line. */
export interface Outside {
  /** The path of the file, whether it exists or not; undefined when this user has no config folder. */
  path: string | undefined;
  /** The text of the file; undefined when there is none, or when it may not be used. */
  text: string | undefined;
  /** Why the file is not used, as a sentence. */
  remark?: string;
  environment: Record<string, string | undefined>;
  /** This user's home folder, for paths such as `~/Music`. */
  home: string;
}

/** No file and no environment. */
export const NOTHING_OUTSIDE: Outside = { path: undefined, text: undefined, environment: {}, home: "" };

/** The command line and everything outside it, by option. */
export interface Settings {
  given: Given;
  /** The name of an option in sentences: `--port`, `FT_PORT`, or `"port" in "/home/ann/.config/filetracker/peer.toml"`. */
  called(name: string): string;
  /** Where an option's value comes from. */
  origin(name: string): Origin;
}

type Origin = { from: "command line" | "default" } | { from: "environment" | "file"; where: string };

/** The settings of this user for `ft-peer` or `ft-tracker`. A file that others could have written is not used. */
export function outsideOf(program: string): Outside {
  const home = homeFolder();
  const folder = userFolder("config");
  const outside = { path: undefined, text: undefined, environment: process.env, home };
  // A relative path would lead into the working folder, where anybody may have left a file.
  if (!isAbsolute(folder)) return outside;
  const path = join(folder, `${program.replace(/^ft-/, "")}.toml`);
  return { ...outside, path, ...readSettingsFile(path) };
}

/** Reads a file of settings. Only this user may own it, and not everybody may write to it. A link to such a file is fine. */
export function readSettingsFile(path: string): Pick<Outside, "text" | "remark"> {
  const unused = (why: string) => ({ text: undefined, remark: `The settings in "${path}" are not used: ${why}.` });
  let why = `it is not a regular file of at most ${FILE_LIMIT / 1024} KiB`;
  try {
    const self = process.getuid?.();
    const bytes = readPlainFile(realpathSync(path), FILE_LIMIT, ({ uid, mode }) => {
      if (self === undefined) return true;
      if (uid !== self) why = "the file belongs to another user";
      else if ((mode & 0o002) !== 0) why = `everybody may write to it. Try: chmod o-w "${path}"`;
      return uid === self && (mode & 0o002) === 0;
    });
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return { text: undefined };
    return unused(code === "" ? why : pathFault(error));
  }
}

/** Adds the environment and the file to a command line. Throws a `UsageError` about a name or a kind of value that no option has. */
export function settingsFrom({ options }: Pick<ProgramTable, "options">, given: Given, outside: Outside): Settings {
  const rows = options.filter(({ setting }) => setting);
  const byEnvironment = fromEnvironment(rows, outside);
  const byFile = fromFile(rows, outside);
  const origin = (name: string): Origin => {
    if (name in given) return { from: "command line" };
    if (name in byEnvironment) return { from: "environment", where: variableOf(name) };
    return name in byFile ? { from: "file", where: outside.path ?? "" } : { from: "default" };
  };
  const called = (name: string) => {
    const from = origin(name);
    if (from.from === "environment") return from.where;
    return from.from === "file" ? keyIn(name, from.where) : `--${name}`;
  };
  return { given: { ...byFile, ...byEnvironment, ...given }, called, origin };
}

/** The variable of an option: `FT_MAX_FILES` for `--max-files`. */
function variableOf(name: string): string {
  return `FT_${name.replaceAll("-", "_").toUpperCase()}`;
}

function keyIn(key: string, path: string): string {
  return `"${printable(key)}" in "${printable(path)}"`;
}

// ---------------------------------------------------------------- the environment

/** The texts that mean yes and no in a variable of an option without a value. */
const YES_OR_NO: Record<string, boolean> = {
  "1": true,
  true: true,
  yes: true,
  on: true,
  "0": false,
  false: false,
  no: false,
  off: false,
};

function fromEnvironment(rows: readonly Option[], { environment, home }: Outside): Given {
  const variables = new Map(rows.map((row) => [variableOf(row.name), row]));
  const given: Given = {};
  for (const [variable, text] of Object.entries(environment)) {
    if (!/^FT_/i.test(variable) || text === undefined || text === "") continue;
    // The key of a room is no option: room-key.ts reads it.
    if (variable.toUpperCase() === ROOM_VARIABLE) continue;
    // Windows does not tell apart upper and lower case in these names.
    const row = variables.get(process.platform === "win32" ? variable.toUpperCase() : variable);
    if (row === undefined) {
      // Other programs may have variables that begin so. Only a name that is nearly one of ours is a mistake.
      const meant = nearest(
        variable.slice(3),
        [...variables.keys()].map((one) => one.slice(3)),
      );
      if (meant === undefined) continue;
      throw new UsageError(`Unknown variable ${printable(variable)} in the environment. Did you mean FT_${meant}?`);
    }
    if (row.kind.completes === "none") {
      const value = Object.hasOwn(YES_OR_NO, text.toLowerCase()) ? YES_OR_NO[text.toLowerCase()] : undefined;
      given[row.name] = value ?? refuse(variable, "true or false", text);
    } else if (row.kind.repeatable) {
      const paths = text.split(delimiter).filter((one) => one !== "");
      given[row.name] = paths.map((one) => atHome(row, one, home));
    } else given[row.name] = atHome(row, text, home);
  }
  return given;
}

/** A path with `~` for this user's home folder, which no shell has replaced here. */
function atHome({ kind }: Option, text: string, home: string): string {
  const isPath = kind.completes === "file" || kind.completes === "folder";
  return isPath && /^~(?=$|[/\\])/.test(text) ? home + text.slice(1) : text;
}

// ---------------------------------------------------------------- the file

function fromFile(rows: readonly Option[], { text, path = "", home }: Outside): Given {
  if (text === undefined) return {};
  const given: Given = {};
  for (const [key, value] of Object.entries(parseToml(text, path))) {
    const row = rows.find(({ name }) => name === key);
    if (row === undefined) {
      const meant =
        didYouMean(
          key,
          rows.map(({ name }) => name),
        ) || ` There are ${rows.map(({ name }) => name).join(", ")}.`;
      throw new UsageError(`Unknown key ${keyIn(key, path)}.${meant}`);
    }
    given[key] = textsOf(row, value, path, home);
  }
  return given;
}

/** A value of the file as it would stand on the command line. */
function textsOf(row: Option, value: unknown, path: string, home: string): string | boolean | string[] {
  const wrong = (needs: string, one: unknown) =>
    refuse(keyIn(row.name, path), needs, typeof one === "string" ? one : jsonLine(one));
  if (row.kind.completes === "none") return typeof value === "boolean" ? value : wrong("true or false, without quotes", value);
  const scalar = (one: unknown) => {
    if (typeof one === "string") return atHome(row, one, home);
    return typeof one === "number" || typeof one === "bigint" ? String(one) : wrong("a text in quotes or a number", one);
  };
  if (!Array.isArray(value)) return scalar(value);
  return row.kind.repeatable ? value.map(scalar) : wrong("one value, not a list", value);
}

function parseToml(text: string, path: string): Record<string, unknown> {
  const wrong = (line: number, why: string) =>
    new UsageError(`Cannot read the settings in "${printable(path)}": line ${line}: ${why}.`);
  const inSingle = "put a Windows path in single quotes, such as 'C:\\Users\\ada'";
  const lineOfPath = text.split("\n").findIndex((line) => PATH_IN_DOUBLE_QUOTES.test(line)) + 1;
  let values: Record<string, unknown>;
  try {
    values = Bun.TOML.parse(text) as Record<string, unknown>;
  } catch (error) {
    const line = wrongLine(text);
    if (line === lineOfPath) throw wrong(line, inSingle);
    throw wrong(line, printable(sentenceOf(error).replace(/^TOML Parse error: /, "")));
  }
  if (lineOfPath > 0 && Object.values(values).flat().some(hasControl)) throw wrong(lineOfPath, inSingle);
  return values;
}

/** A Windows path in double quotes. TOML reads `\` as an escape there: `"C:\Users"` is an error, and `"D:\temp"` has a tab in it. */
const PATH_IN_DOUBLE_QUOTES = /^[^#]*"(?:[a-z]:|~|\\\\[^"\\]+|%[^"%\\]+%)\\(?!\\)/i;

function hasControl(value: unknown): boolean {
  return typeof value === "string" && /\p{Cc}/u.test(value);
}

/** The line where a damaged file goes wrong, from 1. The parser does not tell it: all lines before it can be read by themselves. */
function wrongLine(text: string): number {
  const lines = text.split("\n");
  const isFine = (count: number) => {
    try {
      Bun.TOML.parse(lines.slice(0, count).join("\n"));
      return true;
    } catch {
      return false;
    }
  };
  let count = lines.length - 1;
  while (count > 0 && !isFine(count)) count--;
  return count + 1;
}

// ---------------------------------------------------------------- the config command

/**
 * The lines of the `config` command: each setting and where its value comes from. They are a file of settings: a setting without a
 * value stands behind `#`. With `json` an object a line.
 */
export function describeSettings(
  { program, options }: ProgramTable,
  settings: Settings,
  outside: Outside,
  json: boolean,
): string {
  const rows = options.filter(({ setting }) => setting);
  const values: Record<string, unknown> = readValues(rows, settings.given, settings.called);
  if (json) {
    const shownOf = ({ name, kind }: Option) => {
      const given = settings.given[name];
      return kind.shown === undefined || given === undefined ? (values[name] ?? null) : kind.shown(String(given));
    };
    return rows
      .map((row) => jsonLine({ event: "setting", name: row.name, value: shownOf(row), ...settings.origin(row.name) }))
      .join("\n");
  }
  const state =
    outside.path === undefined || outside.text !== undefined ? "" : outside.remark ? ", not used" : ", not there yet";
  const file = outside.path === undefined ? "none" : `${printable(outside.path)}${state}`;
  const head = [
    `# Settings of ${program}. The command line comes before FT_ variables, and these before the file.`,
    `# File: ${file}`,
    "",
  ];
  const shown = rows.map((row) => {
    const { name, kind, standard } = row;
    const from = settings.origin(name);
    const typed = settings.given[name] ?? (kind.completes === "none" ? false : kind.repeatable ? [] : standard);
    const given = typed === undefined || kind.shown === undefined ? typed : kind.shown(String(typed));
    const line = `${name} = ${given === undefined ? "" : tomlOf(row, given)}`;
    if (from.from === "default") return { line: `# ${line}`, why: given === undefined ? "not set" : "default" };
    return { line, why: "where" in from ? `from the ${from.from}: ${printable(from.where)}` : "from the command line" };
  });
  const width = Math.min(40, Math.max(...shown.map(({ line }) => line.length)));
  return [...head, ...shown.map(({ line, why }) => `${line.padEnd(width)}  # ${why}`)].join("\n");
}

/** A given value as TOML: whole numbers as they are, other texts in quotes. */
function tomlOf({ kind }: Option, given: NonNullable<Given[string]>): string {
  const one = (value: string | boolean) =>
    typeof value === "boolean" || (/^(?:0|[1-9]\d{0,14})$/.test(value) && !kind.repeatable) ? String(value) : jsonLine(value);
  if (!Array.isArray(given)) return one(given);
  return kind.repeatable ? `[${given.map(one).join(", ")}]` : one(given.at(-1) ?? "");
}
