// Describes the protocol of both programs in prose, and defines the type of every message. basic.ts writes and reads FT/1. Of FT/2, write.ts
// writes every message, read.ts reads what peers and trackers say, and read-transfer.ts what downloaders and holders say. Nothing in this
// folder knows a socket, a clock or a log: bytes in, messages out.
//
// There are two profiles on one port, by default 1234. FT/1 is the plain protocol of the programs of 2020. FT/2 is what ft-tracker and
// ft-peer speak with each other. A connection is FT/2 when its first line is `HELLO FT/2 …`; otherwise it is FT/1.
//
// Both profiles
//
// A peer registers records with a tracker, one for each file that it shares: file name, MIME type (old programs write `data` when they
// do not know it), size in bytes, date of last modification (DD/MM/YY, the holder's local time), address, port. A peer shares one to
// five files, unless the tracker's operator allows more. A peer that shares nothing is not accepted: it gets no answer, and the tracker
// closes. Only accepted peers are served, by the tracker and by other peers. BYE, or the loss of a peer, removes its records at once.
//
// FT/1
//
// Names are not escaped. A message has no end of its own: it ends at a newline, at the end of the stream, or after 50 ms of silence. One
// exchange a connection. `HELLO` is answered as soon as its five bytes are there and no more follow.
//
//     peer → tracker   HELLO                          tracker → peer   HI                  (two bytes)
//     peer → tracker   <name,type,size,DD/MM/YY,IP,port>\n   once per file; then the peer closes, and nothing is answered
//     peer → tracker   SEARCH: name                   tracker → peer   FOUND: <type,size,DD/MM/YY,IP,port>\n…  or  NOT FOUND; then a close
//                      (`SEARCH name` is read too; spaces around the name do not count)
//     peer → tracker   BYE                            every FT/1 peer of that address is removed, and nothing is answered
//     peer → peer      DOWNLOAD:name,type,size        peer → peer      FILE: + the bytes, then the end of the stream
//     peer → peer      DOWNLOAD name                  peer → peer      FILE: + one space + the bytes
//
// A list may arrive in several parts, which the tracker joins. It refuses the whole list when that gets longer than the limit. An FT/1
// peer holds no connection, so the tracker tries its port by connecting and closing: first after 30 s, then every minute. Two failures
// in a row remove the peer. SEARCH is answered, and DOWNLOAD is served, if the tracker knows the source address as that of an accepted
// peer of either profile; the holder asks its tracker with KNOWN, and may remember a YES for 30 s. A holder that does not have the file
// says NOT FOUND; one that does not serve the downloader closes.
//
// ft-peer takes a tracker for one of FT/1 when the tracker does not answer HELLO FT/2 within 1 s, then answers HI to the bare HELLO on a
// second connection, and still has not answered HELLO FT/2 after 4 s. ft-peer says HELLO FT/2 again later. A tracker that announced itself
// or has spoken FT/2 before is never taken for one of FT/1. FT/1 has no escapes, so a name with control characters in it is never sent. An
// old tracker forgets a whole list that has a name in it with other characters than letters, `.`, `_`, `-` and space, so such files are
// left out. Our peer meets an FT/1 holder, whose record has no v=2: it sends DOWNLOAD:, and checks the size, as there is no hash.
//
// FT/2
//
// UTF-8 lines ending in LF (CR LF is read too), with the LF at most 4096 bytes. `VERB arg … key=value …`, one space between. A file name
// has at most 255 bytes of UTF-8. `% , ; < >` and control characters are written %XX, in values the space too. Names in SEARCH and DROP
// are the rest of the line. A line has at most 64 words with `=`, a record at most 64 attributes. Raw bytes follow a line only where this text
// says so. Unknown keys are ignored, unknown verbs are answered
// with ERROR unknown-verb. Requests may be pipelined; replies come in their order. After a line that breaks the grammar or a limit comes
// ERROR code words, and a close. The words of ERROR and NOTICE are the rest of the line, for a person; only control characters in them
// are escaped.
//
// A record is <name,type,size,DD/MM/YY,address,port;v=2;mtime=…;root=…;files=…;list=…;part=1;have=…;whole=1;only=…;reach=no;holders=…;id=…;fp=…;by=…;offer=…;say=…>.
// Everything behind the port is optional:
//     v=2        the holder speaks FT/2
//     mtime      exact time of last modification, ISO 8601 UTC
//     root       the content id, 64 hex digits; absent until it is computed
//     files      of a folder: how many files are in it
//     list       of a folder: the length of its list in bytes; absent until its root is computed
//     part=1     the holder is still fetching the file, and serves the pieces that it has
//     have       only with part=1: how much of the file the holder has, in whole per cent. It says so by ADD, every few seconds at most
//     whole=1    only with part=1: the holder has all pieces. It fetched the file when its list was full, so that the file does not count
//     only       a token: the record is shown only to its holder, and to peers that were told this token
//     reach=no   said by trackers alone: the tracker could not connect to the holder
//     holders    said by trackers alone, with group=1: how many peers have the whole of this content
//     by         said by trackers alone: the name of the holder
//     offer      said by trackers alone: the holder offers this to the receiver; the holder's token for the offer
//     say        said by trackers alone, with offer: the words of the holder's person
//     id         said by trackers alone, where several peers have this address and port: the id of the holder
//     fp         said by trackers alone, in a private room: the fingerprint of the holder's certificate
//
//     peer → tracker, one connection for as long as the peer is online
//       HELLO FT/2 agent=… extras=1 offers=1 session=… challenge=… key=… name=… home=…
//                                     → HI FT/2 name=… max=… key=… you=… announced=yes|no results=… proof=… nonce=… guests=yes offers=yes group=…
//       FILES n port=p proof=… guests=yes, n records   → WELCOME id=… pass=… peers=… files=… session=… now=… keyed=… name=…   (later again: a new list, new passes)
//                                       n = 0 is not answered; n > max is ERROR too-many-files. p is the port of all its records.
//       ADD <record>  ·  DROP name    → OK  ·  NOT FOUND (no such record)  ·  ERROR last-file (the last file stays)
//                                       A record with part=1, and with whole=1 too, comes by ADD only. It does not count among the files of the peer.
//                                       A record with a value that the tracker does not take (date, size, name …) is left out of
//                                       FILES, with a NOTICE; ADD of one is answered with ERROR. The connection goes on.
//       SEARCH: name                  → FOUND: n, n records  ·  NOT FOUND
//       LIST id=… root=… offset=… limit=…  → the same; of one peer, of one content, or everything
//       LIST offers=1 offset=… limit=…     → the same; what is offered to this peer
//       FIND word… ext=… type=… min=… max=… after=YYYY-MM-DD before=YYYY-MM-DD root=… offset=… limit=… group=1
//                                     → FOUND: n total=m, n records  ·  NOT FOUND  ·  ERROR bad-find
//                                       Best first, records of one content together; with group=1 one record for each content. A `=`
//                                       in a word is written %3D. Words and filters must all fit. A word is found anywhere in a name,
//                                       whatever its case and accents; `*` and `?` are wildcards, `-word` excludes.
//       WHO offset=… limit=…          → PEERS: n, n lines id=… address=… port=… files=… bytes=… agent=… since=… reach=yes|no name=… offers=yes
//       WATCH watch=… name=… word… ext=… type=… min=… …   → OK  ·  ERROR too-many-watches  ·  ERROR bad-find
//                                       Tell this peer when a file appears that fits the words and filters, as in FIND, or has this name.
//                                       watch= is a token that the peer makes up; a token that it has used replaces that watch.
//       UNWATCH watch=…               → OK  ·  NOT FOUND
//       OFFER offer=… root=… to=all|id,id,… say=…   → OK  ·  ERROR no-such-file  ·  ERROR too-many-offers  ·  ERROR muted
//                                       Offer a content that this peer has to everybody, or to the peers with these ids. offer= is a token
//                                       that the peer makes up; a token that it has used replaces that offer. say= has 200 bytes at most.
//       DECLINE offer=…               → OK  ·  NOT FOUND   (this peer's person does not want what was offered to it under this token)
//       KNOWN address                 → YES  ·  NO   (whether an accepted peer has this address)
//       CONNECT address=… port=… token=… id=…   → OK  ·  NOT FOUND (no such peer)  ·  ERROR too-many-connects
//       PING                          → PONG
//       BYE                           → BYE, close
//     tracker → peer, between replies (a peer ignores lines that it does not know there: they are for later versions)
//       NOTICE words
//       REACH yes  ·  REACH no reason=…    whether the tracker could connect to the peer's port, tried once after it joined
//       CONNECT address=… port=… token=… fp=…   another peer asks to be connected to
//       DISMISSED kicked|banned|stopping until=…   the tracker closes this connection. The operator has disconnected the peer, or keeps it out,
//                         until that time (ISO 8601 UTC; absent: for good), or the tracker is stopping. Only to a peer that said name=;
//                         others get a NOTICE.
//       APPEARED watch <record>  ·  APPEARED watch more=n   a record that this watch fits, or the number of records that are not said
//       GROUP tracker tracker …   the other trackers of this group, each KEY@ADDRESS:PORT,ADDRESS:PORT@AHEAD; they replace those said before
//       HOME              this peer is a guest: it is asked to go back to the tracker that it came from
//       OFFERED <record>  ·  OFFERED more=n   a peer offers this; or the number of offers that are not said. Only to a peer that said offers=1
//       DECLINED offer=… id=…   the peer with this id does not want what this peer offers: once for each peer and offer
//       REVOKED id,id,…   the operator has disconnected these peers: their passes are not valid any more; only to a peer that said key=
//     peer → peer
//       HELLO FT/2 pass=… keyed=…     → HI FT/2  ·  PROVE nonce=…  ·  ERROR not-accepted, close
//       PROOF address=… port=… proof=…   → HI FT/2  ·  ERROR not-accepted, close   (only after PROVE)
//       DOWNLOAD root=…|name=… offset=… length=…   → FILE: length=n size=total, n raw bytes  ·  BUSY position=k  ·  NOT FOUND  ·  ERROR
//       TREE root=… piece=bytes       → TREE: n, n × 32 raw bytes  ·  NOT FOUND  ·  ERROR
//       HAVE root=…                   → HAVE: n, n raw bytes  ·  NOT FOUND
//       DOWNLOAD folder=… offset=… length=… · TREE folder=… · HAVE folder=…   → the same of a folder's bytes
//       DATES folder=…                → DATES: n, n raw bytes  ·  NOT FOUND
//       BYE                           → close
//
// Later additions go only to a peer that said extras=1: announced=, offers= in HI and WHO, results= (the most records in an answer, if that is not 2000) and
// session= and now= of the tracker, total= in FOUND, reach= in records and WHO. A peer that says the session of an earlier WELCOME takes the
// place of that connection, so that nobody is online twice. A peer that overhears a session must not take it. A peer makes an Ed25519
// key for each run and says its public half as key= (base64url); the tracker's HI then has a nonce=, and FILES proves the session by
// proof=, the base64url signature of the words `session`, nonce and session, a space between. A peer without a key can take its place
// only from the same address; from another one it joins as a new peer.
//
// A peer may have a name, which a person chose. It is a label: it proves nothing, and anybody may have it tomorrow. A peer asks for one by
// name= in its HELLO. The tracker makes it one line of at most 64 bytes without invisible characters; a text that reads as an address is no
// name. Of the peers online no two have one name, in whatever case: the second `Ben` becomes `Ben (2)`. The WELCOME says the name that the
// peer got; while it is online it keeps that name, and a peer that takes the place of its own lost connection keeps it, too. name= in
// WELCOME and WHO and by= in records go only to a peer that said name=, which may be empty. A receiver makes the names harmless again.
//
// A watch lives as long as the connection, so a peer that comes back asks again. It tells of a content once, when the first whole record of
// it comes that fits, and never of the peer's own records. A record of an FT/2 holder counts as soon as it has its root. A peer has 16
// watches at most. A watch needs a name, a root, a word with a letter in it, an extension, or a type with its `/`. A peer gets five
// APPEARED with a record a second; then comes, a second later, one with the number of the others, and the peer asks with FIND what they are.
//
// An offer moves no byte of the file: the receiver fetches it if its person, or a setting of its person, wants that. An offer lives as long as the
// connection of its maker, so a peer that comes back makes its offers again, with the same tokens and under the same ids as far as these are
// still right. A receiver takes an offer of a token and a root once. An offer to all is told to those that join later, too; one to some to
// the peers of these ids when they come back with their ids. A peer makes 20 offers a minute, and a host 60; to change only the receivers of
// an offer does not count. A peer has the last 20 of its offers. It gets five APPEARED and OFFERED with a record a second together; then comes,
// a second later, the number of the others, and it asks LIST offers=1. The operator may mute a peer: nobody is told of its offers.
//
// A record with only= is in no answer, count or push to a peer that was not told its token, nor in the operator's lists, nor in any answer to
// FT/1. An offer of such a record to some tells these peers the token. A peer that fetches from such a record says only= in its own record
// of the content; with that it is told the token, so that the holders find each other when the tracker was restarted. A peer says such records only to a tracker
// whose HI has offers=yes: an older one would show them to everybody. A holder does not serve such a file by its name, only by its root.
//
// A tracker refuses an address that its operator keeps out before it reads a byte: ERROR banned, or ERROR kicked for the minute after a
// kick. The words of both have the end in them, ISO 8601 UTC, if there is one. A peer waits for it before it comes back.
//
// The connection is the peer's presence. A peer pings after 45 s of silence; the tracker removes a peer after 90 s without a byte. A peer
// must be accepted within 10 s of connecting. Requests before FILES are not answered, and the eleventh is ERROR not-accepted, close. A
// tracker takes 50 requests a second of a peer, after a pause 200 at once; the others wait. It works for one host as for eight such
// peers: a request counts there by the length of its line and of its answer, and by the records that it makes the tracker read or change. A host is an
// IPv4 address or an IPv6 network of 64 bits. A host whose FINDs take long waits longer for the next one, and a FIND of more than 500 ms
// is ERROR bad-find; the tracker counts that time by the names that it reads, so that it is the same on a busy computer. An answer has 200 records unless the request says otherwise, and never more than 2000. A tracker that answered `HELLO` with `HI`, and then sees ` FT/2 …` follow,
// completes its line: the bytes are the same however they were cut. A peer that loses its tracker goes on with its transfers, and comes
// back with the same list: first within 1 s, then at growing random intervals of at most 30 s. In an answer with records or peers, a peer
// leaves out and counts a line that it cannot read: it is another peer's. A line that breaks the grammar of lines ends the connection.
//
// A tracker publishes only addresses that it saw: a record's address is the source address of its peer's connection, without a zone. A
// peer that is told a link-local address uses the zone of its own interface. If the source is loopback, a peer on another machine is told
// the tracker's own address on that peer's connection.
//
// A pass proves to other peers that the tracker accepted this one: base64url(payload).base64url(Ed25519 signature). The payload is
// peer id, address and expiry (seconds since 1970), a space between. Peers check it with the key from HI. It is good only from the
// address in it, by the tracker's clock; a loopback address in it stands for the tracker's machine. It lives ten minutes, and a peer gets
// a new one by FILES before that; now= is the tracker's time (seconds since 1970). A holder refuses the passes of revoked ids, and closes
// their connections. The first bytes that a peer sends to an address from a record are constant up to the pass.
//
// A holder may see another address than the tracker: behind a router or a virtual machine that translates addresses, on a machine with
// several networks, or by IPv6 where the tracker is reached by IPv4. So a peer that said extras=1 and key= gets a keyed pass, too: keyed=
// in the WELCOME has the peer's public key in place of the address. A peer shows both passes. A holder to which the address is not the
// one in the pass answers HELLO with PROVE and a nonce of 16 to 64 letters, digits, `-` and `_`. The peer answers with PROOF: the address
// and port of the holder's record, and the base64url signature, by its session key, of the words `pass`, the nonce and `address:port` (IPv6 in
// brackets), a space between. The holder accepts it if the address and port are its own, so that one holder cannot use the proof at
// another. Requests that come before the PROOF are answered after it. A holder that does not know keyed= refuses as before.
//
// A peer knows a tracker again by its key. Anybody can say the key of another, so a peer that found the tracker by its announcement makes
// up a challenge of 16 to 64 letters, digits, `-` and `_`, and the tracker proves that it has the private key: proof= is the base64url
// signature of the word `challenge`, a space, and the challenge. A tracker keeps its key when it is restarted.
//
// Guests. A tracker with a web page may let people without ft-peer download. Then its HI says guests=yes to a peer that said extras=1,
// and a peer that agrees says guests=yes in FILES. A connection to the tracker or to such a peer whose first word is GET or HEAD is
// HTTP/1.1; otherwise that word is not answered. The page sends a guest to http://HOLDER:PORT/get/ROOT/NAME?t=TICKET. A ticket is signed
// like a pass. Its payload has four words, a space between: `guest`, the guest's address, the content id, and the expiry (seconds since
// 1970, ten minutes later). The holder checks all of them; a loopback address stands for the tracker's machine, as in a pass. The ROOT of a
// folder is good for each file in it: /get/ROOT/NAME/PATH.
//
// root is the SHA-256 Merkle root over blocks of 16 KiB that BitTorrent v2 calls pieces root (BEP 52). The hashes of the blocks are the
// leaves; 32 zero bytes pad the tree to a power of two; an empty file has the SHA-256 of nothing. Two files with one root are one
// content, whatever their names. A piece is a power of two of blocks, from 64 KiB to 4 MiB, so that a file has about 4096 pieces at most
// (`pieceSizeOf`). TREE gives the hashes of pieces of one size; it may ask for larger pieces, too. HAVE gives a bit for each piece that
// the holder has verified: bit 7 of byte 0 is piece 0. A whole file is all ones; spare bits mean nothing.
//
// DOWNLOAD without length goes to the end. If the part is not verified here yet, the answer is ERROR not-here. BUSY: all upload slots are
// taken, and position is the place in the queue. A downloader that asks again every second or so keeps its place, and gets a slot when
// one is free. While others wait, a slot goes to the next after ten seconds, or after two seconds with few bytes. While other addresses
// are served too, one address gets one slot, so that any number of ids brings it no more. A holder that cannot go on inside a body
// closes: the downloader learns it from the short body.
//
// Folders. The record of a folder has the type inode/directory, the size of all its files, files= (how many they are), and as its root the
// content id of its list, which is fetched like a file (folder.ts has its grammar). FT/1 peers see no such record. folder= in a request
// names the list, and means the bytes of the folder's files, one behind the other: first the files below 1 MiB, then the others, both in
// the order of the list. Small files are joined into packs: a pack takes the next file while it has at most 1024 files with it, and at
// most the bytes of a pack of this folder. These are 256 KiB, doubled while 256 such packs are less than the folder's size, but at most
// 4 MiB. A longer file is a pack of its own. Other files are cut into pieces of 1 MiB, or of `pieceSizeOf` if that is more. The hash of a
// pack is the SHA-256 of the content ids of its files, each 32 bytes; that of a piece is its hash in the tree of its file. TREE folder=
// gives the hashes of all packs and pieces, HAVE folder= a bit for each. DATES gives lines of the milliseconds since 1970, a space, and a
// path, for files and folders (which end in `/`; the folder itself is `/`). They are only a hint: a line that cannot be read is left out.
// A file that has the bytes of a list has its root, too, as an empty file has that of an empty folder. They are different contents.
//
// Connect-back, for a holder behind a firewall. The downloader makes up a token, and sends its tracker CONNECT with the holder's address
// and port. The tracker sends the holder CONNECT with the address that it sees of the downloader and the port of the downloader's
// records. The holder dials there and says HELLO FT/2 token=…. From then on it is as if the downloader had dialled: it says
// HELLO FT/2 pass=…, and asks. A token has 1 to 64 letters, digits, `-` and `_`. Where several peers have one
// address and port, as behind a router, a connection to it reaches any of them or none: then the records have id=, CONNECT names the holder
// by it, and the downloader does not dial. A token is good once, for a few seconds, with the peer that
// made it up. A holder dials only its own networks and peers that its tracker lists.
//
// Groups. Trackers that were started with one group= name take over from each other. HI says the name to a peer that said extras=1, and
// GROUP tells it the keys and addresses of the others: after the WELCOME, and again when they change. A peer whose tracker is gone for 5 s
// joins one of them, with its records, and says home= there, the key of its own tracker. The new tracker must prove that it has the key that
// was told. The peer goes on trying its own tracker only when it loses the other one, or when HOME asks it to go back. Trackers of a group
// may share one index, too. Then GROUP has AHEAD behind the addresses: the time in the passes of that tracker minus the time of the one
// that says it, in whole seconds. A holder takes passes that such a tracker signed. Loopback in such a pass stands for a machine that the
// holder does not know, so it asks for the proof of the keyed pass. A peer that says the session of an earlier tracker of such a group,
// and proves it by its key, keeps its id.
//
// A tracker announces itself by DNS-SD as _filetracker._tcp, with version=, id=, key= and group= in its TXT record (tracker/system/announce.ts). By the key a
// peer finds a tracker that has moved; only its proof shows that it is the same one.
//
// Private rooms. The tracker of a private room speaks TLS 1.3 on its port and nothing else, and so does each peer in it. Everything above goes
// inside TLS; FT/1 does not. Both sides of each connection show a certificate. Nobody believes it: it carries a P-256 key and says nothing
// about its holder. A peer makes one for each run, and uses it at the tracker, as a holder and as a downloader. The tracker keeps its
// own. A fingerprint is the SHA-256 of a certificate (DER), 64 hex digits. Before HELLO, the two prove to each other that they know the room's key:
//
//     peer → tracker   ROOM FT/2 share=…     64 hex digits: the peer's CPace share
//     tracker → peer   ROOM share=…          64 hex digits: the tracker's
//     peer → tracker   ROOM proof=…          128 hex digits: the peer's tag
//     tracker → peer   ROOM proof=…          128 hex digits: the tracker's; then the peer says HELLO
//
// CPace is that of draft-irtf-cfrg-cpace-21 with X25519 and SHA-512. PRS is 32 bytes of scrypt (N = 32768, r = 8, p = 1, salt
// `FileTracker private room`) of the key in UTF-8: in NFKC, in lower case, with one space for white space and none at its ends. CI is
// `FileTracker FT/2 private room`. sid is 32 bytes of the TLS exporter (RFC 8446, section 7.5) with the label `EXPORTER-FileTracker-room`
// and no context, so that a proof is good on its own connection alone. ADa is `peer`, ADb is `tracker`. The tags are those of the draft's
// section 10.4, with HMAC-SHA-512. A side that is not convinced closes, without a word. The tracker looks at five wrong keys a minute of a
// host, and at 30 in all, of which 10 are for hosts that were never wrong. Beyond that a guest waits for its turn, and is closed ten
// seconds after it came. An address that has shown the key waits only because of its own wrong ones.
//
// The tracker writes the fingerprint that it saw as fp= into the records of a peer, and into CONNECT to a holder. The payloads of its passes
// have a fourth word, fp= and the fingerprint. Before a downloader sends a byte to a holder, it compares the certificate with the record; a
// holder compares the downloader's with the pass, and with the fp= of CONNECT before it says a token. A peer that has entered a room once
// remembers the fingerprint of its tracker, and sends nothing to another one there. It never speaks to a room that it knows without TLS.
// A room answers plain bytes with an alert of TLS (21, 3). By that a peer learns that an unknown tracker is a room; if it may get into one, it
// asks by a HELLO without key= and name=, on a connection of its own.
// DNS-SD announces a room with room=1, without key= and under a name that all rooms have. The tracker's name comes in its HI.

