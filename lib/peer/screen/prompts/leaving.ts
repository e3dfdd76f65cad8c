// Asks before a person leaves while others are still downloading, or need the tracker that was started on this computer.

import { CancelledError } from "../../../error.ts";
import { hostOf } from "../../../protocol/address.ts";
import { formatDuration } from "../../../text.ts";
import type { Upload } from "../../serve/types.ts";
import { unbroken } from "../progress.ts";
import type { Asking } from "./asking.ts";
import type { TrackerHere } from "./tracker-here.ts";

/** While a person waits to leave, the uploads are looked at again after this time. Milliseconds. */
const LOOK_MS = 250;
/** Nothing may be uploaded for this long before this peer leaves: a downloader asks for a file piece by piece. Milliseconds. */
const QUIET_MS = 1_000;

interface LeavingTools {
  uploads(): Iterable<Upload>;
  /** How many wait for a free slot. */
  waiting(): number;
  /** The size of a shared file. */
  sizeOf(upload: Upload): number | undefined;
  sleep(ms: number): Promise<void>;
  /** Milliseconds since 1970. */
  now(): number;
}

/** Whether to leave now. Asks only when somebody is downloading; waits until they have finished, if the person wishes. */
export async function mayLeave(prompts: Asking, tools: LeavingTools): Promise<boolean> {
  const people = countPeople(tools);
  if (people === 0) return true;
  const answer = await chooseOr("leave", () =>
    prompts.choose(`${describe(people, tools)} What now?`, [
      { value: "wait", label: "Wait until they have finished, and leave" },
      { value: "leave", label: "Leave now" },
      { value: "stay", label: "Stay" },
    ]),
  );
  if (answer === "leave") return true;
  if (answer !== "wait") return false;
  return await prompts.during(
    "Leaving when the others have finished",
    () => [countPeople(tools) === 0 ? "Nobody is downloading any more." : describe(countPeople(tools), tools)],
    (stop) => untilQuiet(tools, stop),
  );
}

/** Whether to leave now. Asks whether a tracker that the person started on this computer is to run on. */
export async function mayLeaveTracker(prompts: Asking, tracker: TrackerHere | undefined): Promise<boolean> {
  if (tracker === undefined) return true;
  const answer = await chooseOr("keep", () =>
    prompts.choose("You have started a tracker on this computer. The others need it to find each other.", [
      { value: "keep", label: "Leave, and let it run" },
      { value: "stop", label: "Leave, and stop it" },
      { value: "stay", label: "Stay" },
    ]),
  );
  if (answer === "stop") tracker.stop();
  return answer === "keep" || answer === "stop";
}

/** The answer to a question before leaving. Ctrl-C there counts as `leaving`: a person who presses it once more wants no further question. */
async function chooseOr<Answer extends string>(
  leaving: Answer,
  choose: () => Promise<Answer | undefined>,
): Promise<Answer | undefined> {
  try {
    return await choose();
  } catch (error) {
    if (error instanceof CancelledError) return leaving;
    throw error;
  }
}

/** False when the person would rather stay. */
async function untilQuiet(tools: LeavingTools, stop: AbortSignal): Promise<boolean> {
  for (let quiet = 0; quiet < QUIET_MS; quiet += LOOK_MS) {
    await tools.sleep(LOOK_MS);
    if (stop.aborted) return false;
    if (countPeople(tools) > 0) quiet = -LOOK_MS;
  }
  return true;
}

function countPeople({ uploads, waiting }: LeavingTools): number {
  return new Set([...uploads()].map(({ to }) => hostOf(to.address))).size + waiting();
}

function describe(people: number, tools: LeavingTools): string {
  const seconds = secondsLeft(tools);
  const about = seconds === undefined ? "" : ` (about ${unbroken(formatDuration(Math.max(1, Math.round(seconds))))})`;
  const who = people === 1 ? "1 person is" : `${people} people are`;
  return `${who} still downloading from you${about}.`;
}

/** How long the slowest upload will take; undefined when that cannot be said. */
function secondsLeft({ uploads, sizeOf, now }: LeavingTools): number | undefined {
  const all = [...uploads()].map((upload) => {
    const took = (now() - upload.since) / 1000;
    const size = sizeOf(upload) ?? upload.wanted;
    return upload.sent === 0 || took <= 0 ? Number.NaN : (Math.max(0, size - upload.sent) * took) / upload.sent;
  });
  const known = all.filter((one) => Number.isFinite(one));
  return known.length === 0 ? undefined : Math.max(...known);
}
