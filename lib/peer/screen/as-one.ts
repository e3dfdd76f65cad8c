// Asks whether to share a folder as one.

import { realpathSync } from "node:fs";
import { sentenceOf } from "../../error.ts";
import { formatSize, plural, printable, printableName } from "../../text.ts";
import { SharedFolder } from "../disk/shared-folder.ts";
import type { Asking } from "./asking.ts";
import { leftInFolder } from "./view.ts";
import { withoutCommands } from "./words.ts";

/** Looks through a folder, says what is in it, and asks. Undefined when it is not to be shared or sent, or cannot be. */
export async function askAsOne(prompts: Asking, path: string, purpose?: "send"): Promise<SharedFolder | undefined> {
  let folder: SharedFolder;
  try {
    folder = new SharedFolder(realpathSync(path));
    await prompts.during(
      "Looking through the folder",
      () => [printable(path)],
      (stop) => folder.look(stop),
    );
  } catch (error) {
    prompts.warn(withoutCommands(sentenceOf(error)));
    return undefined;
  }
  const { name, files, size, left } = folder;
  prompts.say(`${printable(path)} has ${plural(files, "file")}, ${formatSize(size)}.${leftInFolder(Object.fromEntries(left))}`);
  const answer = await prompts.choose(
    `${purpose === "send" ? "Send" : "Share"} the folder "${printableName(name)}" as one, with all that is in it?`,
    [
      { value: "yes" as const, label: "Yes" },
      { value: "no" as const, label: "No" },
    ],
  );
  return answer === "yes" ? folder : undefined;
}
