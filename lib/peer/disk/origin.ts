// Marks files that came from the network, so that the system asks before it opens one.

import { randomBytes } from "node:crypto";
import { unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A program of the system that sets a mark is ended after this time. Milliseconds. */
const MARKING_MS = 5_000;

/** How a file is marked: by the text of a stream of it (Windows), or by an extended attribute (macOS). */
type OriginMark = { stream: string; text: string } | { attribute: string; value: string };

/** The mark for a system as `process.platform` names it; undefined where there is none. `from` is the address that a file came from. */
export function originMark(platform: string, from: string | undefined, now: Date): OriginMark | undefined {
  if (platform === "win32") {
    const url = from === undefined ? "about:internet" : from.replace(/[^\x21-\x7e]/g, encodeURIComponent);
    // Zone 3 is the internet.
    return { stream: "Zone.Identifier", text: `[ZoneTransfer]\r\nZoneId=3\r\nHostUrl=${url}\r\n` };
  }
  if (platform === "darwin") {
    // The flags (downloaded, not yet opened by the person), the time in seconds, and the program.
    const seconds = Math.floor(now.getTime() / 1000).toString(16);
    return { attribute: "com.apple.quarantine", value: `0081;${seconds};ft-peer;` };
  }
  return undefined;
}

/** Marks a file as the system expects it. False when it could not; that is no reason to lose the file. */
export async function markOrigin(path: string, from: string | undefined): Promise<boolean> {
  const mark = originMark(process.platform, from, new Date());
  if (mark === undefined) return true;
  try {
    if ("stream" in mark) {
      await writeFile(`${path}:${mark.stream}`, mark.text);
      return true;
    }
    const command = ["/usr/bin/xattr", "-w", mark.attribute, mark.value, path];
    const setting = Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"], timeout: MARKING_MS });
    return (await setting.exited) === 0;
  } catch {
    // The file system has no streams, or the program is not there.
    return false;
  }
}

/** Whether files in this folder can be marked. It makes a file there to see that, and removes it. */
export async function tryMark(folder: string): Promise<boolean> {
  const path = join(folder, `.ft-${randomBytes(8).toString("hex")}.try`);
  try {
    await writeFile(path, "", { flag: "wx", mode: 0o600 });
    return await markOrigin(path, undefined);
  } catch {
    return false;
  } finally {
    await unlink(path).catch(() => undefined);
  }
}
