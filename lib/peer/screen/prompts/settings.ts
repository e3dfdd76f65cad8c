// The settings that a person changes in the guided prompts: the folder for downloads, the shared files, and the name.

import { plural, printable, printableName } from "../../../text.ts";
import type { SharedFolder } from "../../disk/folders/shared-folder.ts";
import type { SharedFile } from "../../disk/share.ts";
import type { Asking } from "./asking.ts";
import { askFiles, askFolder, refuseTarget } from "./choosing.ts";
import type { GuidedPeer } from "./guided-peer.ts";
import { askName, usableFolder } from "./joining.ts";
import type { Remembered } from "./remembered.ts";

type Setting = "to" | "files" | "name" | "back";

interface SettingsOptions {
  prompts: Asking;
  remembered: Remembered;
  /** The folder for downloads on the command line. */
  to: string | undefined;
  /** The folder in which the program was started. */
  cwd: string;
}

export class Settings {
  readonly #options: SettingsOptions;
  readonly #own: { name: string };
  #to: string;

  /** `own` has the name by which others know this peer. */
  constructor(options: SettingsOptions, own: { name: string }) {
    this.#options = options;
    this.#own = own;
    this.#to = options.to ?? options.remembered.choices.to ?? options.cwd;
  }

  /** The folder for downloads. */
  get to(): string {
    return this.#to;
  }

  /** Shows the settings, and changes those that the person chooses, until the person goes back. */
  async ask(peer: GuidedPeer): Promise<void> {
    const { prompts } = this.#options;
    for (let at: Setting = "to"; ; ) {
      const shared = plural(peer.share.files.length, "file");
      const answer: Setting | undefined = await prompts.choose<Setting>(
        "Settings",
        [
          { value: "to" as const, label: `Folder for downloads: ${this.#to}` },
          { value: "files" as const, label: `Files that I share: ${shared}` },
          { value: "name" as const, label: `My name: ${this.#own.name}` },
          { value: "back" as const, label: "Back" },
        ],
        at,
      );
      if (answer === undefined || answer === "back") return;
      at = answer;
      if (answer === "to") await this.#askTarget();
      else if (answer === "files") await this.#changeFiles(peer);
      else await this.#changeName();
    }
  }

  /** Says where downloads go; when nothing can be saved there, another folder is chosen now, not after a download. */
  async checkTarget(): Promise<void> {
    const { prompts } = this.#options;
    const refusal = refuseTarget(this.#to);
    if (refusal === undefined) {
      prompts.say(`Downloads go to ${printable(this.#to)}`);
      return;
    }
    prompts.warn(refusal);
    await this.#askTarget();
  }

  async #askTarget(): Promise<void> {
    const { prompts, remembered } = this.#options;
    // A folder that does not work is not offered with Enter again.
    const now = refuseTarget(this.#to) === undefined ? this.#to : this.#options.cwd;
    const folder = await askFolder(prompts, "Where do downloads go?", now, refuseTarget);
    if (folder === undefined) return;
    this.#to = folder;
    remembered.remember({ to: folder });
  }

  async #changeName(): Promise<void> {
    const { prompts, remembered } = this.#options;
    const name = await askName(prompts, this.#own.name);
    if (name === undefined || name === this.#own.name) return;
    this.#own.name = name;
    remembered.remember({ name });
    prompts.done("Others see your new name when you start this program again.");
  }

  async #changeFiles(peer: GuidedPeer): Promise<void> {
    const { prompts, remembered, cwd } = this.#options;
    const { session, share } = peer;
    const marked = share.files.filter(({ only }) => only === undefined).map(({ path }) => path);
    const folder = usableFolder(remembered.choices.from) ?? cwd;
    const chosen = await askFiles(prompts, folder, { max: session.standing?.max ?? 0, where: undefined, marked });
    if (chosen === undefined) return;
    if (chosen.asOne !== undefined) {
      prompts.done(
        `Sharing the folder "${printableName(chosen.asOne.name)}" as one, too. Others can fetch it when it is read.`,
      );
      void peer.folders.add(chosen.asOne);
      remembered.remember({ asOne: chosen.asOne.path });
      return;
    }
    await peer.shareInstead(chosen.files);
    rememberShared(remembered, chosen.files, chosen.from);
    prompts.done(`Sharing ${plural(chosen.files.length, "file")} now.`);
  }
}

/** Remembers the files to share, and the folder from which they were chosen. `asOne`: that folder is shared as one instead. */
export function rememberShared(remembered: Remembered, files: SharedFile[], from: string, asOne?: SharedFolder): void {
  remembered.remember({ files: files.map(({ path }) => path), from, asOne: asOne?.path });
}
