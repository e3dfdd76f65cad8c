// The doctor command: checks what can stand between this machine and the others, and says what is wrong and what to do.

import { statfsSync } from "node:fs";
import { CancelledError, codeOf, FtError, sentenceOf } from "../../error.ts";
import { dial } from "../../net/dial.ts";
import { interfaces } from "../../net/interfaces.ts";
import { VERSION } from "../../program/cli.ts";
import { formatEndpoint, isLoopback, withoutZone } from "../../protocol/address.ts";
import { encodeToTracker } from "../../protocol/write.ts";
import { formatDuration, formatSize, type Measure, plural, printable, wrap } from "../../text.ts";
import { tryFolder } from "../disk/incoming.ts";
import type { LeftOut, SharedFile } from "../disk/share.ts";
import { type Located, lookAround, nobodyFound, typed } from "../locate.ts";
import type { Session, TrackerPlace } from "../session.ts";
import { colours, howToOpen } from "./view.ts";

/** The tracker says within this time whether it can connect to this peer's port. Milliseconds. */
const REACH_MS = 6_000;

/** A program that is no tracker shows it within this time. Milliseconds. */
const KNOCK_MS = 1_500;

/** A clock that differs from the tracker's by more is a warning. Milliseconds. */
const SKEW_MS = 120_000;

/** Less free space is a warning. Bytes. */
const LITTLE_SPACE = 1_000_000_000;

/** Less free space is a fault. Bytes. */
const NO_SPACE = 1_000_000;

export type CheckName = "network" | "discovery" | "tracker" | "port" | "share" | "receive" | "clock";

/** The result of one check. `detail` and `advice` are sentences; `data` is for a bug report. */
export interface Check {
  check: CheckName;
  status: "ok" | "warning" | "fault" | "skipped";
  detail: string;
  advice?: string;
  data?: Record<string, unknown>;
}

export interface DoctorTools {
  /** The tracker on the command line; undefined when there was none. */
  tracker: TrackerPlace | undefined;
  last: Located | undefined;
  /** Chooses the files to share. */
  choose(): { taken: SharedFile[]; left: LeftOut[] };
  /** The folder for fetched files. */
  to: string;
  /** Joins a tracker, as any command does. */
  start(place: TrackerPlace, files: SharedFile[], anyPort: boolean): Promise<Patient>;
  /** The port on which a peer serves, if no other program has it. */
  usualPort: number;
  signal: AbortSignal;
  report(check: Check): void;
}

/** A peer that has joined, as far as the checks use it. */
export interface Patient {
  readonly port: number;
  readonly session: Session;
  /** Resolves when the tracker has said whether it can connect to this peer. */
  readonly reached: Promise<{ reachable: boolean; reason: string }>;
  stop(): Promise<void>;
}

const STATUS_WORDS = { ok: "ok", warning: "note", fault: "FAULT", skipped: "-" } as const;

/** The width of a check's status and name. Columns. */
const CHECK_INDENT = 17;

/** One check as lines for a person. */
export function checkLines({ check, status, detail, advice }: Check, measure: Measure, width = 100): string[] {
  const colour = { ok: colours.green, warning: colours.yellow, fault: colours.red, skipped: colours.dim }[status];
  const words = wrap(printable(detail), Math.max(20, width - CHECK_INDENT), measure);
  if (advice !== undefined) words.push(...wrap(printable(`→ ${advice}`), Math.max(20, width - CHECK_INDENT), measure));
  return words.map((line, index) =>
    index === 0 ? `${colour(STATUS_WORDS[status].padEnd(5))}  ${check.padEnd(9)} ${line}` : " ".repeat(CHECK_INDENT) + line,
  );
}

