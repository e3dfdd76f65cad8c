// Where this user's programs keep things, by the rules of each system (on Linux the XDG base directories).

import { homedir } from "node:os";
import { join } from "node:path";

/** The folder for what can be made anew (`cache`), or for what is to outlive the program (`state`). It may not exist yet. */
export function userFolder(kind: "cache" | "state"): string {
  const home = homedir();
  const usual = {
    win32: { cache: localAppData(home), state: localAppData(home) },
    darwin: { cache: join(home, "Library", "Caches"), state: join(home, "Library", "Application Support") },
    other: { cache: join(home, ".cache"), state: join(home, ".local", "state") },
  }[process.platform === "win32" || process.platform === "darwin" ? process.platform : "other"];
  const chosen = kind === "cache" ? process.env.XDG_CACHE_HOME : process.env.XDG_STATE_HOME;
  return join(chosen || usual[kind], "filetracker");
}

function localAppData(home: string): string {
  return process.env.LOCALAPPDATA || join(home, "AppData", "Local");
}
