// Programs for another system than this one, to be run here by an emulator: from the archive in dist/release if there is one, else
// built now.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import project from "../../package.json";
import { readArchive } from "../helpers/archive.ts";
import type { Program, Stage } from "../helpers/programs.ts";
import { archiveName, buildPrograms, chooseTargets, PROGRAMS, programFile, RELEASE } from "../release.ts";

/** Under an emulator, a line of a program may take this time to come. Milliseconds. */
export const EMULATED_MS = 240_000;

/** The variable with the key of a private room. */
export const ROOM = { FT_ROOM: "acid bolt cable dance eagle fable" };

/** The paths of both programs of a target. */
export type Programs = Record<(typeof PROGRAMS)[number], string>;

/** Puts both programs of a target into a new folder. Says where they come from. */
export async function foreignPrograms(name: string, stage: Stage): Promise<Programs> {
  const [target] = chooseTargets([name]);
  if (target === undefined) throw new RangeError(`There is no target ${name}.`);
  const archive = join(RELEASE, archiveName(target, project.version));
  const folder = join(stage.folder(), "programs");
  mkdirSync(folder);
  const isPacked = existsSync(archive);
  console.log(isPacked ? `The programs for ${name} are those in ${archive}.` : `The programs for ${name} are built now.`);
  const found = isPacked
    ? (await readArchive(await Bun.file(archive).bytes())).map(({ path, bytes }) => [basename(path), bytes] as const)
    : Object.entries(await buildPrograms(target, folder)).map(
        ([program, bytes]) => [programFile(target, program), bytes] as const,
      );
  const paths = PROGRAMS.map((program) => {
    const path = join(folder, programFile(target, program));
    writeFileSync(path, found.find(([name]) => name === basename(path))?.[1] ?? new Uint8Array(), { mode: 0o755 });
    return [program, path] as const;
  });
  return Object.fromEntries(paths) as Programs;
}

/** What a program printed to standard output until it ended by itself. Throws when its exit code is another one. */
export async function ended(program: Program, code = 0): Promise<string> {
  const real = await program.exited;
  if (real !== code) throw new Error(`The exit code is ${real}, not ${code}.\nout: ${program.out}\nerr: ${program.err}`);
  return program.out;
}
