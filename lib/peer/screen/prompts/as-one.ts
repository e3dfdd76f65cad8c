// Asks whether to share a folder as one, and shares it again the next time.

import { existsSync, realpathSync } from "node:fs";
import { sentenceOf } from "../../../error.ts";
import { formatSize, plural, printable, printableName } from "../../../text.ts";
import { SharedFolder } from "../../disk/folders/shared-folder.ts";
import { leftInFolder } from "../event-words.ts";
import { withoutCommands } from "../without-commands.ts";
import type { Asking } from "./asking.ts";

/** Looks through a folder, says how many files are in it, and asks. Undefined when it is not to be shared or sent, or cannot be. */
export async function askAsOne(prompts: Asking, path: string, purpose?: "send"): Promise<SharedFolder | undefined> {
  const folder = await lookThrough(prompts, path);
  if (folder === undefined) return undefined;
  const { name } = folder;
  prompts.say(`${printable(path)} has ${contentOf(folder)}`);
  const answer = await prompts.choose(
    `${purpose === "send" ? "Send" : "Share"} the folder "${printableName(name)}" as one, with all that is in it?`,
    [
      { value: "yes" as const, label: "Yes" },
      { value: "no" as const, label: "No" },
    ],
  );
  return answer === "yes" ? folder : undefined;
}

/** A folder that was shared as one last time, and says so. Undefined when it is not there any more, or cannot be shared. */
export async function asOneLastTime(prompts: Asking, path: string): Promise<SharedFolder | undefined> {
  const folder = existsSync(path) ? await lookThrough(prompts, path) : undefined;
  if (folder === undefined) return undefined;
  prompts.say(`Sharing the folder "${printableName(folder.name)}" as one, as last time: ${contentOf(folder)}`);
  return folder;
}

/** Says a sentence, and gives undefined, when the folder cannot be shared. */
async function lookThrough(prompts: Asking, path: string): Promise<SharedFolder | undefined> {
  try {
    const folder = new SharedFolder(realpathSync(path));
    await prompts.during(
      "Looking through the folder",
      () => [printable(path)],
      (stop) => folder.look(stop),
    );
    return folder;
  } catch (error) {
    prompts.warn(withoutCommands(sentenceOf(error)));
    return undefined;
  }
}

/** Says how many files and bytes are in a folder, and which entries are left out. */
function contentOf({ files, size, left }: SharedFolder): string {
  return `${plural(files, "file")}, ${formatSize(size)}.${leftInFolder(Object.fromEntries(left))}`;
}