import type { Address, Endpoint } from "./address.ts";
import type { GroupTracker } from "./group.ts";
import type { FileName, FileRecord } from "./record.ts";

export type Profile = 1 | 2;

/** A page of a long answer. */
export interface Page {
  offset: number;
  limit: number;
}

/**
 * The words and filters of FIND. All of them must fit. write.ts sends them, read.ts reads them. In lib/tracker/, words.ts compares names
 * with words, fit.ts compares records with filters, and find-columns.ts has the values that filters read. A person types a filter as an
 * option of ft-peer: lib/peer/options.ts and lib/peer/arguments.ts.
 */
export interface Wish extends Page {
  words: string[];
  /** Extensions without the dot before them, such as `pdf` or `tar.gz`. The name must end in one of them. */
  ext?: string[] | undefined;
  /** The beginning of the MIME type. */
  type?: string | undefined;
  /** The size in bytes, both ends included. */
  min?: number | undefined;
  max?: number | undefined;
  /** The day of last modification, `YYYY-MM-DD`, both ends included. */
  after?: string | undefined;
  before?: string | undefined;
  root?: string | undefined;
  /** One record for each content. */
  group: boolean;
}

/** The files that a peer watches for: the words and filters of FIND, or an exact name. */
export interface Watch extends Omit<Wish, keyof Page> {
  /** The peer's own token for it. */
  watch: string;
  name?: FileName | undefined;
}

