// Runs the commands that only ask: search, list, find and who.

import { FtError } from "../../error.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { printable } from "../../text.ts";
import { type CommandLine, nameArgument } from "../arguments.ts";
import { groupByContent } from "../download/contents.ts";
import { findPeer } from "../people/find-peer.ts";
import type { Screen } from "../screen/screen.ts";
import { contentTable, peerTable, recordObjects, recordTable } from "../screen/view.ts";
import { notFound, similarTo } from "./not-found.ts";
import type { Peer } from "./types.ts";

/** Prints the records of an exact name, or those of everybody or of one peer. Throws a sentence when there are none. */
export async function search(peer: Peer, line: CommandLine, command: "search" | "list", screen: Screen): Promise<void> {
  const { argument } = line;
  const records =
    command === "search"
      ? await peer.session.requests.search(nameArgument(argument ?? ""))
      : await peer.session.requests.list(
          argument === undefined ? undefined : findPeer(argument, await peer.session.requests.who()).id,
        );
  if (records.length === 0) {
    const name = argument ?? "";
    if (command === "search") throw notFound(name, await similarTo(peer, name), line, command);
    // A peer's list may have files that only some people are shown.
    const whose = argument === undefined ? "Nobody online" : `"${printable(argument)}"`;
    throw new FtError("not-found", `${whose} shares no file with you.`);
  }
  if (screen.json) return screen.results(recordObjects(records));
  // Where each line names one holder, "you" is this peer, not another one with the same content.
  const isOneHolder = command === "search" || argument !== undefined;
  const look = { isMine: isOneHolder ? peer.isOwn : peer.isMine };
  if (command === "list") screen.results(contentTable(groupByContent(records, peer.isOwn), screen.width, look));
  else screen.results(recordTable(records, screen.width, look));
}

/** Prints the contents that fit words and filters. Throws a sentence when there are none. */
export async function find(peer: Peer, { wish }: CommandLine, screen: Screen): Promise<void> {
  const found = await peer.session.requests.findAll(wish);
  // This peer's own copy may have no content id yet. It is not shown as another file beside the one that it is a copy of.
  const isCopy = (own: FileRecord) => found.some(({ root, name, size }) => root && name === own.name && size === own.size);
  const records = found.filter((record) => record.root !== undefined || !peer.isOwn(record) || !isCopy(record));
  if (records.length === 0) throw new FtError("not-found", "No matching files.");
  screen.results(screen.json ? recordObjects(records) : contentTable(records, screen.width, { isMine: peer.isMine }));
}

/** Prints the peers online. */
export async function who(peer: Peer, screen: Screen): Promise<void> {
  const peers = await peer.session.requests.who();
  const self = peer.session.standing?.id ?? "";
  screen.results(screen.json ? peers : peerTable(peers, self, screen.width));
}
