// The protocol: every message of both profiles, its type, how it is written and how it is read. Bytes in, messages out:
// nothing here knows a socket, a clock or a log.
//
// FT/1, the basic profile (the plain programs of 2020). A message is what arrives until a newline, the end of the stream, or
// 50 ms of silence. One exchange a connection:
//
//     peer → tracker   HELLO                          tracker → peer   HI                  (two bytes)
//     peer → tracker   <name,type,size,DD/MM/YY,IP,port>\n   once per file, names raw; the peer closes, nothing is answered
//     peer → tracker   SEARCH: name                   tracker → peer   FOUND: <type,size,DD/MM/YY,IP,port>\n…  or  NOT FOUND
//     peer → tracker   BYE                            every FT/1 peer of that address is removed, nothing is answered
//     peer → peer      DOWNLOAD:name,type,size        peer → peer      FILE: + the bytes, then the end of the stream
//     peer → peer      DOWNLOAD name                  peer → peer      FILE: + one space + the bytes
//
// A list of records is one list however it arrives: what comes later makes it longer, and one record too many refuses all of it.
//
// FT/2. UTF-8 lines ending in LF (CR LF is read too), 4096 bytes at most with the LF. `VERB arg … key=value …`, one space between.
// `% , ; < >`, control characters and, in values, the space are written %XX. Unknown keys are ignored, unknown verbs answered
// with ERROR unknown-verb. After a line that breaks the grammar or a limit comes ERROR code words, and a close; the words are the
// rest of the line, not escaped.
//
//     peer → tracker, one connection for as long as the peer is online
//       HELLO FT/2 agent=… extras=1 session=…   → HI FT/2 name=… max=… key=… you=… announced=yes|no results=…
//       FILES n port=p, n records     → WELCOME id=… pass=… peers=… files=… session=…   (later again: a new list, a new pass)
//                                       Who says the session of an earlier WELCOME takes the place of that connection.
//                                       announced=, results= (records in an answer at most, if not 2000), session=, and reach=
//                                       in records and WHO, come to those who said extras=1.
//       ADD <record>  ·  DROP name    → OK  ·  NOT FOUND (no such record)  ·  ERROR last-file
//                                       A record with part=1 comes by ADD only, and is not counted among the files of the peer.
//       SEARCH: name                  → FOUND: n, n records  ·  NOT FOUND
//       LIST id=… root=… offset=… limit=…  → the same; of one peer, of one content, or everything
//       FIND word… ext=… type=… min=… max=… after=YYYY-MM-DD before=YYYY-MM-DD root=… offset=… limit=… group=1
//                                     → FOUND: n total=m, n records  ·  NOT FOUND  ·  ERROR bad-find
//                                       Best first, records of one content together; with group=1 one record for each content, with
//                                       holders=, how many have the whole of it. A word's = is written %3D. How words are matched is
//                                       said in words.ts. Who makes a tracker search for long waits longer for its next answer.
//       WHO offset=… limit=…          → PEERS: n, n lines id=… address=… port=… files=… bytes=… agent=… since=… reach=yes|no
//       KNOWN address                 → YES  ·  NO
//       CONNECT address=… port=… token=…   → OK  ·  NOT FOUND (no such peer)  ·  ERROR too-many-connects
//       PING                          → PONG
//       BYE                           → BYE, close
//     tracker → peer, between replies (what else comes there is for later versions, and is passed over)
//       NOTICE words
//       REACH yes  ·  REACH no reason=…    whether the tracker could connect to the peer's port, once after it joined
//       CONNECT address=… port=… token=…   a peer there asks to be connected to
//     peer → peer
//       HELLO FT/2 pass=…             → HI FT/2
//       DOWNLOAD root=…|name=… offset=… length=…   → FILE: length=n size=total, n raw bytes  ·  BUSY position=k  ·  NOT FOUND  ·  ERROR
//       TREE root=… piece=bytes       → TREE: n, n × 32 raw bytes  ·  NOT FOUND  ·  ERROR
//       HAVE root=…                   → HAVE: n, n raw bytes  ·  NOT FOUND
//       BYE                           → close
//
// A piece has the size that `pieceSizeOf` gives for the file; TREE may ask for larger ones too. HAVE's bit 7 of byte 0 is piece 0;
// a whole file is all ones, spare bits too, which mean nothing. DOWNLOAD of what an unfinished holder has not verified yet is ERROR
// not-here. BUSY: all slots are taken and position is the place in the queue; who asks again every second or so keeps the place,
// and the slot, once it is free. While others wait, a slot goes to the next after ten seconds.
//
// Connect-back, for a holder whose firewall lets nobody in. The downloader makes up a token and asks its tracker with CONNECT and
// the holder's address and port; the tracker tells the holder, with the address that it sees of the downloader and the port of the
// downloader's records; the holder dials there and says HELLO FT/2 token=…. From there on it is as if the downloader had dialled:
// it says HELLO FT/2 pass=… and asks. A token is good once, for a few seconds, with the peer that made it up.
//
// A record is <name,type,size,DD/MM/YY,address,port;v=2;mtime=…;root=…;part=1;reach=no>; the tracker alone says reach=no, of a
// holder that it could not connect to. Addresses are published without zones: who is told a link-local one uses its own. Replies come in the order of the requests, which may
// be pipelined. What is not accepted gets no answer: FILES 0, and every request before FILES. A tracker that has already
// answered `HELLO` with `HI` and then sees ` FT/2 …` follow completes its line, so the bytes are the same however they were cut.

