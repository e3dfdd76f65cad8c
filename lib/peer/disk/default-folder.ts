// Refuses to share certain folders that the person did not name. A person who starts a command in their home folder, or in a folder of
// the system, hardly means to give its first files away.

import { realpathSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { UsageError } from "../../error.ts";
import { homeFolder } from "../../files.ts";
import { printable } from "../../text.ts";

/** Folders of the system: these, and all that is in them. */
const SYSTEM_FOLDERS = {
  linux:
    "/bin /boot /dev /etc /lib /lib32 /lib64 /libx32 /proc /run/secrets /run/systemd /run/user /sbin /snap /sys /usr /root /var/lib /var/log /var/spool",
  darwin:
    "/bin /dev /etc /sbin /usr /System /Library /Applications /private/etc /private/var/db /private/var/log /private/var/root /cores",
  win32: "",
};
/** Folders that hold other folders of the system or of its users: these alone. */
const SHELVES = "/home /mnt /media /opt /run /srv /var /Users /Volumes /private /private/var";

/** The system and the user, as the rule needs them. Tests hand it in. */
export interface Place {
  platform: string;
  env: Record<string, string | undefined>;
  /** This user's home folders. */
  homes: string[];
  /** The folder for temporary files, which may be in a folder of settings. */
  temporary: string;
}

/** Refuses to share the files of `folder` without `--share`, if it is no folder that a person shares from. Throws a `UsageError`. */
export function checkDefaultFolder(folder: string, place: Place = here()): void {
  const what = unsharedBecause(realOf(folder), place);
  if (what === undefined) return;
  throw new UsageError(
    `The files of "${printable(folder)}" are not shared without being named, because it is ${what}. ` +
      "Start ft-peer in another folder, or give --share FILE or --share FOLDER.",
  );
}

/** The kind of a folder that is not shared without its name; undefined for others. The path is absolute and has no links in it. */
export function unsharedBecause(folder: string, { platform, env, homes, temporary }: Place): string | undefined {
  const isWindows = platform === "win32";
  // Windows and macOS tell no capital letters from small ones.
  const plain = (path: string) => (isWindows || platform === "darwin" ? path.toLowerCase() : path);
  const own = plain(folder);
  const isIn = (outer: string) => outer !== "" && (own === plain(outer) || own.startsWith(plain(outer) + separator));
  const separator = isWindows ? "\\" : "/";
  if (isWindows ? /^(?:[a-z]:\\?|\\\\[^\\]+\\[^\\]+\\?)$/.test(own) : own === "/") return "the root of a drive";
  if (homes.some((home) => own === plain(home))) return "your home folder";
  if (isIn(temporary)) return undefined;
  if (homes.some((home) => home.length > 1 && isIn(home) && isSettings(own.slice(home.length + 1).split(separator)[0] ?? ""))) {
    return "in a folder of settings";
  }
  const system = isWindows
    ? [env.SystemRoot, env.ProgramFiles, env["ProgramFiles(x86)"], env.ProgramData, "C:\\Windows", "C:\\ProgramData"]
    : SYSTEM_FOLDERS[platform === "darwin" ? "darwin" : "linux"].split(" ");
  const shelves = isWindows ? [env.PUBLIC, "C:\\Users"] : SHELVES.split(" ");
  // A home folder may be in one of these, such as that of root.
  if (!homes.some((home) => home.length > 1 && isIn(home)) && system.some((one) => isIn(one ?? "")))
    return "a folder of the system";
  if (shelves.some((one) => own === plain(one ?? ""))) return "a folder of the system";
  const parent = own.slice(0, Math.max(0, own.lastIndexOf(separator)));
  const isHome = ["/home", "/users", "c:\\users"].includes(parent.toLowerCase());
  return isHome ? "somebody's home folder" : undefined;
}

/** Whether a folder directly in a home folder holds settings, keys or mails of programs. */
function isSettings(name: string): boolean {
  return name.startsWith(".") || /^(?:appdata|library)$/i.test(name);
}

function here(): Place {
  const homes = [homeFolder()];
  try {
    // HOME may say something else.
    homes.push(userInfo().homedir);
  } catch {
    // This user is in no list of users.
  }
  return { platform: process.platform, env: process.env, homes: homes.map(realOf), temporary: realOf(tmpdir()) };
}

/** The path without links in it; of a folder that is not there, as it is. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
