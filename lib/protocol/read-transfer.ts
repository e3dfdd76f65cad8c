// Reads what a downloader and a holder say to each other, in FT/2. read.ts reads what peers and trackers say.

import { ProtocolError } from "../error.ts";
import { parseWhole } from "./address.ts";
import { foreignMessage, parseBasicDownload, takeBasicMessage } from "./basic.ts";
import { errorOf, Inbox } from "./inbox.ts";
import type { FromHolder, Profile, ToHolder } from "./messages.ts";
import { HASH } from "./numbers.ts";
import { cutVerb, endpointOf, optional, rootValue, textValue, valuesOf, wholeValue } from "./values.ts";

/** Downloader → holder: reads both profiles. */
export class HolderInbox extends Inbox<ToHolder> {
  #profile: Profile | undefined;
  #awaitsHello = true;

  /** The connection's profile once it is known. */
  get profile(): Profile | undefined {
    return this.#profile;
  }

  override next(): ToHolder | undefined {
    if (this.#profile === undefined) {
      const start = this.frame.start();
      if (/^HELLO FT\/2[ \r\n]/.test(start)) this.#profile = 2;
      else if (start.startsWith("DOWNLOAD")) this.#profile = 1;
      else if ("HELLO FT/2".startsWith(start) || "DOWNLOAD".startsWith(start)) return undefined;
      else throw foreignMessage();
    }
    if (this.#profile === 2) return this.#nextLine();
    const text = takeBasicMessage(this.frame, this.ending);
    return text === undefined ? undefined : parseBasicDownload(text);
  }

  #nextLine(): ToHolder | undefined {
    const line = this.frame.line();
    if (line === undefined) return undefined;
    const [verb, rest] = cutVerb(line);
    const values = valuesOf(rest);
    switch (verb) {
      case "HELLO":
        if (!this.#awaitsHello) throw new ProtocolError("unexpected", "HELLO comes once, at the start.");
        this.#awaitsHello = false;
        return { verb, pass: values.get("pass") ?? "", keyed: values.get("keyed"), token: values.get("token") };
      case "PROOF":
        return {
          verb,
          ...endpointOf(values, "PROOF needs an IP address.", "PROOF needs a port from 1 to 65535."),
          proof: textValue(values, "proof"),
        };
      case "DOWNLOAD": {
        const root = optional(values, "root", rootValue);
        const folder = optional(values, "folder", rootValue);
        const name = values.get("name");
        if (root === undefined && folder === undefined && name === undefined) {
          throw new ProtocolError("bad-request", "DOWNLOAD needs root= or name=.");
        }
        const offset = optional(values, "offset", wholeValue) ?? 0;
        const length = optional(values, "length", wholeValue);
        return { verb, profile: 2, root, ...(folder === undefined ? {} : { folder }), name, offset, length };
      }
      case "TREE":
        if (values.has("folder")) return { verb, folder: rootValue(values, "folder") };
        return { verb, root: rootValue(values, "root"), piece: wholeValue(values, "piece") };
      case "HAVE":
        if (values.has("folder")) return { verb, folder: rootValue(values, "folder") };
        return { verb, root: rootValue(values, "root") };
      case "DATES":
        return { verb, folder: rootValue(values, "folder") };
      case "BYE":
        return { verb };
      default:
        return { verb: "UNKNOWN", word: verb };
    }
  }
}

/** Holder → downloader, FT/2: lines, and raw bytes where a line says so. */
export class DownloadInbox extends Inbox<FromHolder> {
  #body = 0;

  /** The number of raw bytes that are still to come before the next line. */
  get body(): number {
    return this.#body;
  }

  /** The raw bytes that have arrived. Empty if there are none, or if none are due. */
  takeBody(): Uint8Array {
    const bytes = this.frame.take(this.#body);
    this.#body -= bytes.length;
    return bytes;
  }

  override next(): FromHolder | undefined {
    if (this.#body > 0) return undefined;
    const line = this.frame.line();
    if (line === undefined) return undefined;
    if (line === "NOT FOUND") return { verb: line };
    const [verb, rest] = cutVerb(line);
    switch (verb) {
      case "HI":
        return { verb };
      case "PROVE":
        return { verb, nonce: textValue(valuesOf(rest), "nonce") };
      case "FILE:": {
        const values = valuesOf(rest);
        const length = wholeValue(values, "length");
        this.#body = length;
        return { verb: "FILE", length, size: wholeValue(values, "size") };
      }
      case "BUSY":
        return { verb, position: wholeValue(valuesOf(rest), "position") };
      case "TREE:":
      case "HAVE:":
      case "DATES:": {
        const count = parseWhole(rest);
        if (count === undefined) throw new ProtocolError("bad-number", `${verb} needs a whole number.`);
        this.#body = verb === "TREE:" ? count * HASH : count;
        if (verb === "TREE:") return { verb: "TREE", count };
        return { verb: verb === "HAVE:" ? "HAVE" : "DATES", length: count };
      }
      case "ERROR":
        return errorOf(rest);
      default:
        throw new ProtocolError(
          "unknown-message",
          `The holder's answer "${verb.slice(0, 40)}" is no message of this protocol.`,
        );
    }
  }
}