/** A content that a peer offers to others. */
export interface Offer {
  /** The peer's own token for it. */
  offer: string;
  root: string;
  /** Everybody, or the ids of the receivers. */
  to: "all" | string[];
  /** The words of its person, or "". */
  say: string;
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
  /** A label that a person chose. No two peers online have the same. */
  name?: string | undefined;
  /** It wants to be told of offers. */
  offers?: boolean | undefined;
}

/** A peer to connect to, and the token to say there. */
export interface CallBack extends Endpoint {
  token: string;
  /** In a private room: the fingerprint of the certificate of the peer there. */
  fingerprint?: string | undefined;
}

/** Why a record is not taken. The words are for a person. */
export interface Unfit {
  code: string;
  words: string;
}

/**
 * The messages of a peer to its tracker. The tracker answers them in tracker/accepted.ts. The compiler asks for a new message there and in
 * write.ts, and not in read.ts, where a verb without a case is UNKNOWN.
 */
export type ToTracker =
  | { verb: "HELLO"; profile: 1 }
  /** `extras`: the peer knows the additions of later versions. `session`: from its earlier WELCOME. `challenge`: to be signed. */
  | {
      verb: "HELLO";
      profile: 2;
      agent: string;
      extras?: boolean | undefined;
      /** The peer wants to be told of offers. */
      offers?: boolean | undefined;
      session?: string | undefined;
      challenge?: string | undefined;
      /** The public key of the peer's session. */
      key?: string | undefined;
      /** The name that the peer asks for; "" asks for none. A peer that says it knows the names of others. */
      name?: string | undefined;
      /** The key of the tracker that this peer came from, when it is the guest of another one of its group. */
      home?: string | undefined;
    }
  | { verb: "FILES"; profile: 1; records: FileRecord[] }
  /** `unfit`: how many of its records were left out, and why the first of them. */
  | {
      verb: "FILES";
      profile: 2;
      port: number;
      records: FileRecord[];
      proof?: string | undefined;
      /** It serves the guests of the tracker's web page. */
      guests?: boolean | undefined;
      unfit?: (Unfit & { count: number }) | undefined;
    }
  | { verb: "ADD"; record: FileRecord }
  /** An ADD whose record cannot be read. */
  | ({ verb: "UNFIT" } & Unfit)
  | { verb: "DROP"; name: FileName }
  | { verb: "SEARCH"; name: FileName }
  /** `offers`: the records that others offer to this peer. */
  | ({ verb: "LIST"; id?: string | undefined; root?: string | undefined; offers?: boolean | undefined } & Page)
  | ({ verb: "FIND" } & Wish)
  | ({ verb: "WHO" } & Page)
  | ({ verb: "WATCH" } & Watch)
  | { verb: "UNWATCH"; watch: string }
  | ({ verb: "OFFER" } & Offer)
  | { verb: "DECLINE"; offer: string }
  | { verb: "KNOWN"; address: Address }
  /** `id`: that of the holder, where several peers have its address and port. */
  | ({ verb: "CONNECT"; id?: string | undefined } & CallBack)
  | { verb: "PING" }
  | { verb: "BYE" }
  | { verb: "UNKNOWN"; word: string };

