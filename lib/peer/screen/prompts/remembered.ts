// Remembers what a person has chosen in the guided prompts, for each folder in which ft-peer was started. It is kept in a file of its own,
// and only a file that this user wrote is believed.

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { readOwnFile, replaceOwnFile } from "../../../files.ts";

/** The most folders whose choices are remembered; the one that was used last comes first. */
const FOLDERS = 64;
/** The most paths of one choice. */
const PATHS = 1_000;
/** The longest path or name that is read. Characters. */
const LONGEST = 4_096;
/** A longer file of choices is not read. Bytes. */
const FILE_LIMIT = 4 * 1024 * 1024;

/** The choices in one folder. A choice that was not made yet is undefined. */
interface Choices {
  /** The paths of the files to share. */
  files?: string[];
  /** The folder from which they were chosen. */
  from?: string;
  /** The folder that is shared as one instead; undefined takes an earlier choice back. */
  asOne?: string | undefined;
  /** The folder for fetched files. */
  to?: string;
  /** The name that others see. */
  name?: string;
}

interface Entry extends Choices {
  folder: string;
}

export class Remembered {
  readonly #path: string;
  readonly #folder: string;

  /** `folder` is the one in which the program was started. */
  constructor(path: string, folder: string) {
    this.#path = path;
    this.#folder = folder;
  }

  get choices(): Choices {
    const { folder: _, ...choices } = this.#all().find(({ folder }) => folder === this.#folder) ?? { folder: "" };
    return choices;
  }

  /** The name that was chosen last, in whatever folder. */
  get name(): string | undefined {
    return this.choices.name ?? this.#all().find(({ name }) => name !== undefined)?.name;
  }

  /** Remembers these choices besides the others of this folder; does nothing where that is not possible. */
  remember(choices: Choices): void {
    const all = this.#all();
    const others = all.filter(({ folder }) => folder !== this.#folder);
    const folders = [{ ...this.choices, ...choices, folder: this.#folder }, ...others].slice(0, FOLDERS);
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      replaceOwnFile(this.#path, JSON.stringify({ folders }));
    } catch {
      // The person is asked again next time.
    }
  }

  #all(): Entry[] {
    try {
      const { folders } = JSON.parse(readOwnFile(this.#path, FILE_LIMIT).toString()) as { folders?: unknown };
      return (Array.isArray(folders) ? folders : []).slice(0, FOLDERS).flatMap((one) => entryOf(one) ?? []);
    } catch {
      // There is no such file yet, it holds something else, or others could have written it.
      return [];
    }
  }
}

function entryOf(value: unknown): Entry | undefined {
  const { folder, files, from, asOne, to, name } = Object(value) as Record<string, unknown>;
  if (!isText(folder)) return undefined;
  return {
    folder,
    ...(Array.isArray(files) && { files: files.slice(0, PATHS).filter(isText) }),
    ...(isText(from) && { from }),
    ...(isText(asOne) && { asOne }),
    ...(isText(to) && { to }),
    ...(isText(name) && { name }),
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= LONGEST;
}
