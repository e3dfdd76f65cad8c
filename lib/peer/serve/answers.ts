// Answers the requests of one accepted downloader in FT/2: for a range of a file, and for the metadata of a content. downloader.ts decides
// when each request is answered, upload.ts sends the bytes.

import type { Channel } from "../../net/channel.ts";
import type { FromHolder, ToHolder } from "../../protocol/messages.ts";
import { HASH } from "../../protocol/numbers.ts";
import { pieceCountOf, pieceSizeOf } from "../content/merkle.ts";
import type { SlotClaim } from "./slots.ts";
import type { ServingState } from "./state.ts";
import type { Known, Opened, ServeOptions } from "./types.ts";
import type { Uploader } from "./upload.ts";

/** A connection without a request for this long is closed. Milliseconds. */
export const REQUEST_IDLE_MS = 60_000;

/** The part of an answer that takes a while, such as the bytes of a file; undefined when there is none. */
export type Rest = (() => Promise<void>) | undefined;

/** The requests that only an accepted downloader may send. */
export type ContentRequest = Extract<ToHolder, { verb: "DOWNLOAD"; profile: 2 } | { verb: "TREE" | "HAVE" | "DATES" }>;

/** The connection of a downloader, as its answers need it. */
interface AnswerTools {
  readonly channel: Channel;
  /** The host that the connection comes from. */
  readonly host: string;
  readonly uploader: Uploader;
  /** Nothing more is sent on the connection. */
  isOver(): boolean;
  say(message: FromHolder): void;
}

/** Each answer begins at once. Its rest, if it has one, follows when the caller runs it. */
export class Answers {
  readonly #options: ServeOptions;
  readonly #state: ServingState;
  readonly #tools: AnswerTools;

  constructor(options: ServeOptions, state: ServingState, tools: AnswerTools) {
    this.#options = options;
    this.#state = state;
    this.#tools = tools;
  }

  /** Begins the answer to a request. `claim` is that of the accepted downloader. */
  begin(request: ContentRequest, claim: SlotClaim): Rest {
    if (request.verb === "DOWNLOAD") return this.#giveRange(request, claim);
    if (request.verb === "DATES" || "folder" in request) return this.#giveFolder(request);
    return request.verb === "TREE" ? this.#giveTree(request.root, request.piece) : this.#giveHave(request.root);
  }

  /** Looks up a content. If it is not served, sends the answer and gives undefined. */
  #look(root: string): Known | undefined {
    const known = this.#options.look(root);
    if (known === undefined) this.#tools.say({ verb: "NOT FOUND" });
    return known;
  }

  #giveTree(root: string, piece: number): Rest {
    const known = this.#look(root);
    if (known === undefined) return undefined;
    const own = pieceSizeOf(known.size);
    const step = piece / own;
    if (step < 1 || 2 ** Math.round(Math.log2(step)) !== step) {
      this.#tools.say({ verb: "ERROR", code: "bad-piece", words: `The pieces of this file have ${own} bytes.` });
      return undefined;
    }
    return async () => {
      const layer = await this.#state.layers.get(this.#tools.host, root, known, step);
      this.#tools.say({ verb: "TREE", count: layer.length / HASH });
      await this.#sending(this.#tools.uploader.sendMetadata(layer));
    };
  }

  #giveHave(root: string): Rest {
    const known = this.#look(root);
    if (known === undefined) return undefined;
    const bits = known.have?.toBytes() ?? new Uint8Array(Math.ceil(pieceCountOf(known.size) / 8)).fill(255);
    this.#tools.say({ verb: "HAVE", length: bits.length });
    return () => this.#sending(this.#tools.uploader.sendMetadata(bits));
  }

  /** Says something about a folder: the hashes of its pieces, which ones are here, or its dates. */
  #giveFolder({ verb, folder }: Extract<ContentRequest, { verb: "TREE" | "HAVE" | "DATES"; folder: string }>): Rest {
    const known = this.#options.lookFolder?.(folder);
    if (known === undefined) {
      this.#tools.say({ verb: "NOT FOUND" });
      return undefined;
    }
    const { hashes, have } = known;
    const count = hashes.length / HASH;
    if (verb === "TREE") this.#tools.say({ verb, count });
    const bits = () => have?.toBytes() ?? new Uint8Array(Math.ceil(count / 8)).fill(255);
    const bytes = verb === "TREE" ? hashes : verb === "HAVE" ? bits() : known.dates();
    if (verb !== "TREE") this.#tools.say({ verb, length: bytes.length });
    return () => this.#sending(this.#tools.uploader.sendMetadata(bytes));
  }

  #giveRange({ root, folder, name, offset, length }: Extract<ContentRequest, { verb: "DOWNLOAD" }>, claim: SlotClaim): Rest {
    const found = this.#options.open({
      ...(root === undefined ? {} : { root }),
      ...(folder === undefined ? {} : { folder }),
      ...(name === undefined ? {} : { name }),
    });
    if (found === undefined) {
      this.#tools.say({ verb: "NOT FOUND" });
      return undefined;
    }
    const { file } = found;
    const count = Math.min(length ?? file.size, file.size - offset);
    if (this.#mayHave(found, offset, count, claim)) {
      this.#tools.say({ verb: "FILE", length: count, size: file.size });
      return () => this.send(found, offset, count, claim, claim.downloader);
    }
    file.close();
    return undefined;
  }

  /** Whether to send a range now. If not, sends the downloader the reason. */
  #mayHave({ file }: Opened, offset: number, count: number, claim: SlotClaim): boolean {
    if (offset > file.size) {
      this.#tools.say({ verb: "ERROR", code: "bad-range", words: "The file is shorter than that." });
      return false;
    }
    if (file.has?.(offset, count) === false) {
      this.#tools.say({ verb: "ERROR", code: "not-here", words: "That part of the file has not arrived here yet." });
      return false;
    }
    const position = this.#state.slots.ask(claim);
    if (position === 0) return true;
    this.#tools.uploader.quietFromNow();
    this.#tools.say({ verb: "BUSY", position });
    return false;
  }

  /** Sends bytes of a file for a claim that has a slot, and closes the file. `id`: that of the peer, if it has one. */
  async send(found: Opened, offset: number, count: number, claim: SlotClaim, id: string | undefined): Promise<void> {
    const { slots } = this.#state;
    try {
      if (this.#tools.isOver()) return;
      slots.use(claim, true);
      await this.#sending(this.#tools.uploader.send(found, id, offset, count));
      if (!this.#tools.isOver()) slots.use(claim, false, count);
    } finally {
      found.file.close();
    }
  }

  /** While bytes are sent, a downloader may be silent. */
  async #sending(bytes: Promise<void>): Promise<void> {
    this.#tools.channel.limit({ idle: undefined });
    await bytes;
    if (!this.#tools.isOver()) this.#tools.channel.limit({ idle: REQUEST_IDLE_MS });
  }
}
