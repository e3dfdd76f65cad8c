// Checks each thing that can stand between this machine and the others, and says what to do about it. commands/doctor.ts runs the checks.

import { statfsSync } from "node:fs";
import { systemClock } from "../../clock.ts";
import { CancelledError, codeOf, FtError, sentenceOf } from "../../error.ts";
import { dial } from "../../net/dial.ts";
import { interfaces } from "../../net/interfaces.ts";
import { LOCAL_NETWORK } from "../../net/permission.ts";
import { colours, VERSION } from "../../program/cli.ts";
import { formatEndpoint, isLoopback, withoutZone } from "../../protocol/address.ts";
import { encodeToTracker } from "../../protocol/write.ts";
import { formatDuration, formatSize, localDay, plural, printable } from "../../text.ts";
import { tryMark } from "../disk/origin.ts";
import { unfinishedIn } from "../disk/part-file.ts";
import type { LeftOut, SharedFile } from "../disk/share.ts";
import { tryFolder } from "../disk/target-folder.ts";
import { asRemembered, type Located, lookAround, nobodyFound, typed } from "../locate/locate.ts";
import type { Session } from "../online/session.ts";
import { type TrackerPlace, UNTRUSTED } from "../online/session-types.ts";
import { wrap } from "./columns.ts";
import { howToOpen } from "./event-words.ts";

/** The longest wait for the tracker to say whether it can connect to this peer's port. Milliseconds. */
const REACH_MS = 6_000;
/** A program that is no tracker shows it within this time. Milliseconds. */
const KNOCK_MS = 1_500;
/** A clock that differs from the tracker's by more than this is a warning. Milliseconds. */
const SKEW_MS = 120_000;
/** Less free space than this is a warning. Bytes. */
const LITTLE_SPACE = 1_000_000_000;
/** Less free space than this is a fault. Bytes. */
const NO_SPACE = 1_000_000;

/** The codes of errors about private rooms. Their sentences say what to do. */
const ROOM_CODES = ["no-room-key", "room-key", "room-changed", "room-busy", "not-a-room"];

/** The result of one check. `detail` and `advice` are sentences; `data` is for a bug report. */
export interface Check extends Result {
  check: "network" | "discovery" | "tracker" | "port" | "share" | "receive" | "clock";
}

interface Result {
  status: "ok" | "warning" | "fault" | "skipped";
  detail: string;
  advice?: string;
  data?: Record<string, unknown>;
}

interface DoctorTools {
  /** The tracker on the command line; undefined when there was none. */
  tracker: TrackerPlace | undefined;
  last: Located | undefined;
  /** Chooses the files to share. */
  choose(): { taken: SharedFile[]; left: LeftOut[] };
  /** The folder for fetched files. */
  to: string;
  /** Joins a tracker, as any command does. */
  start(place: TrackerPlace, files: SharedFile[], anyPort: boolean): Promise<Patient>;
  /** Whether the tracker there is a private room whose key is the right one. Fails with a sentence when it is one and the key is not. */
  isRoom?(place: TrackerPlace): Promise<boolean>;
  /** The port on which a peer serves, if no other program has it. */
  usualPort: number;
  signal: AbortSignal;
  report(check: Check): void;
}

/** A peer that has joined, as far as the checks use it. */
interface Patient {
  readonly port: number;
  /** The tracker is a private room. */
  readonly isRoom?: boolean;
  readonly session: Session;
  /** Resolves when the tracker has said whether it can connect to this peer. */
  readonly reached: Promise<{ reachable: boolean; reason: string }>;
  stop(): Promise<void>;
}

/** A check's status as a person reads it. */
const STATUS_WORDS = { ok: "ok", warning: "note", fault: "FAULT", skipped: "-" } as const;
/** The width of a check's status and name. Columns. */
const CHECK_INDENT = 17;

/** One check as lines for a person. */
export function checkLines({ check, status, detail, advice }: Check, width = 100): string[] {
  const colour = { ok: colours.green, warning: colours.yellow, fault: colours.red, skipped: colours.dim }[status];
  const sentences = advice === undefined ? [detail] : [detail, `→ ${advice}`];
  const lines = sentences.flatMap((words) => wrap(printable(words), Math.max(20, width - CHECK_INDENT)));
  const title = `${colour(STATUS_WORDS[status].padEnd(5))}  ${check.padEnd(9)} `;
  return lines.map((line, index) => (index === 0 ? title : " ".repeat(CHECK_INDENT)) + line);
}

