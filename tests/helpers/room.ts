// A connection to a private room, spoken line by line: with the right key, with another one, or against the rules.

import { randomBytes } from "node:crypto";
import { type Certificate, newCertificate } from "../../lib/net/certificate.ts";
import type { Channel } from "../../lib/net/channel.ts";
import { dial } from "../../lib/net/dial.ts";
import { roomSecret } from "../../lib/program/room-key.ts";
import { RoomOpener } from "../../lib/protocol/room.ts";
import { LOOPBACK, Received } from "./sockets.ts";

export const KEY = "acid acorn acre acts afar affix";
export const SECRET = roomSecret(KEY);
export const OTHER_SECRET = roomSecret("another key");

export class RoomGuest extends Received implements Disposable {
  readonly channel: Channel;
  over = false;
  #text = "";

  private constructor(channel: Channel) {
    super();
    this.channel = channel;
    channel.start({
      data: (chunk) => {
        this.keep(chunk);
        this.#text += new TextDecoder().decode(chunk);
        this.changed();
      },
      end: () => {
        this.over = true;
        channel.finish();
        this.changed();
      },
      close: () => {
        this.over = true;
        this.changed();
      },
    });
  }

  static async connect(port: number, tls?: Certificate, address = LOOPBACK): Promise<RoomGuest> {
    return new RoomGuest(await dial({ address, port }, { tls: tls ?? newCertificate() }));
  }

  [Symbol.dispose](): void {
    this.channel.destroy();
  }

  send(text: string): void {
    this.channel.send(text);
  }

  /** The next line, or undefined when the connection ends before it. */
  async line(): Promise<string | undefined> {
    await this.until(() => this.#text.includes("\n") || this.over);
    const end = this.#text.indexOf("\n");
    if (end < 0) return undefined;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return line;
  }

  opener(secret: Uint8Array = SECRET): RoomOpener {
    const { secured } = this.channel;
    if (secured === undefined) throw new Error("the connection is not encrypted");
    return new RoomOpener({ secret, binding: secured.binding(), random: randomBytes(32) });
  }

  /** Shows a key. Gives whether both sides have proven it. */
  async prove(secret?: Uint8Array): Promise<boolean> {
    const opener = this.opener(secret);
    this.send(opener.hello);
    const share = await this.line();
    if (share === undefined) return false;
    this.send(opener.answer(share) ?? "");
    const proof = await this.line();
    return proof !== undefined && opener.isProven(proof);
  }
}
