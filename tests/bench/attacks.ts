// What one address can do to a tracker, a holder or a downloader, in a process of its own. Only used by abuse.ts.
//
//     bun tests/bench/attacks.ts NAME '{"tracker":"10.77.0.1", …}'
//
// It prints "begin" when all is prepared, attacks for `seconds`, and prints one JSON object of what it did. Everything here is
// written from the protocol's text; a socket that takes no more is waited for, and every round of a connection ends with a pause,
// so that this process sends what one computer can send and leaves the processors to those whom it attacks.

import { readFileSync } from "node:fs";
import type { Socket } from "bun";
import { contentId, pieceLayer } from "../helpers/holder.ts";
import { bare, get, oneByOne, ticketFor } from "./attacks-web.ts";
import { Conn, counts, forever, PAUSE_MS, pour } from "./conn.ts";
import { equalHashes, nameOf } from "./made-up.ts";

export interface Orders {
  tracker: string;
  seconds: number;
  /** The address of the holder that is attacked. */
  holder?: string;
  /** Where this computer's further addresses begin: `10.77.1.` is 10.77.1.1, 10.77.1.2 … */
  own?: string;
  connections?: number;
  /** Peers and their records that fill the index. */
  peers?: number;
  records?: number;
  /** The content that invented holders have. */
  file?: string;
  name?: string;
  /** The connections say HELLO, but never share anything. */
  guests?: boolean;
  requests?: string[];
  /** Each request waits for the answer to the one before. */
  patient?: boolean;
}

const TRACKER_PORT = 1234;
const HOLDER_PORT = 1235;
/** A connection that was closed is opened again after this. Milliseconds. */
const AGAIN_MS = 20;
const GREETING = "HELLO FT/2 agent=attacker/1\n";

const encoder = new TextEncoder();

// ---------------------------------------------------------------- peers

function record(name: string, port: number, extra = ""): string {
  return `<${name},application/pdf,48213,22/11/26,10.0.0.1,${port};v=2;mtime=2026-11-22T10:04:05Z${extra}>`;
}

/** An accepted peer, and its pass. */
async function joined(port: number, records: string[], from?: string): Promise<{ conn: Conn; pass: string } | undefined> {
  const conn = await Conn.open(orders.tracker, TRACKER_PORT, from);
  if (conn === undefined) return undefined;
  const list = records.map((one) => `${one}\n`).join("");
  const welcome = conn.line(/^WELCOME/);
  await conn.send(`${GREETING}FILES ${records.length} port=${port}\n${list}`);
  const pass = / pass=(\S+)/.exec((await welcome) ?? "")?.[1];
  if (pass === undefined) {
    conn.reset();
    return undefined;
  }
  return { conn, pass };
}

async function joinedOrFail(port: number, records: string[], from?: string): Promise<{ conn: Conn; pass: string }> {
  const peer = await joined(port, records, from);
  if (peer === undefined) throw new Error("The tracker did not accept a peer.");
  return peer;
}

/** The record of a name, once its content id is known. */
async function rootOf(name: string): Promise<string> {
  const { conn } = await joinedOrFail(9, [record("asks.pdf", 9)]);
  for (let i = 0; i < 100; i++) {
    const answer = conn.line(/^<|^NOT FOUND/);
    await conn.send(`SEARCH: ${name}\n`);
    const root = /;root=([0-9a-f]{64})/.exec((await answer) ?? "")?.[1];
    if (root !== undefined) {
      conn.close();
      return root;
    }
    await Bun.sleep(100);
  }
  throw new Error(`${name} has no content id.`);
}

function lanes(count: number, lane: (index: number, until: number) => Promise<void>): Promise<unknown> {
  console.log("begin");
  const until = performance.now() + orders.seconds * 1000;
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      while (performance.now() < until) {
        await lane(index, until);
        await Bun.sleep(AGAIN_MS);
      }
    }),
  );
}

// ---------------------------------------------------------------- against a tracker

