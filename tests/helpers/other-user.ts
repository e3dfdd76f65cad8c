// Another user of this machine, as whom a test can act. Only root can become somebody else.

/** The id of the other user and of its group. */
export const OTHER = 65_534;

const BECOME = ["setpriv", `--reuid=${OTHER}`, `--regid=${OTHER}`, "--clear-groups"];

/** Whether tests can give files to another user, and run commands as that user. */
export const hasOtherUser =
  process.getuid?.() === 0 && Bun.which("setpriv") !== null && Bun.spawnSync([...BECOME, "true"]).success;
if (!hasOtherUser) console.log("skipped: attacks by another user of this machine; this user cannot become somebody else");

/** Runs a shell command as the other user. Throws when it fails. */
export function asOther(command: string, ...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...BECOME, "sh", "-c", command, "sh", ...args]);
  if (exitCode !== 0) throw new Error(`"${command}" failed: ${stderr}`);
}
