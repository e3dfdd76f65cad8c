// Runs the send command: hands out files and folders, and stays until all have them.

import { realpathSync } from "node:fs";
import { CancelledError, FtError, UsageError } from "../../error.ts";
import { DEFAULT_MAX_FILES } from "../../protocol/numbers.ts";
import { foldBareName } from "../../protocol/peer-name.ts";
import { printable } from "../../text.ts";
import type { CommandLine } from "../arguments.ts";
import { orCancelled } from "../cancel.ts";
import { SharedFolder } from "../disk/folders/shared-folder.ts";
import { chooseFiles, isFolder, type SharedFile } from "../disk/share.ts";
import { oldTracker } from "../online/offers.ts";
import { peerLabel } from "../people/holder-name.ts";
import {
  cannotSentence,
  declinedSentence,
  describeHanded,
  describeMissing,
  describeProgress,
  nameHanded,
  receiverLabel,
  receiverObject,
} from "../screen/offer-words.ts";
import type { Screen } from "../screen/screen.ts";
import type { Handed, HandOut, HandOutEvent } from "../share/hand-out.ts";
import { findReceivers } from "./find-receivers.ts";
import type { Peer } from "./types.ts";

/** The most files beyond the tracker's limit for one person that are handed out at once. */
const MOST_BEYOND = 20;

/** The files and folders that are handed out. */
export interface ToSend {
  files: SharedFile[];
  folders: SharedFolder[];
}

/** The files and folders that the line names. `only`: the token of their receivers. Throws a sentence about one that cannot be shared. */
export function chooseToSend({ paths, recipients }: CommandLine, token: () => string): ToSend {
  const only = isToAll(recipients) ? undefined : token();
  const folders = paths.filter((path) => isFolder(path)).map((path) => new SharedFolder(realpathSync(path)));
  const { taken: files, left } = chooseFiles(
    paths.filter((path) => !isFolder(path)),
    Number.POSITIVE_INFINITY,
  );
  const [refused] = left;
  if (refused !== undefined) throw new UsageError(`Cannot send "${printable(refused.path)}": ${refused.reason}.`);
  const names = [...files, ...folders].map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new UsageError(`Cannot send two things of the name "${printable(twice)}". Rename one of them.`);
  for (const one of [...files, ...folders]) one.only = only;
  return { files, folders };
}

/** Marks the files beyond the tracker's limit for one person. Where there are many files, `askLimit` asks for it. Throws a sentence. */
export async function fitIn({ files, folders }: ToSend, askLimit: () => Promise<number>): Promise<void> {
  const count = files.length + folders.length;
  const max = count > DEFAULT_MAX_FILES ? await askLimit() : DEFAULT_MAX_FILES;
  if (count > max + MOST_BEYOND || folders.length > max) {
    throw new UsageError(`These are ${count} files and folders. Put them into one folder, and send that.`);
  }
  for (const file of files.slice(Math.max(0, max - folders.length))) file.beyond = true;
}

function isToAll(recipients: string[]): boolean {
  return recipients.some((one) => one.trim().toLowerCase() === "all");
}

/** Hands out until all have everything, or until Ctrl-C, and says who has not. */
export async function send(peer: Peer, line: CommandLine, { files, folders }: ToSend, screen: Screen, signal: AbortSignal) {
  const { requests, standing } = peer.session;
  if (!standing?.offers) throw oldTracker();
  const people = await orCancelled(requests.who(), signal);
  const to = isToAll(line.recipients) ? "all" : findReceivers(line.recipients, people, standing?.id);
  if (to !== "all") {
    const cannot = to.filter(({ offers }) => !offers).map(peerLabel);
    if (cannot.length === to.length) throw new FtError("cannot-ask", cannotSentence(cannot));
    if (cannot.length > 0) screen.note(cannotSentence(cannot));
    for (const one of to) noteTwins(one.name, people, screen);
  }
  const handed: Handed[] = [...files, ...folders];
  await new Promise<void>((resolve, reject) => {
    const started = performance.now();
    const handOut = peer.handing.offer(handed, to, line.say, (event) => {
      tell(event, handOut, screen);
      if (event.event === "refused") reject(new FtError("refused", event.message));
      const isOver = performance.now() - started >= (line.wait ?? 0) * 1000;
      if (event.event === "looked" && handOut.isDone && isOver) end(resolve);
    });
    const end = (then: () => void) => {
      handOut.stop();
      summarize(handOut, screen);
      then();
    };
    signal.addEventListener("abort", () => end(() => reject(new CancelledError())), { once: true });
    const whom = to === "all" ? "everybody, now and when they join" : to.map(peerLabel).join(", ");
    screen.note(`Handing out ${describeHanded(handed)} to ${whom}. Ctrl-C ends that.`);
    peer.computeRoots();
    handOut.start();
    if (signal.aborted) end(() => reject(new CancelledError()));
  });
}

/** Says that others have the name that was typed, with a number. */
function noteTwins(name: string | undefined, people: { name?: string | undefined }[], screen: Screen): void {
  if (name === undefined) return;
  const twins = people.flatMap((one) =>
    one.name !== undefined && one.name !== name && foldBareName(one.name) === foldBareName(name) ? [one.name] : [],
  );
  if (twins.length === 0) return;
  const shown = twins.map((one) => `"${printable(one)}"`).join(", ");
  screen.note(`There is also ${shown}. This goes to "${printable(name)}" only.`);
}

function tell(event: HandOutEvent, handOut: HandOut, screen: Screen): void {
  if (event.event === "looked") {
    screen.progress(describeProgress(handOut));
    return;
  }
  if (event.event === "refused") return;
  const { receiver } = event;
  const { id, name: by, address, port } = receiver.person;
  const who = { address, port, id, by, files: handOut.files.map(({ name }) => name) };
  if (event.event === "declined") {
    if (screen.json) screen.object({ event: "declined", ...who });
    else screen.event(declinedSentence(receiver, handOut));
    return;
  }
  const { has, of } = event;
  if (screen.json) {
    screen.object({ event: "has-all", ...who, has, online: of });
    return;
  }
  const all = handOut.files.length === 1 ? "" : "all ";
  screen.event(`${receiverLabel(receiver)} has ${all}${nameHanded(handOut.files)} (${has} of ${of}).`);
}

function summarize(handOut: HandOut, screen: Screen): void {
  if (screen.json) {
    const people = handOut.receivers.map(receiverObject);
    screen.object({ event: "sent", files: handOut.files.map(({ name }) => name), done: handOut.isDone, people });
    return;
  }
  const missing = describeMissing(handOut);
  const isNobody = handOut.receivers.every(({ state }) => state === "cannot");
  const nobody = isNobody ? "Nobody has been there to take it." : "";
  const progress = handOut.counted.length === 0 ? nobody : `${describeProgress(handOut)}.`;
  screen.results([`${progress} ${missing}`.trim()]);
}
