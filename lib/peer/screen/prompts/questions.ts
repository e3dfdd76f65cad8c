// The questions that commands and the prompts both ask: which tracker, whether to share with it, and which content.

import { CancelledError, FtError } from "../../../error.ts";
import { plural, printable } from "../../../text.ts";
import type { SharedFile } from "../../disk/share.ts";
import type { Content } from "../../download/contents.ts";
import { describePlace, isSameTracker, type Located } from "../../locate/locate.ts";
import type { UntrustedTracker } from "../../locate/trust.ts";
import { columnsOf, fitName } from "../columns.ts";
import { choiceTable } from "../view.ts";
import type { Asking } from "./asking.ts";

/** A tracker's name is not cut to less than this. Columns. */
const LEAST_NAME = 4;
/** The most files that the question whether to share them names. */
const FILES_NAMED = 5;

/** Asks whether these files may be given to a tracker that is not known. A no is an `FtError`. */
export async function agreeToShare(prompts: Asking, { where, verdict }: UntrustedTracker, files: SharedFile[]): Promise<void> {
  prompts.warn(
    verdict === "new"
      ? `The tracker ${where} was found on this network, and was never used from here. Anybody on the network can announce one.`
      : `The tracker ${where} is not the one of this name that was used before: it does not prove that it is that one. It may be another computer, or be set up anew.`,
  );
  const names = files.slice(0, FILES_NAMED).map(({ name }) => `"${printable(name)}"`);
  const more = files.length > FILES_NAMED ? ` and ${files.length - FILES_NAMED} more` : "";
  prompts.say(`It and those who use it would get: ${names.join(", ")}${more}.`);
  const yes = { value: "yes" as const, label: "Yes, share them" };
  const no = { value: "no" as const, label: "No" };
  const question = `Share with ${where}?`;
  const answer = await prompts.choose(question, verdict === "new" ? [yes, no] : [no, yes]);
  if (answer === "yes") return;
  throw new FtError("not-shared", "Nothing was shared. Start again with the address of the tracker that you mean.");
}

/** Asks for one of several trackers. */
export async function chooseTracker(prompts: Asking, trackers: Located[], last: Located | undefined): Promise<Located> {
  const options = trackers.map((one, value) => ({ value, label: trackerLabel(one, isSameTracker(one, last), prompts.width) }));
  const question = `Found ${plural(trackers.length, "tracker")}. Which one do you want to join?`;
  const chosen = trackers[(await prompts.choose(question, options)) ?? -1];
  if (chosen === undefined) throw new CancelledError();
  return chosen;
}

/** Asks which of several contents a name means. */
export async function chooseContent(prompts: Asking, name: string, contents: Content[]): Promise<Content> {
  prompts.say(`${contents.length} different files are called "${name}". Which one?`);
  const [title = "", ...lines] = choiceTable(contents, prompts.width);
  const options = [...lines.map((label, value) => ({ value, label })), { value: -1, label: "Back" }];
  const chosen = contents[(await prompts.choose(`  ${title}`, options)) ?? -1];
  if (chosen === undefined) throw new CancelledError();
  return chosen;
}

/** A tracker in a list: where there is little room its name is cut, not its address. */
export function trackerLabel(one: Located, isLast: boolean, width: number): string {
  const label = (name: string) => describePlace({ ...one, name }) + (isLast ? ", used last" : "");
  const name = printable(one.name);
  return label(fitName(name, Math.max(LEAST_NAME, width - columnsOf(label("")))));
}
