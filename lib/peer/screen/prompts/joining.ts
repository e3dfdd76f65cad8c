// Finds out with a person which tracker to join and which files to share, before this peer is online.

import { CancelledError, sentenceOf } from "../../../error.ts";
import { peerName } from "../../../protocol/peer-name.ts";
import { plural, printableName } from "../../../text.ts";
import type { SharedFolder } from "../../disk/folders/shared-folder.ts";
import { chooseFiles, isFolder, type SharedFile } from "../../disk/share.ts";
import { asRemembered, describePlace, type Located, lookAround, parseTracker, typed, whyNobody } from "../../locate/locate.ts";
import type { Met } from "../../online/meet-tracker.ts";
import type { TrackerPlace } from "../../online/session-types.ts";
import { withoutCommands } from "../without-commands.ts";
import { asOneLastTime } from "./as-one.ts";
import type { Asking } from "./asking.ts";
import { askFiles } from "./choosing.ts";
import { chooseTracker, trackerLabel } from "./questions.ts";
import type { Remembered } from "./remembered.ts";
import { findTrackerProgram, startTrackerHere, type TrackerHere } from "./tracker-here.ts";

/** A tracker that was started here answers within this time. Milliseconds. */
const TRACKER_START_MS = 5_000;
/** A tracker that was started here is asked again after this time. Milliseconds. */
const TRACKER_RETRY_MS = 100;
/** The most files that one line names. */
const NAMED = 5;
/** The words on the screen while the network is searched. */
const LOOKING = "Looking for a tracker on this network…";

export interface JoiningOptions {
  prompts: Asking;
  /** The tracker on the command line; undefined when there was none. */
  tracker: TrackerPlace | undefined;
  /** The tracker that was used last. */
  last: Located | undefined;
  /** Gives the files that are named on the command line, at most `max`; undefined when none are named. */
  named: ((max: number) => SharedFile[]) | undefined;
  /** The name on the command line by which others know this peer; and the one to offer. */
  name: string | undefined;
  usualName: string;
  /** The folder in which the program was started. */
  cwd: string;
  remembered: Remembered;
  signal: AbortSignal;
  /** The file that gets what a tracker prints that is started here. */
  trackerLog: string;
  meet(tracker: TrackerPlace): Promise<Met>;
}

/** The choices of the person. */
interface Chosen {
  tracker: TrackerPlace | Located;
  files: SharedFile[];
  /** The folder from which they were chosen now; undefined when they were not. */
  from: string | undefined;
  /** This folder is shared as one instead. */
  asOne?: SharedFolder | undefined;
  /** The person has chosen these files for this tracker. */
  consent: boolean;
}

/** A name is asked for once, and then remembered. Undefined when the person goes back. */
async function nameFor({ name, remembered, prompts, usualName }: JoiningOptions): Promise<string | undefined> {
  const known = name ?? remembered.name;
  if (known !== undefined) return known;
  const chosen = await askName(prompts, usualName);
  if (chosen !== undefined) remembered.remember({ name: chosen });
  return chosen;
}

export class Joining {
  readonly #options: JoiningOptions;
  /** The name by which others know this peer; "" while it is not known. */
  name = "";
  /** The tracker that the person has started on this computer. */
  trackerHere: TrackerHere | undefined;

  constructor(options: JoiningOptions) {
    this.#options = options;
  }