/** Makes all checks, reports each, and gives all of them. */
export async function examine(tools: DoctorTools): Promise<Check[]> {
  const checks: Check[] = [];
  const tell = (check: Check) => {
    if (tools.signal.aborted) throw new CancelledError();
    checks.push(check);
    tools.report(check);
  };
  tell(checkNetwork());
  const { trackers, found, seconds } = await look(tools);
  // A tracker that does not announce itself may still be where it was last time.
  const place = tools.tracker ?? trackers[0] ?? tools.last;
  const how =
    tools.tracker !== undefined
      ? "named on the command line"
      : trackers[0] === undefined
        ? "used last time"
        : "found by its announcement";
  const share = checkShare(tools);
  let joined = place === undefined ? undefined : await join(tools, place, share.files, false);
  let closed: FtError | undefined;
  if (place !== undefined && joined instanceof FtError && joined.code.startsWith("port-")) {
    // The tracker is not at fault: with another port the rest can be checked.
    closed = joined;
    joined = await join(tools, place, share.files, true);
  }
  const patient = joined instanceof FtError ? undefined : joined;
  try {
    tell(checkDiscovery());
    tell(checkTracker());
    tell(await checkPort());
  } finally {
    await patient?.stop();
  }
  tell(share.check);
  tell(checkReceive(tools.to));
  tell(checkClock());
  return checks;

  function checkDiscovery(): Check {
    const data = { trackers: found.trackers, asked: found.asked, problems: found.problems, echo: found.echo };
    const check = "discovery" as const;
    if (trackers.length > 0) {
      const names = trackers.map((one) => `"${printable(one.name)}" at ${printable(typed(one))}`).join(", ");
      const detail = `${plural(trackers.length, "tracker")} found in ${formatDuration(seconds)}: ${names}.`;
      return { check, status: "ok", detail, data };
    }
    const announces = patient?.session.standing?.announced;
    if (patient !== undefined && announces !== true) {
      const why = announces === false ? "does not announce itself (--no-announce)" : "does not say whether it announces itself";
      return { check, status: found.echo ? "ok" : "warning", detail: `The tracker ${why}.`, data };
    }
    if (patient !== undefined) {
      const where = found.echo
        ? "between the tracker and this machine: its firewall, a switch or a wireless network that keeps its members apart"
        : "by a firewall on this machine";
      return {
        check,
        status: "fault",
        detail: `Multicast does not get through: the tracker answers at its address, but is not heard announcing itself. UDP port 5353 seems to be blocked ${where}.`,
        advice: `The address works all the same. To do without it: ${howToHear()}`,
        data,
      };
    }
    if (found.asked.length === 0 && found.problems.length === 0) {
      return { check, status: "skipped", detail: "Without a network nobody can be heard.", data };
    }
    // No tracker may be running: then silence says nothing about the network.
    const status = found.echo ? "warning" : "fault";
    return { check, status, detail: nobodyFound(found, undefined).message, advice: howToHear(), data };
  }

  function checkTracker(): Check {
    const check = "tracker" as const;
    if (place === undefined) {
      return {
        check,
        status: "fault",
        detail: "No tracker was found, and none was named.",
        advice: "Start ft-tracker on a machine of this network, or give its address: ft-peer ADDRESS doctor",
      };
    }
    const where = printable(formatEndpoint(place));
    if (joined instanceof FtError) {
      const advice =
        joined.code === "no-tracker"
          ? "Check the address and the port: another program answers there."
          : "Start ft-tracker there, or see that its machine's firewall allows the port.";
      return { check, status: "fault", detail: `${joined.message} (It was ${how}.)`, advice, data: { code: joined.code, how } };
    }
    const standing = patient?.session.standing;
    if (standing === undefined) {
      const detail = `The tracker at ${where} (${how}) answers; joining it was not tried, because there is nothing to share.`;
      return { check, status: "ok", detail, data: { how } };
    }
    const own = interfaces().find(({ addresses }) => addresses.some(({ address }) => address === withoutZone(standing.local)));
    const by = own === undefined ? "" : `, by interface ${printable(own.name)}`;
    const data = {
      address: standing.tracker,
      port: place.port,
      you: standing.you,
      interface: own?.name,
      profile: standing.profile,
    };
    const detail = `Joined the tracker at ${where} (${how}) from ${standing.you}${by}.`;
    return { check, status: "ok", detail, data: { ...data, how } };
  }

  async function checkPort(): Promise<Check> {
    const check = "port" as const;
    if (closed !== undefined) return { check, status: "fault", detail: closed.message, data: { code: closed.code } };
    if (patient === undefined) {
      const why = share.files.length === 0 ? "A peer that shares nothing" : "Without a tracker, this peer";
      return { check, status: "skipped", detail: `${why} is not tried by anybody.` };
    }
    const { port, session } = patient;
    if (session.standing?.profile === 1) {
      return { check, status: "skipped", detail: "This tracker speaks the basic protocol and does not try ports." };
    }
    const reached = await Promise.race([patient.reached, Bun.sleep(REACH_MS)]);
    const other = port === tools.usualPort ? "" : ` Port ${tools.usualPort} is taken on this machine, so ${port} was tried.`;
    if (reached === undefined) {
      return { check, status: "warning", detail: `The tracker did not say whether it can connect to port ${port}.${other}` };
    }
    const { reachable, reason } = reached;
    const data = { port, reachable, reason };
    if (reachable) {
      const you = session.standing?.you;
      const here = you !== undefined && isLoopback(you) ? ", which is on this machine" : "";
      return { check, status: "ok", detail: `Port ${port} is open to the tracker${here}.${other}`, data };
    }
    return {
      check,
      status: "fault",
      detail: `The tracker cannot connect to port ${port} of this machine: ${printable(reason)}.${other}`,
      advice: howToOpen(port),
      data,
    };
  }

  function checkClock(): Check {
    const check = "clock" as const;
    const standing = patient?.session.standing;
    if (standing === undefined || standing.profile === 1) {
      return {
        check,
        status: "skipped",
        detail: `It is ${new Date().toISOString()} here; there is no tracker's clock to hold it against.`,
      };
    }
    const skewMs = Math.round(standing.skew);
    const data = { skewMs };
    if (Math.abs(skewMs) <= SKEW_MS) return { check, status: "ok", detail: "The clock agrees with the tracker's.", data };
    const which = skewMs > 0 ? "behind" : "ahead of";
    return {
      check,
      status: "warning",
      detail: `This machine's clock is ${formatDuration(Math.abs(skewMs) / 1000)} ${which} the tracker's; dates of files look wrong.`,
      advice: "Set the clock of the one that is wrong.",
      data,
    };
  }
}

