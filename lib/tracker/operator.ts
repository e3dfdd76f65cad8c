// The operator's door to a running tracker: a socket in the file system that only this user can open. Nothing of it is on the network.

import { chmodSync, mkdirSync, unlinkSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { dirname, join } from "node:path";
import { FtError, sentenceOf } from "../error.ts";
import { userFolder } from "../files.ts";

const REQUEST_LIMIT = 4096;

const ANSWER_LIMIT = 4 * 1024 * 1024;

const ANSWER_MS = 5_000;

/** What an operator asks for. */
export interface Order {
  order: "status" | "kick" | "ban" | "unban" | "bans" | "notice";
  address?: string;
  /** How long a ban holds; without it, for good. */
  seconds?: number;
  words?: string;
}

/** What comes back: lines for a person, and the same for a script. */
export interface OrderResult {
  done: boolean;
  lines: string[];
  data?: unknown;
}

function doorOf(port: number): string {
  return process.platform === "win32" ? `\\\\.\\pipe\\filetracker-${port}` : join(userFolder("state"), `tracker-${port}.sock`);
}

export interface Door {
  close(): void;
}

/** Lets this user's orders in. Never fails: without a door the tracker does its work all the same; `failed` is told why. */
export function openDoor(port: number, obey: (order: Order) => OrderResult, failed: (reason: string) => void): Door {
  const path = doorOf(port);
  const server = createServer((socket) => {
    let text = "";
    socket.setEncoding("utf8");
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.length > REQUEST_LIMIT) socket.destroy();
      else if (text.endsWith("\n")) socket.end(`${JSON.stringify(obeyText(text, obey))}\n`);
    });
  });
  server.on("error", (error) => failed(sentenceOf(error)));
  try {
    if (process.platform !== "win32") {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      // The port is ours, so whoever had this door before is gone.
      removeDoor(path);
    }
    server.listen(path, () => {
      if (process.platform !== "win32") chmodSync(path, 0o600);
    });
    server.unref();
  } catch (error) {
    failed(sentenceOf(error));
  }
  return {
    close: () => {
      server.close();
      if (process.platform !== "win32") removeDoor(path);
    },
  };
}

function obeyText(text: string, obey: (order: Order) => OrderResult): OrderResult {
  try {
    return obey(JSON.parse(text) as Order);
  } catch (error) {
    return { done: false, lines: [sentenceOf(error)] };
  }
}

function removeDoor(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is not there.
  }
}

/** Gives an order to the tracker of this machine that listens on a port. Throws a sentence when there is none. */
export function giveOrder(port: number, order: Order): Promise<OrderResult> {
  return new Promise((resolve, reject) => {
    const fail = () =>
      reject(
        new FtError("no-tracker", `No tracker of yours listens on port ${port} of this machine. Name its port with --port.`),
      );
    const socket = createConnection(doorOf(port), () => socket.write(`${JSON.stringify(order)}\n`));
    let text = "";
    socket.setEncoding("utf8");
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error("no answer")));
    socket.on("error", fail);
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.length > ANSWER_LIMIT) socket.destroy(new Error("too long"));
    });
    socket.on("end", () => {
      socket.destroy();
      try {
        resolve(JSON.parse(text) as OrderResult);
      } catch {
        fail();
      }
    });
  });
}
