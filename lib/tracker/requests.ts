// What an accepted FT/2 peer is answered: ADD, DROP, SEARCH, LIST, FIND, WHO, KNOWN, CONNECT, PING. No connections, no time.

import { ProtocolError } from "../error.ts";
import type { ToTracker, Wish } from "../protocol/messages.ts";
import type { FileName, FileRecord } from "../protocol/record.ts";
import { encodeFromTracker } from "../protocol/write.ts";
import { plural, printable } from "../text.ts";
import type { AcceptedPeer, TrackerReply } from "./accepted.ts";
import type { Catalog, Seer } from "./catalog.ts";
import type { TrackerParts } from "./parts.ts";

/** What only an accepted peer may ask. */
export type PeerRequest = Exclude<ToTracker, { verb: "HELLO" | "FILES" | "BYE" }>;

/** The reply to a peer that changes its list after the end of its connection. */
export const TOO_LATE = error("left", "This peer has ended its connection and shares nothing any more.");

const LAST_FILE = error("last-file", "The last file stays: a peer shares at least one. Say BYE to leave.");

/** `ended`: the peer has sent its last byte. Throws the refusal that ends the connection. */
export function answerPeer(
  request: PeerRequest,
  peer: AcceptedPeer,
  ended: boolean,
  parts: TrackerParts,
): TrackerReply | Uint8Array {
  const { catalog, limits } = parts;
  switch (request.verb) {
    case "ADD":
      return ended ? TOO_LATE : add(catalog, peer.id, request.record, limits.files);
    case "DROP":
      return drop(catalog, peer.id, request.name);
    case "SEARCH":
      return catalog.answer(request.name, peer, limits.results, (lines) => utf8.encode(encodeFromTracker(found(lines))));
    case "LIST":
      if (request.root === undefined) return found(catalog.list(request.id, request, peer));
      return found(catalog.holders(request.root, request, peer));
    case "FIND":
      return find(catalog, request, peer);
    case "WHO":
      return { verb: "PEERS", peers: catalog.who(request, peer) };
    case "KNOWN":
      return { verb: catalog.known(request.address, peer) ? "YES" : "NO" };
    case "CONNECT":
      return peer.callBack(request);
    case "PING":
      return { verb: "PONG" };
    case "UNKNOWN":
      return error("unknown-verb", `This tracker does not know "${printable(request.word.slice(0, 40))}".`);
    default:
      return request satisfies never;
  }
}

function add(catalog: Catalog, id: string, record: FileRecord, most: number): TrackerReply {
  if (record.part && catalog.isLast(id, record.name)) return LAST_FILE;
  if (catalog.add(id, record, most)) return { verb: "OK" };
  if (record.part) return error("too-many-parts", "These are too many unfinished files.");
  throw new ProtocolError("too-many-files", `This tracker takes ${plural(most, "file")} a peer.`);
}

function drop(catalog: Catalog, id: string, name: FileName): TrackerReply {
  const outcome = catalog.drop(id, name);
  if (outcome === "last") return LAST_FILE;
  return { verb: outcome === "dropped" ? "OK" : "NOT FOUND" };
}

/** A peer that has not said `extras=1` gets no total. */
function find(catalog: Catalog, wish: Wish, seer: Seer): TrackerReply {
  try {
    const { lines, total } = catalog.find(wish, seer);
    return found(lines, seer.extras ? total : undefined);
  } catch (failure) {
    // The person may be in the middle of typing the words: the connection goes on.
    if (!(failure instanceof ProtocolError)) throw failure;
    return error(failure.code, failure.message);
  }
}

function found(lines: string[], total?: number): TrackerReply {
  if (lines.length === 0) return { verb: "NOT FOUND" };
  return { verb: "FOUND", lines, ...(total === undefined ? {} : { total }) };
}

function error(code: string, words: string): TrackerReply {
  return { verb: "ERROR", code, words };
}

const utf8 = new TextEncoder();