/** Makes all checks, reports each, and gives all of them. */
export async function examine(tools: DoctorTools): Promise<Check[]> {
  const checks: Check[] = [];
  const tell = (name: Check["check"], result: Result) => {
    if (tools.signal.aborted) throw new CancelledError();
    const check = { check: name, ...result };
    checks.push(check);
    tools.report(check);
  };
  tell("network", checkNetwork());
  const share = checkShare(tools);
  const findings = await tryTracker(tools, share.files);
  const { patient } = findings;
  try {
    tell("discovery", checkDiscovery(findings));
    tell("tracker", checkTracker(findings));
    tell("port", await checkPort(findings, tools.usualPort));
  } finally {
    await patient?.stop();
  }
  tell("share", share.result);
  tell("receive", await checkReceive(tools.to));
  tell("clock", checkClock(patient));
  return checks;
}

type Findings = Awaited<ReturnType<typeof tryTracker>>;

/**
 * Looks for trackers, and joins the one that a command would join. `failed` says why it could not. `closed` says why the usual port
 * cannot be used. Without files there is neither a patient nor an error, if a tracker answers.
 */
async function tryTracker(tools: DoctorTools, files: SharedFile[]) {
  const from = performance.now();
  const around = await lookAround(tools.last, tools.signal);
  const seconds = (performance.now() - from) / 1000;
  const [found] = around.trackers;
  // A tracker that does not announce itself may still be where it was last time.
  const place = tools.tracker ?? found ?? (tools.last && asRemembered(tools.last));
  const unnamed = found === undefined ? "used last time" : "found by its announcement";
  const how = tools.tracker === undefined ? unnamed : "named on the command line";
  let joined = place === undefined ? undefined : await join(tools, place, files, false);
  let closed: FtError | undefined;
  if (place !== undefined && joined instanceof FtError && joined.code.startsWith("port-")) {
    // The tracker is not at fault: with another port the rest can be checked.
    closed = joined;
    joined = await join(tools, place, files, true);
  }
  const [patient, failed] = joined instanceof FtError ? [undefined, joined] : [joined, undefined];
  return { ...around, seconds, place, how, files, patient, failed, closed };
}

/** Joins the tracker. Without files the tracker accepts no peer: then this only checks that a tracker answers. */
async function join(tools: DoctorTools, place: TrackerPlace, files: SharedFile[], anyPort: boolean) {
  try {
    if (files.length > 0) return await tools.start(place, files, anyPort);
    if ((await tools.isRoom?.(place)) !== true) await knock(place, tools.signal);
    return undefined;
  } catch (error) {
    if (tools.signal.aborted) throw new CancelledError();
    if (error instanceof FtError && ROOM_CODES.includes(error.code)) return error;
    if (files.length === 0) {
      return new FtError(codeOf(error), `Cannot reach the tracker at "${formatEndpoint(place)}": ${sentenceOf(error)}.`);
    }
    return error instanceof FtError ? error : new FtError("failed", sentenceOf(error));
  }
}

/**
 * Says HELLO to a tracker and closes the connection. Fails with a clause when nothing answers, or another program than a tracker
 * answers. A tracker of the basic protocol keeps silent.
 */
async function knock(place: TrackerPlace, signal: AbortSignal): Promise<void> {
  const channel = await dial(place, { signal });
  const said = await new Promise<string>((resolve) => {
    setTimeout(() => resolve(""), KNOCK_MS);
    channel.start({
      data: (chunk) => resolve(new TextDecoder().decode(chunk.subarray(0, 8))),
      end: () => resolve("its end"),
      close: () => resolve("its end"),
    });
    channel.send(encodeToTracker({ verb: "HELLO", profile: 2, agent: `ft-peer/${VERSION}` }));
  });
  channel.finish();
  if (said !== "" && !said.startsWith("HI")) throw new FtError("no-tracker", "the program that answers there is not a tracker");
}