/** Fills the index, from 50 addresses, and stays. */
async function fill(): Promise<void> {
  const { peers = 1000, records = 5, own = "" } = orders;
  let next = 0;
  const held: Conn[] = [];
  const lane = async () => {
    for (let peer = next++; peer < peers; peer = next++) {
      const names = Array.from({ length: records }, (_, i) => record(nameOf(peer * records + i), 9));
      const from = `${own}${(peer % 50) + 1}`;
      const { conn } = await joinedOrFail(9, names, from);
      conn.deaf();
      conn.onLine = (line) => void (line.startsWith("ERROR") && console.error(line));
      held.push(conn);
      setInterval(() => void conn.send("PING\n"), 30_000);
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  console.log("begin");
  await Bun.sleep(600_000);
}

/** Connections that pour the same requests, as guests or as accepted peers; a connection that is closed comes back. */
async function requests(): Promise<void> {
  const { connections = 32, guests = false } = orders;
  const pieces = (orders.requests ?? []).map((piece) => encoder.encode(piece));
  const first = await Promise.all(Array.from({ length: connections }, (_, i) => enter(i)));
  async function enter(index: number): Promise<Conn | undefined> {
    if (!guests) return (await joined(9, [record(`one ${index}.pdf`, 9), record(`two ${index}.pdf`, 9)]))?.conn;
    const conn = await Conn.open(orders.tracker, TRACKER_PORT);
    await conn?.send(GREETING);
    return conn;
  }
  await lanes(connections, async (index, until) => {
    const conn = first[index] ?? (await enter(index));
    first[index] = undefined;
    await pour(
      conn,
      forever((round) => pieces[(round + index) % pieces.length] ?? ""),
      until,
      // One connection alone is as quick as its link.
      connections === 1 ? 0 : PAUSE_MS,
    );
  });
}

/** Renewed lists whose names are made of words that nobody has seen. */
async function words(): Promise<void> {
  const word = equalHashes();
  let number = 0;
  const list = () => {
    const names = Array.from({ length: 5 }, () => record(`${[0, 1, 2].map(() => word(number++ & 65_535)).join(" ")}.bin`, 9));
    return `FILES 5 port=9\n${names.join("\n")}\n`;
  };
  await lanes(orders.connections ?? 30, async (index, until) => {
    const conn = (await joined(9, [record(`one ${index}.pdf`, 9)]))?.conn;
    await pour(
      conn,
      forever(() => list().repeat(1) + list()),
      until,
      20,
    );
  });
}

/** Connections in the middle of their greeting, each of which is given up after a while and comes again. */
async function halfHandshakes(): Promise<void> {
  const beginnings = [
    "",
    "HEL",
    "HELLO FT/2 agent=x",
    GREETING,
    `${GREETING}FILES 5 port=9\n${record("a.pdf", 9)}\n<b`,
    "<a,b",
  ];
  await lanes(orders.connections ?? 64, async (index, until) => {
    const conn = await Conn.open(orders.tracker, TRACKER_PORT);
    await conn?.send(beginnings[index % beginnings.length] ?? "", until);
    for (let i = 0; i < index && conn?.closed === false && performance.now() < until; i++) await Bun.sleep(20);
    if (index % 2 === 0) conn?.close();
    else conn?.reset();
  });
}

/** Opens and closes as fast as it goes. */
async function connects(): Promise<void> {
  await lanes(orders.connections ?? 100, async (_, until) => {
    while (performance.now() < until) {
      const conn = await Conn.open(orders.tracker, TRACKER_PORT);
      await conn?.send("HELLO FT/2 agent=x\n", until);
      if (counts.connections % 2 === 0) conn?.close();
      else conn?.reset();
      await Bun.sleep(PAUSE_MS);
    }
  });
}

const NOISE = crypto.getRandomValues(new Uint8Array(32_768));
const RUBBISH: (string | Uint8Array)[] = [
  "x".repeat(32_768),
  NOISE,
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500),
  `${GREETING}FILES 1 port=0\n<a,b,c>\n`,
  `HELLO FT/2 agent=${"%00".repeat(10_000)}\n`,
  new Uint8Array(32_768),
  `${GREETING}FILES 99999999 port=9\n`,
  "DOWNLOAD:nothing.pdf,data,1\n",
  "HELLO FT/2 pass=e30.e30\n",
  "SEARCH: nothing\n",
];

/** What no program says, to the tracker or to the holder. */
async function rubbish(): Promise<void> {
  const at = orders.holder ?? orders.tracker;
  const port = orders.holder === undefined ? TRACKER_PORT : HOLDER_PORT;
  await lanes(orders.connections ?? 48, async (index, until) => {
    for (let round = 0; performance.now() < until; round++) {
      const conn = await Conn.open(at, port);
      const piece = RUBBISH[(index + round) % RUBBISH.length] ?? "";
      for (let i = 0; i < 8 && (await conn?.send(piece, until)); i++) await Bun.sleep(PAUSE_MS);
      conn?.reset();
      await Bun.sleep(PAUSE_MS);
    }
  });
}

/** Every connection from another address of one /64: they stay, and pour PING. */
async function net64(): Promise<void> {
  const { own = "", connections = 600 } = orders;
  const held = { now: 0, most: 0 };
  await lanes(connections, async (index, until) => {
    const conn = await Conn.open(orders.tracker, TRACKER_PORT, `${own}${(index + 1).toString(16)}`);
    if (conn === undefined) return;
    const list = `FILES 1 port=9\n${record(`six ${index}.pdf`, 9)}\n`;
    const welcome = conn.line(/^WELCOME/);
    await conn.send(GREETING + list);
    if ((await welcome) === undefined) return conn.reset();
    held.now += 1;
    held.most = Math.max(held.most, held.now);
    await pour(
      conn,
      forever(() => "PING\n".repeat(10)),
      until,
      100,
    );
    held.now -= 1;
  });
  Object.assign(counts, { held: held.most });
}

// ---------------------------------------------------------------- against a holder

async function atHolder(pass: string): Promise<Conn | undefined> {
  const conn = await Conn.open(orders.holder ?? "", HOLDER_PORT);
  if (conn === undefined) return undefined;
  const hi = conn.line(/^HI/);
  await conn.send(`HELLO FT/2 pass=${pass}\n`);
  if ((await hi) !== undefined) return conn;
  conn.reset();
  return undefined;
}

async function passes(count: number, port = 9): Promise<string[]> {
  const peers = await Promise.all(Array.from({ length: count }, (_, i) => joinedOrFail(port, [record(`mine ${i}.pdf`, port)])));
  for (const { conn } of peers) conn.deaf();
  return peers.map(({ pass }) => pass);
}

/** Asks for layers of a big file's hashes, the small ones at the top most of all: they are the most work for the fewest bytes. */
async function tree(): Promise<void> {
  const { connections = 1, name = "" } = orders;
  const root = await rootOf(name);
  const [pass = ""] = await passes(1);
  const layers = [28, 16, 28, 27, 28, 26, 22, 28].map((bits) => `TREE root=${root} piece=${2 ** bits}\n`);
  // A holder ends a connection with more than 64 requests waiting: after 40 more are sent, 20 are waited for.
  const batch = 40;
  const all = layers.join("").repeat(batch / layers.length);
  await lanes(connections, async (_, until) => {
    const conn = await atHolder(pass);
    if (conn === undefined) return;
    let answers = 0;
    conn.onLine = (line) => {
      if (line.startsWith("TREE")) answers += 1;
    };
    for (let sent = 0; performance.now() < until && (await conn.send(all, until)); ) {
      sent += batch;
      while (answers < sent - batch / 2 && !conn.closed && performance.now() < until) await Bun.sleep(PAUSE_MS);
    }
    conn.reset();
  });
}

/** FT/1 downloads by an address that is no peer, 830 a second. */
async function basic(): Promise<void> {
  const count = 24;
  await lanes(count, async (_, until) => {
    while (performance.now() < until) {
      const conn = await Conn.open(orders.holder ?? "", HOLDER_PORT);
      const from = performance.now();
      await conn?.send(`DOWNLOAD:${orders.name},data,1\n`, until);
      conn?.halfClose();
      // The holder has heard it and asks its tracker; the attacker does not wait for that.
      while (conn?.closed === false && performance.now() - from < 20) await Bun.sleep(5);
      conn?.reset();
      await Bun.sleep(Math.max(0, count / 0.83 - (performance.now() - from)));
    }
  });
}

/** Pours requests for next to nothing, by every id on a connection of its own, and for all hashes of the pieces. */
async function small(): Promise<void> {
  const { connections = 31, name = "" } = orders;
  const root = await rootOf(name);
  const own = await passes(Math.min(connections, 31));
  const nobody = root.replaceAll(/[0-9]/g, "a");
  const kinds = [
    `DOWNLOAD root=${root} offset=0 length=0\n`,
    `HAVE root=${root}\n`,
    `DOWNLOAD root=${nobody} offset=0\n`,
    `TREE root=${root} piece=${2 ** 16}\n`,
    `TREE root=${root} piece=${2 ** 20}\n`,
    "DOWNLOAD name=..%2fsecret\n",
    `DOWNLOAD root=${root} offset=65536 length=70000\n`,
    "WHAT\n",
  ];
  await lanes(connections, async (index, until) => {
    const conn = await atHolder(own[index % own.length] ?? "");
    if (conn === undefined) return;
    conn.deaf();
    await pour(
      conn,
      forever((round) => kinds.join("").repeat(4 + (round % 4))),
      until,
    );
    conn.reset();
  });
}

/** Ids of one address that download, the whole file or a byte at a time, and ask again at once. */
async function ids(length: number | undefined, pause: number): Promise<void> {
  const { connections = 32, name = "" } = orders;
  const root = await rootOf(name);
  const own = await passes(Math.min(connections, 31));
  const request = `DOWNLOAD root=${root} offset=0${length === undefined ? "" : ` length=${length}`}\n`;
  await lanes(connections, async (index, until) => {
    const conn = await atHolder(own[index % own.length] ?? "");
    if (conn === undefined) return;
    while (!conn.closed && performance.now() < until) {
      const answer = conn.line(/^FILE|^BUSY|^ERROR|^NOT/);
      await conn.send(request, until);
      const said = await answer;
      await Bun.sleep(said?.startsWith("BUSY") ? 500 : pause);
    }
    conn.reset();
  });
}

/** Peers of one address that ask a holder to connect to a port where nobody answers. */
async function callback(): Promise<void> {
  const silent = 4444;
  const peers = await Promise.all(Array.from({ length: 20 }, (_, i) => joinedOrFail(silent, [record(`me ${i}.pdf`, silent)])));
  for (const { conn } of peers) conn.deaf();
  let token = 0;
  await lanes(peers.length, async (index, until) => {
    await peers[index]?.conn.send(`CONNECT address=${orders.holder} port=${HOLDER_PORT} token=t${token++}x${index}\n`, until);
    await Bun.sleep(100);
  });
}

// ---------------------------------------------------------------- against a downloader

/** 96 holders on three addresses, with the right hashes, that send a byte now and then or say BUSY. */
async function holders(busy: boolean): Promise<void> {
  const { own = "", file = "", name = "" } = orders;
  const content = readFileSync(file);
  const root = contentId(content);
  const layers = new Map<number, Uint8Array>();
  const layerOf = (piece: number) => {
    const layer = layers.get(piece) ?? pieceLayer(content, piece);
    layers.set(piece, layer);
    return layer;
  };
  // The layer that every downloader of this file asks for.
  for (let piece = 65_536; piece <= 4 * 1024 * 1024; piece *= 2) layerOf(piece);
  const answer = async (conn: Conn, line: string) => {
    const number = (key: string) => Number(new RegExp(` ${key}=(\\d+)`).exec(line)?.[1] ?? 0);
    if (line.startsWith("HELLO")) await conn.send("HI FT/2\n");
    else if (line.startsWith("TREE")) {
      const layer = layerOf(number("piece"));
      await conn.send(`TREE: ${layer.length / 32}\n`);
      await conn.send(layer);
    } else if (line.startsWith("HAVE")) {
      const length = Math.ceil(Math.ceil(content.length / 65_536) / 8);
      await conn.send(`HAVE: ${length}\n`);
      await conn.send(new Uint8Array(length).fill(255));
    } else if (line.startsWith("DOWNLOAD") && busy) await conn.send("BUSY position=1\n");
    else if (line.startsWith("DOWNLOAD")) {
      const [offset, length] = [number("offset"), number("length") || content.length];
      await conn.send(`FILE: length=${length} size=${content.length}\n`);
      for (let at = offset; at < offset + length && !conn.closed; at += 140) {
        await conn.send(content.subarray(at, Math.min(at + 140, offset + length)));
        await Bun.sleep(100);
      }
    }
  };
  const heard = { asked: 0 };
  const extra = `;root=${root}`;
  await Promise.all(
    Array.from({ length: 96 }, async (_, index) => {
      const conns = new WeakMap<Socket, Conn>();
      const listener = Bun.listen({
        hostname: "0.0.0.0",
        port: 0,
        socket: {
          open(socket) {
            const conn = Conn.accept(socket);
            conns.set(socket, conn);
            let before = Promise.resolve();
            conn.onLine = (line) => {
              heard.asked += 1;
              Object.assign(counts, heard);
              before = before.then(() => answer(conn, line));
            };
          },
          data: (socket, chunk) => conns.get(socket)?.hear(chunk),
          drain: (socket) => conns.get(socket)?.drained(),
          close: (socket) => conns.get(socket)?.end(),
          end: (socket) => void socket.end(),
          error: (socket) => void socket.terminate(),
        },
      });
      const { port } = listener;
      const mine = `<${name},application/octet-stream,${content.length},22/11/26,10.0.0.1,${port};v=2;mtime=2026-11-28T10:04:05Z${extra}>`;
      const { conn } = await joinedOrFail(port, [mine], `${own}${(index % 3) + 1}`);
      conn.deaf();
    }),
  );
  console.log("begin");
  await Bun.sleep(orders.seconds * 1000);
}

/** A tracker that pours NOTICE at the peer that came to it. */
async function notices(): Promise<void> {
  const key = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url");
  const piece = encoder.encode(`NOTICE ${"the tracker moves at noon ".repeat(100)}\n`.repeat(20));
  const begun = Promise.withResolvers<void>();
  const until = performance.now() + 60_000;
  const conns = new WeakMap<Socket, Conn>();
  Bun.listen({
    hostname: "0.0.0.0",
    port: TRACKER_PORT,
    socket: {
      open(socket) {
        const conn = Conn.accept(socket);
        conns.set(socket, conn);
        conn.onLine = (line) => {
          if (line.startsWith("HELLO")) void conn.send(`HI FT/2 name=Other max=5 key=${key} you=10.77.0.2\n`);
          if (line.startsWith("FILES")) {
            void conn.send("WELCOME id=abcdef pass=e30.e30 peers=1 files=1\n").then(async () => {
              begun.resolve();
              await pour(
                conn,
                forever(() => piece),
                until,
              );
            });
          }
        };
      },
      data: (socket, chunk) => conns.get(socket)?.hear(chunk),
      drain: (socket) => conns.get(socket)?.drained(),
      close: (socket) => conns.get(socket)?.end(),
      end: (socket) => void socket.end(),
      error: (socket) => void socket.terminate(),
    },
  });
  console.log("listening");
  await begun.promise;
  console.log("begin");
  await Bun.sleep(orders.seconds * 1000);
}

// ---------------------------------------------------------------- by HTTP

/** Connections that pour bytes at the tracker as they are. */
const pages = () => {
  const { connections = 32, requests: pieces = [] } = orders;
  const at = { host: orders.tracker, port: TRACKER_PORT, pieces };
  return lanes(connections, (index, until) => (orders.patient ? oneByOne : bare)(at, index, until));
};

/** Connections that keep pages open and never read what comes. Each asks for another page. */
async function readers(): Promise<void> {
  await lanes(orders.connections ?? 32, async (index, until) => {
    const conn = await Conn.open(orders.tracker, TRACKER_PORT);
    const [page = "/"] = orders.requests ?? [];
    await conn?.send(get(`/live${page}${index}`));
    while (conn?.closed === false && performance.now() < until) await Bun.sleep(100);
    conn?.reset();
  });
}

/** Peers with slow watches, and one that adds and drops records that each of them looks at. */
async function watches(): Promise<void> {
  const watching = await Promise.all(Array.from({ length: 28 }, (_, i) => joinedOrFail(9, [record(`watch ${i}.pdf`, 9)])));
  for (const { conn } of watching) {
    conn.deaf();
    for (let i = 0; i < 16; i++) await conn.send(`WATCH watch=w${i} ${"e".repeat(100)}?x\n`);
  }
  const added = Array.from({ length: 50 }, (_, i) => `${"e".repeat(220)}${i}`);
  const piece = added.map((name) => `ADD ${record(name, 9, `;root=${"a".repeat(64)}`)}\nDROP ${name}\n`).join("");
  await lanes(3, async (index, until) => {
    const { conn } = await joinedOrFail(9, [record(`adds ${index}.pdf`, 9)]);
    await pour(
      conn,
      forever(() => piece),
      until,
    );
  });
}

/** Guests of a holder: each request has a ticket of this computer. TICKET in a request stands for path and ticket. */
async function guests(): Promise<void> {
  const { name = "", holder = "", connections = 32 } = orders;
  const root = await rootOf(name);
  const ticket = await ticketFor(orders.tracker, TRACKER_PORT, root, name);
  const pieces = (orders.requests ?? []).map((one) => one.replace("TICKET", ticket));
  await lanes(connections, (index, until) => oneByOne({ host: holder, port: HOLDER_PORT, pieces }, index, until));
}

/** The program slowhttptest with these options: it holds many connections with requests or answers that take as long as they may. */
async function slow(): Promise<void> {
  const url = `http://${orders.tracker}:${TRACKER_PORT}/`;
  const options = ["-c", "1000", "-r", "500", "-i", "1", "-l", String(orders.seconds + 4), "-p", "2", "-u", url];
  const program = Bun.spawn(["slowhttptest", ...(orders.requests ?? []), ...options], { stdout: "ignore", stderr: "inherit" });
  // It has its connections by then.
  await Bun.sleep(2000);
  console.log("begin");
  await program.exited;
}

export const ATTACKS = {
  slow,
  pages,
  readers,
  watches,
  guests,
  fill,
  requests,
  words,
  half: halfHandshakes,
  connects,
  rubbish,
  net64,
  tree,
  basic,
  ids: () => ids(undefined, 0),
  tiny: () => ids(1, 200),
  small,
  callback,
  trickle: () => holders(false),
  busy: () => holders(true),
  notices,
};

const orders: Orders = JSON.parse(process.argv[3] ?? "{}");

if (import.meta.main) {
  const attack = ATTACKS[process.argv[2] as keyof typeof ATTACKS];
  const finish = () => {
    console.log(JSON.stringify(counts));
    process.exit();
  };
  process.on("SIGTERM", finish);
  await attack();
  finish();
}