  /** The tracker, the files to share, and the name. Esc leads one step back. `again`: the tracker that was chosen before would not do. */
  async choose(again: boolean): Promise<Chosen> {
    for (let failed = again; ; failed = true) {
      const found = await this.#findTracker(failed);
      const chosen = await this.#chooseFilesAndName(found);
      if (chosen !== undefined) return chosen;
      if (this.#options.tracker !== undefined) await this.#mayEnd();
    }
  }

  async #chooseFilesAndName(found: { tracker: TrackerPlace | Located; met: Met }): Promise<Chosen | undefined> {
    for (let marked: string[] | undefined; ; ) {
      const chosen = await this.#chooseFiles(found, marked);
      if (chosen === undefined) return undefined;
      const name = await nameFor(this.#options);
      if (name !== undefined) {
        this.name = name;
        return chosen;
      }
      // Nobody was asked about files.
      if (chosen.from === undefined) return undefined;
      marked = chosen.files.map(({ path }) => path);
    }
  }

  /** The files to share. Undefined when the person goes back. */
  async #chooseFiles(
    { tracker, met }: { tracker: TrackerPlace | Located; met: Met },
    marked: string[] | undefined,
  ): Promise<Chosen | undefined> {
    const { named, remembered, cwd, prompts } = this.#options;
    if (named !== undefined) return { tracker, files: named(met.max), from: undefined, consent: true };
    const lastTime = await this.#sharedLastTime(met.max);
    if (lastTime !== undefined) return { tracker, ...lastTime, from: undefined, consent: false };
    // A person who chooses files for a tracker that only announced itself says yes to that tracker.
    const where = tracker.announced ? describePlace({ ...tracker, name: tracker.name ?? "" }) : undefined;
    const folder = usableFolder(remembered.choices.from) ?? cwd;
    const chosen = await askFiles(prompts, folder, { max: met.max, where, ...(marked && { marked }) });
    return chosen && { tracker, ...chosen, consent: true };
  }