function checkNetwork(): Check {
  const all = interfaces();
  const shown = all
    .filter(({ loopback }) => !loopback)
    .map(({ name, virtual, addresses }) => {
      const list = addresses.map(({ address }) => address).join(" ");
      return `${printable(name)} ${list}${virtual ? " (virtual)" : ""}`;
    });
  const data = { interfaces: all };
  if (shown.length > 0) return { check: "network", status: "ok", detail: `${shown.join(", ")}.`, data };
  return {
    check: "network",
    status: "fault",
    detail: "This machine has no network address.",
    advice: "Plug in a cable or join a wireless network.",
    data,
  };
}

async function look({ last, signal }: DoctorTools) {
  const from = performance.now();
  const around = await lookAround(last, signal);
  return { ...around, seconds: (performance.now() - from) / 1000 };
}

/** Joins the tracker. Without files the tracker accepts no peer: then this only checks that a tracker answers. */
async function join(
  tools: DoctorTools,
  place: TrackerPlace,
  files: SharedFile[],
  anyPort: boolean,
): Promise<Patient | FtError | undefined> {
  try {
    if (files.length > 0) return await tools.start(place, files, anyPort);
    await knock(place, tools.signal);
    return undefined;
  } catch (error) {
    if (tools.signal.aborted) throw new CancelledError();
    if (files.length === 0) {
      return new FtError(codeOf(error), `Cannot reach the tracker at "${formatEndpoint(place)}": ${sentenceOf(error)}.`);
    }
    return error instanceof FtError ? error : new FtError("failed", sentenceOf(error));
  }
}

/**
 * Says HELLO to a tracker and hangs up. Fails with a clause when nobody answers the connection, or something else than a tracker
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

function checkShare({ choose }: DoctorTools): { files: SharedFile[]; check: Check } {
  try {
    const { taken, left } = choose();
    const unfit = left.filter(({ surplus }) => surplus === undefined);
    const data = { files: taken.map(({ path, size }) => ({ path, size })), left: left.length };
    const names = taken.map(({ name }) => `"${printable(name)}"`).join(", ");
    if (taken.length === 0) {
      const why = unfit[0] === undefined ? "" : `: "${printable(unfit[0].path)}": ${unfit[0].reason}`;
      return {
        files: [],
        check: {
          check: "share",
          status: "fault",
          detail: `There is no file to share here${why}.`,
          advice: "A peer shares at least one: give --share FILE or --share FOLDER.",
          data,
        },
      };
    }
    if (unfit.length > 0) {
      const detail = `${names} can be shared; ${plural(unfit.length, "file")} cannot, such as "${printable(unfit[0]?.path ?? "")}": ${unfit[0]?.reason}.`;
      return { files: taken, check: { check: "share", status: "warning", detail, data } };
    }
    return { files: taken, check: { check: "share", status: "ok", detail: `${names} can be read.`, data } };
  } catch (error) {
    const advice = "Name a file or folder that this program may read with --share.";
    return { files: [], check: { check: "share", status: "fault", detail: sentenceOf(error), advice } };
  }
}

function checkReceive(folder: string): Check {
  const check = "receive" as const;
  try {
    tryFolder(folder);
  } catch (error) {
    const advice = "Give a folder that this program may write to: --to FOLDER";
    return { check, status: "fault", detail: sentenceOf(error), advice, data: { folder } };
  }
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const detail = `"${printable(folder)}" can be written to, with ${formatSize(free)} free.`;
  const data = { folder, free };
  if (free >= LITTLE_SPACE) return { check, status: "ok", detail, data };
  const advice = "Make room, or give another folder: --to FOLDER";
  return { check, status: free < NO_SPACE ? "fault" : "warning", detail, advice, data };
}

/** How to let multicast DNS in through this system's firewall. */
function howToHear(platform: NodeJS.Platform = process.platform): string {
  switch (platform) {
    case "win32":
      return "Set this network to private, or allow UDP port 5353 in Windows Defender Firewall.";
    case "darwin":
      return "Allow incoming connections for ft-peer in System Settings, Network, Firewall.";
    default:
      return 'Allow UDP port 5353: "sudo ufw allow 5353/udp" with ufw, "sudo firewall-cmd --add-service=mdns" with firewalld.';
  }
}