/**
 * The messages of a tracker to a peer: replies, and those of `Push`. peer/online/requests.ts takes most replies, peer/online/session.ts takes
 * the others and every `Push`.
 */
export type FromTracker =
  /** `announced`: it can be found by DNS-SD. `results`: the most records in an answer. Undefined: the tracker does not say. */
  | {
      verb: "HI";
      name: string;
      max: number;
      key: string;
      you: Address;
      announced?: boolean | undefined;
      results?: number | undefined;
      /** Its web page lets guests download from peers that agree. */
      guests?: boolean | undefined;
      /** The signature of the peer's challenge, base64url. */
      proof?: string | undefined;
      /** A text that the peer signs with its session key. */
      nonce?: string | undefined;
      /** The group of trackers that it belongs to. */
      group?: string | undefined;
      /** The tracker passes offers on, and shows a record with `only` to its circle alone. */
      offers?: boolean | undefined;
    }
  /** `now`: the tracker's time, seconds since 1970. `name`: the name that the peer got. */
  | {
      verb: "WELCOME";
      id: string;
      pass: string;
      session?: string | undefined;
      peers: number;
      files: number;
      now?: number | undefined;
      /** A pass that is good from every address, for the peer that has the private half of its session key. */
      keyed?: string | undefined;
      name?: string | undefined;
    }
  | { verb: "OK" }
  /** `total`: the number of all records that fit; `records` may be a page of these. `unread`: unreadable lines that were left out. */
  | { verb: "FOUND"; records: FileRecord[]; total?: number | undefined; unread?: number }
  | { verb: "NOT FOUND" }
  | { verb: "PEERS"; peers: PeerLine[]; unread?: number }
  | { verb: "YES" }
  | { verb: "NO" }
  | { verb: "PONG" }
  | { verb: "BYE" }
  | { verb: "ERROR"; code: string; words: string }
  | { verb: "NOTICE"; words: string }
  | { verb: "REACH"; reachable: boolean; reason: string }
  | ({ verb: "CONNECT" } & CallBack)
  | { verb: "REVOKED"; ids: string[] }
  /** `more`: this number of records is not said; then there is no record. */
  | { verb: "APPEARED"; watch: string; record?: FileRecord; more?: number }
  /** `more`: this number of offers is not said; then there is no record. */
  | { verb: "OFFERED"; record?: FileRecord; more?: number }
  /** The peer with this id does not want what was offered. */
  | { verb: "DECLINED"; offer: string; id: string }
  | ({ verb: "DISMISSED" } & Dismissal)
  /** The other trackers of the group. They replace those of an earlier message. */
  | { verb: "GROUP"; trackers: GroupTracker[] }
  /** The tracker asks its guest to go back to the tracker that it came from. */
  | { verb: "HOME" }
  | { verb: "UNKNOWN"; word: string };