function checkDiscovery({ trackers, found, seconds, patient }: Findings): Result {
  const data = { ...found };
  if (trackers.length > 0) {
    const names = trackers.map((one) => `"${printable(one.name)}" at ${printable(typed(one))}`).join(", ");
    const detail = `${plural(trackers.length, "tracker")} found in ${formatDuration(seconds)}: ${names}.`;
    return { status: "ok", detail, data };
  }
  const announces = patient?.session.standing?.announced;
  if (patient !== undefined && announces !== true) {
    const why = announces === false ? "does not announce itself (--no-announce)" : "does not say whether it announces itself";
    return { status: found.echo ? "ok" : "warning", detail: `The tracker ${why}.`, data };
  }
  if (patient !== undefined) {
    const where = found.echo
      ? "between the tracker and this machine: its firewall, a switch or a wireless network that keeps its members apart"
      : "by a firewall on this machine";
    const detail = `Multicast does not get through: the tracker answers at its address, but is not heard announcing itself. UDP port 5353 seems to be blocked ${where}.`;
    return { status: "fault", detail, advice: `The address works all the same. To do without it: ${howToHear()}`, data };
  }
  if (found.asked.length === 0 && found.problems.length === 0) {
    return { status: "skipped", detail: "Without a network nobody can be heard.", data };
  }
  // No tracker may be running: then silence says nothing about the network.
  const status = found.echo ? "warning" : "fault";
  return { status, detail: nobodyFound(found, undefined).message, advice: howToHear(), data };
}

function checkTracker({ place, how, patient, failed }: Findings): Result {
  if (place === undefined) {
    const advice = "Start ft-tracker on a machine of this network, or give its address: ft-peer ADDRESS doctor";
    return { status: "fault", detail: "No tracker was found, and none was named.", advice };
  }
  if (failed !== undefined && ROOM_CODES.includes(failed.code)) {
    return { status: "fault", detail: `${failed.message} (It was ${how}.)`, data: { code: failed.code, how, room: true } };
  }
  if (failed?.code === UNTRUSTED) return { status: "warning", detail: failed.message, data: { code: failed.code, how } };
  if (failed !== undefined) {
    const advice =
      failed.code === "no-tracker"
        ? "Check the address and the port: another program answers there."
        : "Start ft-tracker there, or see that its machine's firewall allows the port.";
    return { status: "fault", detail: `${failed.message} (It was ${how}.)`, advice, data: { code: failed.code, how } };
  }
  const at = `${patient?.isRoom === true ? "private room" : "tracker"} at ${printable(formatEndpoint(place))} (${how})`;
  const standing = patient?.session.standing;
  if (standing === undefined) {
    const detail = `The ${at} answers; joining it was not tried, because there is nothing to share.`;
    return { status: "ok", detail, data: { how } };
  }
  const { tracker: address, you, local, profile } = standing;
  const own = interfaces().find(({ addresses }) => addresses.some((one) => one.address === withoutZone(local)));
  const by = own === undefined ? "" : `, by interface ${printable(own.name)}`;
  const room = patient?.isRoom === true ? { room: true } : {};
  const data = { address, port: place.port, you, interface: own?.name, profile, how, ...room };
  return { status: "ok", detail: `Joined the ${at} from ${you}${by}.`, data };
}

async function checkPort({ closed, files, patient }: Findings, usualPort: number): Promise<Result> {
  if (closed !== undefined) return { status: "fault", detail: closed.message, data: { code: closed.code } };
  if (patient === undefined) {
    const why = files.length === 0 ? "you are not sharing any files" : "there is no tracker to test it";
    return { status: "skipped", detail: `Not tested: ${why}.` };
  }
  const { port, session } = patient;
  if (session.standing?.profile === 1) {
    return { status: "skipped", detail: "This tracker speaks the basic protocol and does not try ports." };
  }
  const reached = await Promise.race([patient.reached, Bun.sleep(REACH_MS)]);
  // Port 0 stands for any free one.
  const other =
    port === usualPort || usualPort === 0 ? "" : ` Port ${usualPort} is taken on this machine, so ${port} was tried.`;
  if (reached === undefined) {
    return { status: "warning", detail: `The tracker did not say whether it can connect to port ${port}.${other}` };
  }
  const { reachable, reason } = reached;
  const data = { port, reachable, reason };
  if (reachable) {
    const you = session.standing?.you;
    const here = you !== undefined && isLoopback(you) ? ", which is on this machine" : "";
    return { status: "ok", detail: `Port ${port} is open to the tracker${here}.${other}`, data };
  }
  const detail = `The tracker cannot connect to port ${port} of this machine: ${printable(reason)}.${other}`;
  return { status: "fault", detail, advice: howToOpen(port), data };
}

