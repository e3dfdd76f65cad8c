// Runs the list command for PEER/FOLDER: lists the files of a shared folder before it is fetched.

import { systemClock } from "../../clock.ts";
import { FtError } from "../../error.ts";
import { FOLDER_TYPE, type FolderEntry, isFolderEntry } from "../../protocol/folder.ts";
import { formatSize, printable } from "../../text.ts";
import { orCancelled } from "../cancel.ts";
import { waitForContents } from "../download/contents.ts";
import { findPeer } from "../people/find-peer.ts";
import type { Screen } from "../screen/screen.ts";
import type { Peer } from "./types.ts";

/** Shows the list of a folder that was named as PEER/FOLDER, or of a folder or file inside of it. Throws a sentence. */
export async function listFolder(peer: Peer, argument: string, screen: Screen, signal: AbortSignal): Promise<void> {
  const [who = "", name = "", ...rest] = argument.split("/");
  const { requests } = peer.session;
  const { id } = findPeer(who, await orCancelled(requests.who(), signal));
  const [content] = await waitForContents({
    look: () => orCancelled(requests.list(id), signal),
    fits: (record) => record.name === name.normalize("NFC") && record.type === FOLDER_TYPE,
    isOwn: () => false,
    clock: systemClock,
  });
  if (content === undefined) {
    throw new FtError(
      "not-found",
      `"${printable(who)}" shares no folder of the name "${printable(name)}". Try: ft-peer list ${who}`,
    );
  }
  const inside = rest.join("/").replace(/\/+$/, "").normalize("NFC");
  const entries = await peer.listOf(content.records, { signal });
  const shown = entries.filter(({ path }) => inside === "" || path === inside || path.startsWith(`${inside}/`));
  if (shown.length === 0)
    throw new FtError("not-found", `There is no "${printable(inside)}" in the folder "${printable(name)}".`);
  if (screen.json) screen.results(shown);
  else screen.results(screen.width === undefined ? tabbed(shown) : aligned(shown));
}

/** Lines for a person: sizes below each other, then paths. */
function aligned(entries: FolderEntry[]): string[] {
  const sizes = entries.map(sizeOf);
  const width = Math.max(...sizes.map(({ length }) => length));
  return entries.map(({ path }, i) => `${(sizes[i] ?? "").padStart(width)}  ${printable(path)}`);
}

/** Lines for another program: path, size, content id. A folder without files has the path only. */
function tabbed(entries: FolderEntry[]): string[] {
  return entries.map((entry) => [printable(entry.path), sizeOf(entry), entry.root].join("\t"));
}

function sizeOf(entry: FolderEntry): string {
  return isFolderEntry(entry) ? "" : formatSize(entry.size);
}