/** Why a tracker closes the connection of a peer. `until`: it takes the peer back then. Milliseconds since 1970. */
export interface Dismissal {
  code: "kicked" | "banned" | "stopping";
  until?: number | undefined;
}

/** A message that a tracker sends without a request. */
export type Push = Extract<
  FromTracker,
  { verb: "NOTICE" | "REACH" | "CONNECT" | "REVOKED" | "DISMISSED" | "APPEARED" | "OFFERED" | "DECLINED" | "GROUP" | "HOME" }
>;

/**
 * The messages of a downloader to a holder. peer/fetch/source.ts sends them, peer/serve/downloader.ts and peer/serve/answers.ts answer them. A
 * requested name may be any text: a name that is not on the holder's list is not found.
 */
export type ToHolder =
  /** From a downloader with a pass. From a holder that was asked to connect back, with a token. */
  | { verb: "HELLO"; pass: string; keyed?: string | undefined; token?: string | undefined }
  /** The answer to PROVE: the address and port of the holder's record, and the signature. */
  | ({ verb: "PROOF"; proof: string } & Endpoint)
  | { verb: "DOWNLOAD"; profile: 1; name: string; size?: number; spaced: boolean }
  | {
      verb: "DOWNLOAD";
      profile: 2;
      root?: string | undefined;
      /** The content id of a folder's list: the bytes of the folder's files are asked for, not those of the list. */
      folder?: string | undefined;
      name?: string | undefined;
      offset: number;
      length?: number | undefined;
    }
  | { verb: "TREE"; root: string; piece: number }
  | { verb: "TREE" | "HAVE" | "DATES"; folder: string }
  | { verb: "HAVE"; root: string }
  | { verb: "BYE" }
  | { verb: "UNKNOWN"; word: string };

export type FromHolder =
  | { verb: "HI" }
  /** The downloader must sign this text with its session key before it is accepted. */
  | { verb: "PROVE"; nonce: string }
  /** `length` raw bytes follow; the whole file has `size`. */
  | { verb: "FILE"; length: number; size: number }
  | { verb: "BUSY"; position: number }
  /** `count` hashes of 32 raw bytes follow. */
  | { verb: "TREE"; count: number }
  /** `length` raw bytes follow. */
  | { verb: "HAVE" | "DATES"; length: number }
  | { verb: "NOT FOUND" }
  | { verb: "ERROR"; code: string; words: string };
