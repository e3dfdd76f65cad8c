// Programs for another system than this one, to be run here by an emulator: from the archive in dist/release if there is one, else
// built now.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import project from "../../package.json";
import { readArchive } from "../helpers/archive.ts";
import { type Program, type Stage, TRACKER } from "../helpers/programs.ts";
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

/** What a fetcher that was killed had saved, and what its second run did with that. */
interface Resumed {
  /** The bytes that were proven and written when it was killed, at least. */
  saved: number;
  /** The bytes that the second run did not fetch. */
  kept: number;
  /** The last object that the second run printed. */
  done: Record<string, unknown> | undefined;
  content: Buffer;
}

/**
 * Kills a fetcher in the middle of "big.bin" and runs it again. `fetch` starts it at a tracker; `between` is called between its two runs.
 *
 * The tracker says how much the fetcher has saved. The fetcher's own progress says how much has come: some MB of that may still wait to be
 * hashed and written. The first holder needs half a minute for the file, and the second one gives the rest at full speed.
 */
export async function killAndResume(stage: Stage, fetch: (tracker: string) => Program, between = () => {}): Promise<Resumed> {
  const { address, port } = await stage.tracker();
  const content = randomBytes(64_000_000);
  const folder = stage.folder();
  writeFileSync(join(folder, "big.bin"), content);
  const { program: slow } = await stage.sharing(address, folder, 1, "--limit", "2MB");
  const first = fetch(address);
  let percent = 0;
  while (percent < 5) {
    await first.waitFor(/"event":"progress"/);
    const said = await ended(stage.run(TRACKER, ["holders", "big.bin", "--port", String(port)]));
    percent = Number(/fetching .*\((\d+) %\)/.exec(said)?.[1] ?? 0);
  }
  for (const program of [first, slow]) {
    program.kill("SIGKILL");
    await program.exited;
  }
  between();
  await stage.sharing(address, folder, 1);
  const second = fetch(address);
  await ended(second);
  const objects = second.objects();
  const kept = Number(objects.find(({ event }) => event === "progress")?.received);
  return { saved: (percent * content.length) / 100, kept, done: objects.at(-1), content };
}
