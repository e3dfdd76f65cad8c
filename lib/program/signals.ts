// Which signals end a program. A program that was started with SIGHUP ignored, as `nohup` does, goes on without its terminal.

import { readFileSync } from "node:fs";

/** The bit of SIGHUP, which is signal 1, in a mask of signals. */
const SIGHUP_BIT = 1n;

/** The signals that end this program. To be called before a handler of SIGHUP is set: with a handler, it is not ignored any more. */
export function endingSignals(isHangUpIgnored = ignoresHangUp, platform: string = process.platform): NodeJS.Signals[] {
  const signals: NodeJS.Signals[] = isHangUpIgnored() ? ["SIGINT", "SIGTERM"] : ["SIGINT", "SIGTERM", "SIGHUP"];
  // Ctrl-Break, which Windows alone has. A closed window is SIGHUP there, too.
  return platform === "win32" ? [...signals, "SIGBREAK"] : signals;
}

/** Whether this program was started with SIGHUP ignored. Bun cannot tell, but the system can; false where it does not. */
export function ignoresHangUp(): boolean {
  try {
    return (BigInt(`0x${ignoredSignals()}`) & SIGHUP_BIT) !== 0n;
  } catch {
    return false;
  }
}

/** The mask of the signals that this program ignores, hexadecimal. Throws where the system does not tell. */
function ignoredSignals(): string {
  if (process.platform === "linux")
    return /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  if (process.platform === "win32") return "0";
  // macOS and the BSDs.
  const { stdout } = Bun.spawnSync(["ps", "-o", "ignored=", "-p", String(process.pid)], { stderr: "ignore" });
  return stdout.toString().trim().replace(/^0x/, "");
}