function checkClock(patient: Patient | undefined): Result {
  const standing = patient?.session.standing;
  if (standing === undefined || standing.profile === 1) {
    const now = new Date();
    const detail = `It is ${localDay(now)} ${now.toTimeString().slice(0, 8)} here; there is no tracker to compare with.`;
    return { status: "skipped", detail };
  }
  const skewMs = Math.round(standing.ahead + systemClock.elapsed() - systemClock.at());
  const data = { skewMs };
  if (Math.abs(skewMs) <= SKEW_MS) return { status: "ok", detail: "The clock agrees with the tracker's.", data };
  const which = skewMs > 0 ? "behind" : "ahead of";
  const detail = `This machine's clock is ${formatDuration(Math.abs(skewMs) / 1000)} ${which} the tracker's; dates of files look wrong.`;
  return { status: "warning", detail, advice: "Set the clock of the one that is wrong.", data };
}

function checkNetwork(): Result {
  const all = interfaces();
  const shown = all.flatMap(({ name, virtual, loopback, addresses }) => {
    const list = addresses.map(({ address }) => address).join(" ");
    return loopback ? [] : `${printable(name)} ${list}${virtual ? " (virtual)" : ""}`;
  });
  const data = { interfaces: all };
  if (shown.length > 0) return { status: "ok", detail: `${shown.join(", ")}.`, data };
  const advice = "Plug in a cable or join a wireless network.";
  return { status: "fault", detail: "This machine has no network address.", advice, data };
}

function checkShare({ choose }: DoctorTools): { files: SharedFile[]; result: Result } {
  try {
    const { taken: files, left } = choose();
    const [unfit, ...others] = left.filter(({ surplus }) => surplus === undefined);
    const data = { files: files.map(({ path, size }) => ({ path, size })), left: left.length };
    const names = files.map(({ name }) => `"${printable(name)}"`).join(", ");
    const reason = unfit === undefined ? "" : `"${printable(unfit.path)}": ${unfit.reason}`;
    if (files.length === 0) {
      const detail = `There is no file to share here${unfit === undefined ? "" : `: ${reason}`}.`;
      const advice = "A peer shares at least one: give --share FILE or --share FOLDER.";
      return { files, result: { status: "fault", detail, advice, data } };
    }
    if (unfit === undefined) return { files, result: { status: "ok", detail: `${names} can be read.`, data } };
    const detail = `${names} can be shared; ${plural(others.length + 1, "file")} cannot, such as ${reason}.`;
    return { files, result: { status: "warning", detail, data } };
  } catch (error) {
    const advice = "Name a file or folder that this program may read with --share.";
    return { files: [], result: { status: "fault", detail: sentenceOf(error), advice } };
  }
}

async function checkReceive(folder: string): Promise<Result> {
  try {
    tryFolder(folder);
  } catch (error) {
    const advice = "Give a folder that this program may write to: --to FOLDER";
    return { status: "fault", detail: sentenceOf(error), advice, data: { folder } };
  }
  const { blocks, bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const room = blocks === 0 ? "its file system does not say how much is free" : `with ${formatSize(free)} free`;
  const marked = await tryMark(folder);
  const mark = marked ? "" : " The system's mark of files from the network cannot be set there.";
  const { count, bytes } = unfinishedIn(folder);
  const parts = `${plural(count, "unfinished download")} (${formatSize(bytes)})`;
  const left = ` It has ${parts}: get the same file again to resume, or delete its hidden files .ft-*.part.`;
  const detail = `"${printable(folder)}" can be written to, ${room}.${mark}${count === 0 ? "" : left}`;
  const data = { folder, free, marked, unfinished: count };
  if (free >= LITTLE_SPACE || blocks === 0) return { status: "ok", detail, data };
  const advice = "Make room, or give another folder: --to FOLDER";
  return { status: free < NO_SPACE ? "fault" : "warning", detail, advice, data };
}

/** How to let multicast DNS in through this system's firewall. */
export function howToHear(platform: string = process.platform): string {
  return {
    win32: "Set this network to private, or allow UDP port 5353 in Windows Defender Firewall.",
    darwin: `Allow incoming connections for ft-peer in System Settings, Network, Firewall, and ${LOCAL_NETWORK}.`,
    other: 'Allow UDP port 5353: "sudo ufw allow 5353/udp" with ufw, "sudo firewall-cmd --add-service=mdns" with firewalld.',
  }[platform === "win32" || platform === "darwin" ? platform : "other"];
}
