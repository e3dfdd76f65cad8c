// Takes the operator's commands to a running tracker by a local socket: a file that only this user can open, not on the network.
// operator.ts carries the commands out.

import { chmodSync, existsSync, mkdirSync, unlinkSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { FtError, pathFault, sentenceOf } from "../../error.ts";
import { userFolder } from "../../files.ts";
import { printable } from "../../text.ts";
import type { Order, OrderResult } from "./orders.ts";

/** A longer order is refused. Characters. */
const ORDER_LIMIT = 4096;
/** A longer result is refused. Characters. */
const RESULT_LIMIT = 64 * 1024 * 1024;
/** A connection on which nothing is sent for this long is closed. Milliseconds. */
const SILENCE_LIMIT_MS = 5_000;

/** The tracker looks this often whether its socket is still there: somebody may delete its folder. Milliseconds. */
const LOOK_MS = 2_000;

function socketPath(port: number): string {
  return process.platform === "win32" ? `\\\\.\\pipe\\filetracker-${port}` : join(userFolder("state"), `tracker-${port}.sock`);
}

/**
 * Listens for this user's orders. Gives a function that stops that. Never throws: a tracker works without this socket, too. It then
 * calls `failed` with the reason. When the socket is deleted it is made anew, and `remade` is called.
 */
export function openOperatorSocket(
  port: number,
  obey: (order: Order) => OrderResult,
  failed: (reason: string) => void,
  remade: () => void = () => {},
): () => void {
  const path = socketPath(port);
  let lastReason = "";
  // The same reason at the next try is not told again.
  const fail = (error: unknown) => {
    const reason = `cannot write into "${printable(dirname(path))}" (${pathFault(error)})`;
    if (reason !== lastReason) failed(reason);
    lastReason = reason;
  };
  let server = listenAt(path, obey, { fail });
  const look = () => {
    if (existsSync(path)) return;
    server.close();
    const opened = () => {
      lastReason = "";
      remade();
    };
    server = listenAt(path, obey, { fail, opened });
  };
  const timer = process.platform === "win32" ? undefined : setInterval(look, LOOK_MS);
  timer?.unref();
  return () => {
    clearInterval(timer);
    server.close();
    removeSocket(path);
  };
}

function listenAt(
  path: string,
  obey: (order: Order) => OrderResult,
  { fail, opened = () => {} }: { fail(error: unknown): void; opened?(): void },
): Server {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    collect(socket, ORDER_LIMIT, (text) => {
      if (text.endsWith("\n")) socket.end(`${JSON.stringify(obeyText(text, obey))}\n`);
    });
  });
  server.on("error", fail);
  try {
    if (process.platform !== "win32") mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // This tracker has the port, so the tracker that made this file before is gone.
    removeSocket(path);
    server.listen(path, () => {
      if (process.platform !== "win32") chmodSync(path, 0o600);
      opened();
    });
    server.unref();
  } catch (error) {
    fail(error);
  }
  return server;
}

function obeyText(text: string, obey: (order: Order) => OrderResult): OrderResult {
  try {
    return obey(JSON.parse(text) as Order);
  } catch (error) {
    return { done: false, lines: [sentenceOf(error)] };
  }
}

/** Gives all text that has come, after each chunk. Closes the socket after a silence, or when the text is longer than `limit`. */
function collect(socket: Socket, limit: number, received: (text: string) => void): void {
  let text = "";
  socket.setEncoding("utf8");
  socket.setTimeout(SILENCE_LIMIT_MS, () => socket.destroy(new Error("no answer")));
  socket.on("data", (chunk: string) => {
    text += chunk;
    if (text.length > limit) socket.destroy(new Error("too long"));
    else received(text);
  });
}

function removeSocket(path: string): void {
  try {
    if (process.platform !== "win32") unlinkSync(path);
  } catch {
    // It is not there.
  }
}

/** The code of the error when no tracker of this user listens on the port. */
export const NO_TRACKER = "no-tracker";

/** Gives an order to the tracker of this machine that listens on a port. Throws a sentence when there is none, or it does not answer. */
export function giveOrder(port: number, order: Order): Promise<OrderResult> {
  return new Promise((resolve, reject) => {
    let isThere = false;
    const fail = () => {
      const none = `You have no tracker running on port ${port}. If it uses another port, give --port N.`;
      const silent = `The tracker on port ${port} does not answer. It may still do what it was told, when it can.`;
      reject(isThere ? new FtError("no-answer", silent) : new FtError(NO_TRACKER, none));
    };
    const socket = createConnection(socketPath(port), () => {
      isThere = true;
      socket.write(`${JSON.stringify(order)}\n`);
    });
    let result = "";
    collect(socket, RESULT_LIMIT, (text) => {
      result = text;
    });
    socket.on("error", fail);
    socket.on("end", () => {
      socket.destroy();
      try {
        resolve(JSON.parse(result) as OrderResult);
      } catch {
        fail();
      }
    });
  });
}
