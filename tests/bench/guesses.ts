// Guesses the key of a private room, each time from another address of loopback, in a process of its own. Only used by room.ts. Linux only.
//
//     bun tests/bench/guesses.ts PORT GUESSES AT_ONCE
//
// It prints "begin" after its first guess, and at the end one line of JSON.

import { randomBytes } from "node:crypto";
import { connect } from "node:tls";
import { type Certificate, newCertificate } from "../../lib/net/certificate.ts";
import { roomSecret } from "../../lib/program/room-key.ts";
import { RoomOpener } from "../../lib/protocol/room.ts";

/** A guess to which the tracker says nothing for this long is given up. Milliseconds. */
const PATIENCE_MS = 1000;

/** `in`: the tracker has shown the key, too. `wrong`: it has looked at the key. `waited`: it has not, within the time. */
export type Outcome = "in" | "wrong" | "waited" | "refused";

/** Shows a key from an address of loopback. Gives up after `patience` milliseconds. */
export function tryKey(port: number, from: string, tls: Certificate, secret: Uint8Array, patience: number): Promise<Outcome> {
  return new Promise((resolve) => {
    let opener: RoomOpener | undefined;
    let isShown = false;
    let text = "";
    const over = (outcome: Outcome) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    // The types of the runtime do not know `localAddress` here.
    const options = { host: "127.0.0.1", port, localAddress: from, ...tls, rejectUnauthorized: false };
    const socket = connect(options);
    const timer = setTimeout(() => over("waited"), patience);
    socket.on("secureConnect", () => {
      const binding = socket.exportKeyingMaterial(32, "EXPORTER-FileTracker-room", Buffer.alloc(0));
      opener = new RoomOpener({ secret, binding, random: randomBytes(32) });
      socket.write(opener.hello);
    });
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      const end = text.indexOf("\n");
      if (end < 0) return;
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      if (isShown) over(opener?.isProven(line) ? "in" : "refused");
      else socket.write(opener?.answer(line) ?? "");
      isShown = true;
    });
    socket.on("end", () => over(isShown ? "wrong" : "refused"));
    socket.on("error", () => over("refused"));
  });
}

if (import.meta.main) {
  const [port = 0, guesses = 0, atOnce = 0] = process.argv.slice(2).map(Number);
  const tls = newCertificate();
  const secret = roomSecret("not the key of this room");
  const count: Record<string, number> = {};
  let next = 0;
  const guess = async () => {
    while (next < guesses) {
      const i = next++;
      const from = `127.${1 + Math.floor(i / 65_536)}.${Math.floor(i / 256) % 256}.${i % 256}`;
      const outcome = await tryKey(port, from, tls, secret, PATIENCE_MS);
      count[outcome] = (count[outcome] ?? 0) + 1;
      if (i === 0) console.log("begin");
    }
  };
  await Promise.all(Array.from({ length: atOnce }, guess));
  console.log(JSON.stringify(count));
}
