// Keeps the identity of a private room between runs: its key, and the certificate of its tracker. The key is in a file of this user, in a
// file that the operator names, or in the environment. Peers remember the certificate after the first proof.

import { randomInt, X509Certificate } from "node:crypto";
import { mkdirSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline/promises";
import { codeOf, FtError, pathFault, sentenceOf } from "../../error.ts";
import { readPlainFile, replaceOwnFile, userFolder } from "../../files.ts";
import { type Certificate, newCertificate } from "../../net/certificate.ts";
import { givenRoomKey, ROOM_VARIABLE, roomKey, SHORTEST_KEY } from "../../program/room-key.ts";
import { printable } from "../../text.ts";
import type { TrackerEvent } from "../events.ts";
import type { OrderResult } from "../operator/orders.ts";
import { newRoomKey } from "./key-words.ts";

/** The longest file of a key or a certificate that is read. Bytes. */
const LONGEST = 16 * 1024;

/** How a tracker was told to be a private room. */
interface RoomSetting {
  /** Its port. 0 is another one each time, so that nothing is kept. */
  port: number;
  /** `--room` was given. */
  room: boolean;
  /** The file of `--room-file`. */
  file: string | undefined;
}

/** The room that a tracker is. */
export interface KeptRoom {
  key: string;
  certificate: Certificate;
  /** The event that tells the operator where the key is. */
  event: Extract<TrackerEvent, { event: "room" }>;
  /** Where `ft-tracker room new` keeps a new key; undefined when the operator keeps the key. */
  path: string | undefined;
}

/** Where the key of the room on a port is kept. */
export function roomKeyPath(port: number): string {
  return join(userFolder("state"), `room-${port}.key`);
}

/** The room that the settings ask for, with the key of last time or a new one; undefined for an open tracker. Throws a sentence. */
export async function openRoom({ port, room, file }: RoomSetting, hasTerminal: boolean): Promise<KeptRoom | undefined> {
  const given = givenRoomKey(file);
  if (given === undefined && !room) return undefined;
  const certificate = keptCertificate(port);
  if (given !== undefined) return { key: given, certificate, event: { event: "room", file }, path: undefined };
  const path = port === 0 ? undefined : roomKeyPath(port);
  const kept = path === undefined ? undefined : keptKey(path);
  if (kept !== undefined) return { key: kept, certificate, event: { event: "room", file: path }, path };
  const chosen = hasTerminal ? await askKey() : undefined;
  const key = chosen ?? madeKey();
  if (path !== undefined) keep(path, `${key}\n`);
  return { key, certificate, event: { event: "room", file: path, ...(chosen === undefined ? { key } : {}) }, path };
}

/** Keeps the key and the certificate of a running room anew, after somebody has deleted their folder. Does nothing where that cannot be. */
export function keepRoom({ key, certificate, path }: KeptRoom, port: number): void {
  if (port === 0) return;
  try {
    if (path !== undefined) keep(path, `${key}\n`);
    keep(certificatePath(port), textOf(certificate));
  } catch {
    // The next start makes another certificate.
  }
}

/** Whether the tracker on this port was a private room whose key is still kept. */
export function wasRoom(port: number): boolean {
  try {
    return port !== 0 && keptKey(roomKeyPath(port)) !== undefined;
  } catch {
    return false;
  }
}

/**
 * Gives the room on a port another key. `path` is undefined for a room whose key its operator keeps. `isRunning`: its tracker
 * takes the key at once. Throws a sentence.
 */
export function changeKey(
  path: string | undefined,
  isRunning: boolean,
): { key: string; result: OrderResult } | { result: OrderResult } {
  if (path === undefined) {
    const where = `the file of --room-file, or ${ROOM_VARIABLE}`;
    return {
      result: {
        done: false,
        lines: [`The key of this room comes from ${where}. Change it there, and start the tracker again.`],
      },
    };
  }
  const key = madeKey();
  keep(path, `${key}\n`);
  const now = "The room has a new key, and nobody is in it any more";
  const later = "Its tracker is not running here. When it starts, the room has a new key";
  const lines = [`${isRunning ? now : later}: ${key}`, `It is kept in "${printable(path)}".`];
  return { key, result: { done: true, lines, data: { key, file: path } } };
}

function madeKey(): string {
  return newRoomKey((bound) => randomInt(bound));
}

/** Asks the operator for a key; undefined when the operator wants one to be made. */
async function askKey(): Promise<string | undefined> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const ended = new AbortController();
  terminal.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  terminal.on("close", () => ended.abort());
  try {
    for (;;) {
      const question = `The key of this private room (at least ${SHORTEST_KEY} characters; Enter makes one): `;
      const typed = await terminal.question(question, { signal: ended.signal });
      if (typed.trim() === "") return undefined;
      try {
        return roomKey(typed);
      } catch (error) {
        process.stdout.write(`${sentenceOf(error)}\n`);
      }
    }
  } catch {
    // Ctrl-D.
    return undefined;
  } finally {
    terminal.close();
  }
}

/** The key in the file; undefined when there is no file. Throws a sentence about a file that cannot be used. */
function keptKey(path: string): string | undefined {
  const text = readSecret(path);
  return text === undefined ? undefined : roomKey(text.split("\n")[0] ?? "", `The key in "${printable(path)}"`);
}

/** The certificate of the room on this port, or a new one, which is kept from now on. */
function keptCertificate(port: number): Certificate {
  if (port === 0) return newCertificate();
  const path = certificatePath(port);
  const text = readSecret(path);
  if (text !== undefined) return certificateIn(text, path);
  const certificate = newCertificate();
  keep(path, textOf(certificate));
  return certificate;
}

function certificatePath(port: number): string {
  return join(userFolder("state"), `room-${port}.pem`);
}

function textOf({ cert, key }: Certificate): string {
  return `${cert.trim()}\n${key.trim()}\n`;
}

function certificateIn(text: string, path: string): Certificate {
  const [cert] = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/s.exec(text) ?? [];
  const [key] = /-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----/s.exec(text) ?? [];
  try {
    if (cert !== undefined && key !== undefined && new X509Certificate(cert).publicKey !== undefined) return { cert, key };
  } catch {
    // It is damaged.
  }
  const then = "Delete it to get a new one; everybody is then asked for the key again";
  throw new FtError("bad-certificate", `"${printable(path)}" is no certificate of a private room. ${then}.`);
}

/** A file that nobody else can read or could have written. */
function readSecret(path: string): string | undefined {
  const self = process.getuid?.();
  const isSecret = ({ uid, mode, nlink }: Stats) => self === undefined || (uid === self && (mode & 0o077) === 0 && nlink === 1);
  try {
    return readPlainFile(path, LONGEST, isSecret).toString();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new FtError("bad-room-file", `Cannot use "${printable(path)}": others can read it, or it is no plain file of yours.`);
  }
}

function keep(path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    replaceOwnFile(path, text);
  } catch (error) {
    throw new FtError("not-kept", `Cannot keep the private room in "${printable(dirname(path))}": ${pathFault(error)}.`);
  }
}
