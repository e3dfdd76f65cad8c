// A browser at a tracker in memory, in bytes written from RFC 9112.

import type { MemoryTracker } from "./tracker.ts";

export interface Heard {
  status: number;
  headers: Headers;
  text: string;
}

/** What a tracker answers to one GET. */
export async function hear(
  house: MemoryTracker,
  path: string,
  { host = "127.0.0.1:1234", from = "192.168.1.50" } = {},
): Promise<Heard> {
  const guest = await house.connect({ from });
  guest.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const answer = (await guest.rest()).toString();
  guest.close();
  return readAnswer(answer);
}

/** An answer whose body is not in chunks. */
function readAnswer(answer: string): Heard {
  const end = answer.indexOf("\r\n\r\n");
  const [first = "", ...lines] = answer.slice(0, end).split("\r\n");
  const headers = new Headers(
    lines.map((line): [string, string] => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
  return { status: Number(first.split(" ")[1]), headers, text: answer.slice(end + 4) };
}