import type { Address, Endpoint } from "./address.ts";
import type { FileName, FileRecord } from "./record.ts";

export const HASH = 32;

export const DEFAULT_TRACKER_PORT = 1234;

export const DEFAULT_MAX_FILES = 5;

/** How long an FT/1 tracker's silence after `HELLO FT/2` is waited for. */
export const PROFILE_WAIT_MS = 1000;

/** A peer pings after this much silence; its tracker drops it after twice as much. */
export const PING_MS = 45_000;

/** A pass is good for this long after it was issued. */
export const PASS_LIFETIME_S = 3600;

export const RESULTS_DEFAULT = 200;

export const RESULTS_LIMIT = 2000;

export type Profile = 1 | 2;

/** A page of a long answer. */
export interface Page {
  offset: number;
  limit: number;
}

/** What FIND asks for. Words and filters are ANDed; which words there can be is find.ts's business. */
export interface Wish extends Page {
  words: string[];
  /** Extensions without the dot, any of them. */
  ext?: string[] | undefined;
  /** What the MIME type begins with. */
  type?: string | undefined;
  /** Bytes, both included. */
  min?: number | undefined;
  max?: number | undefined;
  /** Days of last modification, `YYYY-MM-DD`, both included. */
  after?: string | undefined;
  before?: string | undefined;
  root?: string | undefined;
  /** One record for each content. */
  group: boolean;
}

/** One line of the answer to WHO. */
export interface PeerLine {
  id: string;
  address: Address;
  port: number;
  files: number;
  bytes: number;
  agent: string;
  /** ISO 8601 UTC. */
  since: string;
  /** Whether the tracker could connect to its port; undefined until that is known. */
  reach?: boolean | undefined;
}

/** Somebody to connect to, and what to say there. */
export interface CallBack extends Endpoint {
  token: string;
}

export type ToTracker =
  | { verb: "HELLO"; profile: 1 }
  /** `extras`: it knows what later versions added to answers. */
  | { verb: "HELLO"; profile: 2; agent: string; extras?: boolean | undefined; session?: string | undefined }
  | { verb: "FILES"; profile: 1; records: FileRecord[] }
  | { verb: "FILES"; profile: 2; port: number; records: FileRecord[] }
  | { verb: "ADD"; record: FileRecord }
  | { verb: "DROP"; name: FileName }
  | { verb: "SEARCH"; name: FileName }
  | ({ verb: "LIST"; id?: string | undefined; root?: string | undefined } & Page)
  | ({ verb: "FIND" } & Wish)
  | ({ verb: "WHO" } & Page)
  | { verb: "KNOWN"; address: Address }
  | ({ verb: "CONNECT" } & CallBack)
  | { verb: "PING" }
  | { verb: "BYE" }
  | { verb: "UNKNOWN"; word: string };

export type FromTracker =
  /** `announced`: whether it can be found by DNS-SD; `results`: records in an answer at most; as far as it says. */
  | {
      verb: "HI";
      name: string;
      max: number;
      key: string;
      you: Address;
      announced?: boolean | undefined;
      results?: number | undefined;
    }
  | { verb: "WELCOME"; id: string; pass: string; session?: string | undefined; peers: number; files: number }
  | { verb: "OK" }
  /** `total`: how many there are, if these are not all. */
  | { verb: "FOUND"; records: FileRecord[]; total?: number | undefined }
  | { verb: "NOT FOUND" }
  | { verb: "PEERS"; peers: PeerLine[] }
  | { verb: "YES" }
  | { verb: "NO" }
  | { verb: "PONG" }
  | { verb: "BYE" }
  | { verb: "ERROR"; code: string; words: string }
  | { verb: "NOTICE"; words: string }
  | { verb: "REACH"; reachable: boolean; reason: string }
  | ({ verb: "CONNECT" } & CallBack)
  | { verb: "UNKNOWN"; word: string };

/** What a tracker says without being asked. */
export type Push = Extract<FromTracker, { verb: "NOTICE" | "REACH" | "CONNECT" }>;

/** A name that is asked for may be any text: what is not on the list is not found, whatever it looks like. */
export type ToHolder =
  /** With a pass from who wants something; with a token from who was asked to connect back. */
  | { verb: "HELLO"; pass: string; token?: string | undefined }
  | { verb: "DOWNLOAD"; profile: 1; name: string; size?: number; spaced: boolean }
  | {
      verb: "DOWNLOAD";
      profile: 2;
      root?: string | undefined;
      name?: string | undefined;
      offset: number;
      length?: number | undefined;
    }
  | { verb: "TREE"; root: string; piece: number }
  | { verb: "HAVE"; root: string }
  | { verb: "BYE" }
  | { verb: "UNKNOWN"; word: string };

export type FromHolder =
  | { verb: "HI" }
  /** `length` raw bytes follow; the whole file has `size`. */
  | { verb: "FILE"; length: number; size: number }
  | { verb: "BUSY"; position: number }
  /** `count` hashes of 32 raw bytes follow. */
  | { verb: "TREE"; count: number }
  /** `length` raw bytes follow. */
  | { verb: "HAVE"; length: number }
  | { verb: "NOT FOUND" }
  | { verb: "ERROR"; code: string; words: string };
