// What one address can do by HTTP: to a tracker with a web page, and to a holder that serves guests. Only used by attacks.ts.

import { Conn, counts, forever, PAUSE_MS, pour } from "./conn.ts";

const encoder = new TextEncoder();

/** One request as a browser sends it. */
export function get(target: string, more = ""): string {
  return `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n${more}\r\n`;
}

/** Sends pieces to a new connection each time the last one was closed. They need no greeting. */
export async function bare(
  { host, port, pieces, pause = PAUSE_MS }: { host: string; port: number; pieces: readonly string[]; pause?: number },
  index: number,
  until: number,
): Promise<void> {
  const all = pieces.map((piece) => encoder.encode(piece));
  const conn = await Conn.open(host, port);
  await pour(
    conn,
    forever((round) => all[(round + index) % all.length] ?? ""),
    until,
    pause,
  );
}

/** The same, but each piece is sent when the answer to the one before has begun to come: what a browser may do. */
export async function oneByOne(
  { host, port, pieces }: { host: string; port: number; pieces: readonly string[] },
  index: number,
  until: number,
): Promise<void> {
  const conn = await Conn.open(host, port);
  for (let round = index; conn !== undefined && performance.now() < until; round++) {
    const before = counts.read;
    // The body before it may have no line end.
    const answer = conn.line(/HTTP\/1\.1 /);
    if (!(await conn.send(pieces[round % pieces.length] ?? "", until)) || (await answer) === undefined) break;
    if (counts.read === before) break;
  }
  conn?.reset();
}

/** The tracker's link to a holder of a content, with a ticket for this computer: its path and query. */
export async function ticketFor(tracker: string, port: number, root: string, name: string): Promise<string> {
  for (let i = 0; i < 100; i++) {
    const { headers } = await fetch(`http://${tracker}:${port}/get/${root}/${name}`, { redirect: "manual" });
    const location = headers.get("location");
    if (location !== null) return location.slice(location.indexOf("/get/"));
    await Bun.sleep(200);
  }
  throw new Error("The tracker sends no guest to the holder.");
}
