// Another user of this machine, as whom a test can act. Only root can become somebody else.

import { join } from "node:path";

/** The id of the other user and of its group. */
export const OTHER = 65_534;

/** The start of a command line that runs the rest as the other user. */
export const BECOME = ["setpriv", `--reuid=${OTHER}`, `--regid=${OTHER}`, "--clear-groups"];

/** Whether tests can give files to another user, and run commands as that user. */
export const hasOtherUser =
  process.getuid?.() === 0 && Bun.which("setpriv") !== null && Bun.spawnSync([...BECOME, "true"]).success;
if (!hasOtherUser) console.log("skipped: attacks by another user of this machine; this user cannot become somebody else");

/** Whether the other user can run our sources: the runtime and the folders on the way may be closed to it. */
export const otherRunsSources =
  hasOtherUser && trial(`await import(${JSON.stringify(join(import.meta.dir, "..", "..", "lib", "files.ts"))})`);
if (hasOtherUser && !otherRunsSources) console.log("skipped: two users at once; the other one may not run these sources");

function trial(script: string): boolean {
  return Bun.spawnSync([...BECOME, process.execPath, "-e", script]).success;
}

/** Runs a shell command as the other user. Throws when it fails. */
export function asOther(command: string, ...args: string[]): void {
  run("sh", "-c", command, "sh", ...args);
}

/** Runs a script as the other user. Throws when it fails. */
export function scriptAsOther(script: string): void {
  run(process.execPath, "-e", script);
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...BECOME, ...command]);
  if (exitCode !== 0) throw new Error(`"${command.join(" ")}" failed: ${stderr}`);
}