  /** Going back from the first question would end the program: it is asked once more. */
  async #mayEnd(): Promise<void> {
    const answer = await this.#options.prompts.choose("Leave?", [
      { value: "stay" as const, label: "No, go on" },
      { value: "leave" as const, label: "Yes, leave" },
    ]);
    if (answer === "leave") throw new CancelledError();
  }

  /** The files that were shared from here last time and are still there, or the folder as one, or both. Undefined when there are none. */
  async #sharedLastTime(max: number): Promise<Pick<Chosen, "files" | "asOne"> | undefined> {
    const { prompts, remembered } = this.#options;
    const files = this.#filesOfLastTime(max);
    const { asOne: path } = remembered.choices;
    const asOne = path === undefined ? undefined : await asOneLastTime(prompts, path);
    if (files.length > 0) prompts.say(`Sharing ${plural(files.length, "file")} as last time: ${namesOf(files)}`);
    return files.length > 0 || asOne !== undefined ? { files, asOne } : undefined;
  }

  /** The files that were chosen here last time and are still there. */
  #filesOfLastTime(max: number): SharedFile[] {
    const files = this.#options.remembered.choices.files ?? [];
    const found = files.flatMap((path) => {
      try {
        return isFolder(path) ? [] : chooseFiles([path], 1).taken;
      } catch {
        return [];
      }
    });
    return found.filter(({ name }, i) => found.findIndex((one) => one.name === name) === i).slice(0, max);
  }

  /** Finds a tracker that answers. Throws when the one on the command line does not; else the person chooses another one. */
  async #findTracker(again: boolean): Promise<{ tracker: TrackerPlace | Located; met: Met }> {
    const { prompts, tracker: given, meet } = this.#options;
    for (let failed = again; ; failed = true) {
      const tracker = given ?? (await this.#chooseTracker(failed));
      if (tracker === undefined) continue;
      try {
        const met = await prompts.waitFor(`Trying the tracker at ${typed(tracker)}…`, meet(tracker));
        return { tracker, met };
      } catch (error) {
        if (given !== undefined || error instanceof CancelledError) throw error;
        prompts.warn(withoutCommands(sentenceOf(error)));
      }
    }
  }

  /** The tracker that announces itself; of several, the person chooses one. Undefined: look again. */
  async #chooseTracker(failed: boolean): Promise<TrackerPlace | Located | undefined> {
    const { prompts, last, signal } = this.#options;
    if (failed) return await this.#withoutTracker("What now?");
    const { trackers, found } = await prompts.waitFor(LOOKING, lookAround(last, signal));
    if (signal.aborted) throw new CancelledError();
    const [first, second] = trackers;
    if (first === undefined) return await this.#withoutTracker(`No tracker found on this network: ${whyNobody(found)}.`);
    if (second !== undefined) return await chooseTracker(prompts, trackers, last);
    prompts.done(`Found the tracker ${describePlace(first)}.`);
    return first;
  }

  async #withoutTracker(message: string): Promise<TrackerPlace | Located | undefined> {
    const { prompts, last } = this.#options;
    const lastTime =
      last === undefined ? [] : [{ value: "last" as const, label: `Try ${trackerLabel(last, true, prompts.width - 4)}` }];
    const answer = await prompts.choose(message, [
      { value: "again" as const, label: "Look again" },
      ...lastTime,
      { value: "type" as const, label: "Type an address" },
      { value: "here" as const, label: "Start a tracker here" },
      { value: "leave" as const, label: "Leave" },
    ]);
    if (answer === "leave") throw new CancelledError();
    if (answer === "last" && last !== undefined) return asRemembered(last);
    if (answer === "type") return await this.#askAddress();
    if (answer === "here") return await this.#startTracker();
    const { trackers } = await prompts.waitFor(LOOKING, lookAround(last, this.#options.signal));
    if (trackers.length > 1) return await chooseTracker(prompts, trackers, last);
    if (trackers[0] !== undefined) return trackers[0];
    return await this.#withoutTracker("Still no tracker found.");
  }

  async #askAddress(): Promise<TrackerPlace | undefined> {
    const { prompts, last } = this.#options;
    const hint =
      last === undefined ? "such as 192.168.1.5; the tracker shows it" : `Enter takes ${typed(last)} (used last time)`;
    const check = (text: string) => {
      if (text === "" && last !== undefined) return undefined;
      try {
        parseTracker(text);
        return undefined;
      } catch (error) {
        return sentenceOf(error);
      }
    };
    const answer = await prompts.line("Tracker's address?", hint, check, last && typed(last));
    if (answer === undefined) return await this.#withoutTracker("What now?");
    return answer === "" && last !== undefined ? asRemembered(last) : parseTracker(answer);
  }

  async #startTracker(): Promise<TrackerPlace | undefined> {
    const { prompts, trackerLog, meet } = this.#options;
    const program = findTrackerProgram();
    if (program === undefined) {
      prompts.warn(
        "The program ft-tracker is not on this computer. It comes in the same archive as this program: put it into the same folder, and look again.",
      );
      return await this.#withoutTracker("What now?");
    }
    try {
      this.trackerHere = await startTrackerHere(program, trackerLog);
    } catch (error) {
      prompts.warn(withoutCommands(sentenceOf(error)));
      return await this.#withoutTracker("What now?");
    }
    const here = { address: "127.0.0.1", port: parseTracker("127.0.0.1").port };
    const until = performance.now() + TRACKER_START_MS;
    for (;;) {
      try {
        await meet(here);
        break;
      } catch (error) {
        if (error instanceof CancelledError || performance.now() > until) throw error;
        await Bun.sleep(TRACKER_RETRY_MS);
      }
    }
    const { pid } = this.trackerHere;
    const end = process.platform === "win32" ? `taskkill /pid ${pid}` : `kill ${pid}`;
    prompts.done("Started a tracker on this computer. The others find it by themselves.");
    prompts.say(`It runs until you end it or turn this computer off. You are asked when you leave; later this ends it: ${end}`);
    return here;
  }
}

/** Asks how others are to know this peer; undefined when the person goes back. */
export async function askName(prompts: Asking, usual: string): Promise<string | undefined> {
  // A name that is shortened or made harmless is shown when this peer is online.
  const check = (typed: string) =>
    typed !== "" && peerName(typed) === "" ? "Type a name that people can read, such as Ben." : undefined;
  const answer = await prompts.line("What is your name, as others see it?", `Enter takes ${usual}`, check, usual);
  return answer === undefined ? undefined : peerName(answer === "" ? usual : answer);
}

/** The folder, if there are files to share in it. */
export function usableFolder(folder: string | undefined): string | undefined {
  try {
    return folder !== undefined && chooseFiles([folder], 1).taken.length > 0 ? folder : undefined;
  } catch {
    return undefined;
  }
}

function namesOf(files: SharedFile[]): string {
  const names = files.slice(0, NAMED).map(({ name }) => printableName(name));
  const more = files.length - NAMED;
  return `${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}.`;
}
