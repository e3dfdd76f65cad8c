// Enters a private room: shows its tracker the key on a connection that is encrypted already, and has the tracker show it, too. The
// caller hands in the connection and chance.

import type { Clock } from "../../clock.ts";
import { FtError } from "../../error.ts";
import { type Channel, NOT_SECURED } from "../../net/channel.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { Frame } from "../../protocol/lines.ts";
import { RoomOpener } from "../../protocol/room.ts";
import { REPLY_MS } from "./tracker-connection.ts";

/** The longest line of a proof, with its end. Bytes. */
const LONGEST_LINE = 256;

/** The facts that a peer knows of a private room. */
export interface RoomKnown {
  /** The secret that comes of the key. */
  secret: Uint8Array;
  /** The tracker has taken this key before, now or in an earlier run. */
  proven: boolean;
  /** The fingerprint of its tracker's certificate; undefined until the tracker has shown the key. */
  pin: string | undefined;
}

/** The code of the error when a tracker that was spoken to without encryption is a private room. */
export const IS_ROOM = "is-room";

/** The code of the error when a private room does not take this peer's key. */
export const ROOM_KEY = "room-key";

/** A program that speaks only TLS answers plain bytes with these two: an alert, and the major number of its version. */
const TLS_ALERT = 0x15;
const TLS_MAJOR = 3;

/** Whether bytes that a tracker has sent are the answer of a private room to plain bytes. No line begins like that. */
export function isRoomsAnswer([first, second]: Uint8Array): boolean {
  return first === TLS_ALERT && second === TLS_MAJOR;
}

/** A private room does not let this peer in, or is not the room that it was. Trying again would not help. */
export class RoomRefusal extends FtError {
  override readonly name = "RoomRefusal";
}

interface EnterTools {
  /** 32 random bytes. */
  random(): Uint8Array;
  clock: Clock;
  signal?: AbortSignal | undefined;
}

/** Shows the key on a new connection. After that it is like one to an open tracker. Throws a sentence, and then closes the connection. */
export async function enterRoom(
  channel: Channel,
  room: RoomKnown,
  at: { address: string; port: number },
  tools: EnterTools,
): Promise<void> {
  const stop = () => channel.destroy();
  tools.signal?.addEventListener("abort", stop);
  const cancel = tools.clock.after(REPLY_MS, stop);
  try {
    await prove(channel, room, `The private room at "${formatEndpoint(at)}"`, tools);
  } catch (error) {
    channel.destroy();
    throw error;
  } finally {
    cancel();
    tools.signal?.removeEventListener("abort", stop);
  }
}

async function prove(channel: Channel, room: RoomKnown, where: string, { random }: EnterTools): Promise<void> {
  const { secured } = channel;
  if (secured === undefined) throw new RoomRefusal(NOT_SECURED, `${where} does not encrypt.`);
  const { fingerprint } = secured;
  if (room.pin !== undefined && room.pin !== fingerprint) {
    const then = "Somebody else may answer there. If the room was set up anew, run this once with --forget.";
    throw new RoomRefusal(
      "room-changed",
      `${where} is not the one that was used before: its certificate is another one. ${then}`,
    );
  }
  const lines = new Lines(channel);
  const opener = new RoomOpener({ secret: room.secret, binding: secured.binding(), random: random() });
  channel.send(opener.hello);
  const share = await lines.next();
  const proof = share === undefined ? undefined : opener.answer(share);
  if (proof === undefined) {
    const then = "After wrong keys, even right ones have to wait there: try again in a minute.";
    throw new FtError("room-busy", `${where} closed the connection before it looked at the key. ${then}`);
  }
  channel.send(proof);
  const answer = await lines.next();
  if (answer === undefined && lines.isBroken) throw new FtError("room-busy", `${where} closed the connection.`);
  if (answer === undefined || !opener.isProven(answer)) {
    if (room.proven) throw new RoomRefusal(ROOM_KEY, `${where} has another key now. Ask for the new one.`);
    throw new RoomRefusal(
      ROOM_KEY,
      `${where} does not take this key. Check it, or ask for the present one: it may have changed.`,
    );
  }
  room.pin = fingerprint;
  room.proven = true;
}

/** The lines of a proof, as they come. */
class Lines {
  readonly #frame = new Frame();
  readonly #lines: string[] = [];
  #over = false;
  #waiting: (() => void) | undefined;
  /** The connection was closed without an end of its stream. */
  isBroken = false;

  constructor(channel: Channel) {
    channel.start({
      data: (chunk) => {
        this.#frame.push(chunk);
        this.#read();
      },
      end: () => this.#end(),
      close: () => {
        this.isBroken = !this.#over;
        this.#end();
      },
    });
  }

  /** The next line; undefined when there is none any more. */
  async next(): Promise<string | undefined> {
    if (this.#lines.length === 0 && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.#lines.shift();
  }

  #read(): void {
    try {
      for (let line = this.#frame.line(LONGEST_LINE); line !== undefined; line = this.#frame.line(LONGEST_LINE)) {
        this.#lines.push(line);
      }
    } catch {
      // This is another program.
      this.#over = true;
    }
    if (this.#lines.length > 0 || this.#over) this.#waiting?.();
  }

  #end(): void {
    this.#over = true;
    this.#waiting?.();
  }
}
