// Serves browsers that the tracker's web page has sent here with a ticket: a file, a range of it, the list of a folder, or the whole folder
// as a zip. Guests share the upload slots, the limits and the queue with other downloaders.

import type { Clock } from "../../clock.ts";
import { type Html, html } from "../../html.ts";
import type { Body, Exchange } from "../../net/exchange.ts";
import { hostOf } from "../../protocol/address.ts";
import { parseRoot } from "../../protocol/record.ts";
import { formatSize, plural } from "../../text.ts";
import { rangeOf, type Span } from "./guest-files.ts";
import { type GuestFolder, GuestFolders } from "./guest-folder.ts";
import { zipOf } from "./guest-zip.ts";
import type { SlotClaim } from "./slots.ts";
import type { ServingState } from "./state.ts";
import type { Opened, Served, ServeOptions } from "./types.ts";
import { Uploader } from "./upload.ts";

/** A guest in the queue is asked to come again after this time. Seconds. */
const AGAIN_S = 5;
/** The most guests in the queue whose places are remembered. */
const MOST_CLAIMS = 1_000;
/** The most files of a folder that its page shows. The zip has all. */
const MOST_SHOWN = 2_000;
/** Bytes are handed to the connection in parts of this size, so that a slow reader is noticed. */
const PART = 64 * 1024;

const encoder = new TextEncoder();
const TEXT = { "content-type": "text/html; charset=utf-8" };
const HEADERS: Record<string, string> = {
  // Nothing that comes from here may run or be embedded.
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox allow-downloads",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "private, no-cache",
};

/** The request of a guest. */
interface Wanted {
  root: string;
  name: string;
  /** The way of a file in a folder; "" for the content itself. */
  path: string;
  zip: boolean;
  ticket: string;
}

/** Something to send. */
interface Shipment {
  name: string;
  /** Names these bytes: another version has another tag. Undefined where a part of it cannot be had. */
  tag: string | undefined;
  file: Served;
  /** The folder that the file is in. */
  whole?: { name: string; size: number };
}

export class Guests {
  readonly #options: ServeOptions;
  readonly #state: ServingState;
  readonly #clock: Clock;
  /** The places in the queue of guests that come again. */
  readonly #claims = new Map<string, SlotClaim>();
  readonly #folders: GuestFolders;

  constructor(options: ServeOptions, state: ServingState, clock: Clock) {
    this.#options = options;
    this.#state = state;
    this.#clock = clock;
    this.#folders = new GuestFolders(options, state.work);
  }

  /** Answers a request. Never throws. */
  async answer(exchange: Exchange): Promise<void> {
    try {
      await this.#state.work.do(hostOf(exchange.channel.remote.address), () => this.#begin(exchange));
    } catch {
      this.#say(exchange, 404, "Not here", "This file is not here any more. Open the tracker's page again.");
    }
  }

  async #begin(exchange: Exchange): Promise<void> {
    const { address } = exchange.channel.remote;
    const wanted = wantedOf(exchange.target);
    if (wanted === undefined)
      return this.#say(exchange, 404, "No such page", "This address is not complete. Open the tracker's page again.");
    if (this.#options.refuseTicket === undefined) throw new Error("no guests");
    const refusal = this.#options.refuseTicket(wanted.ticket, wanted.root, address);
    if (refusal !== undefined) {
      this.#options.report({ event: "download-refused", address, reason: refusal });
      return this.#say(exchange, 403, "This link is not good", `${refusal} Open the tracker's page again, and click there.`);
    }
    if (this.#options.lookFolder?.(wanted.root) === undefined) {
      const found = wanted.path === "" && !wanted.zip ? this.#options.open({ root: wanted.root }) : undefined;
      if (found === undefined) throw new Error("not here");
      return this.#send(exchange, wanted, { name: found.name, tag: wanted.root, file: found.file });
    }
    const host = hostOf(address);
    const folder = await this.#folders.get(host, wanted.root);
    if (wanted.zip) return this.#send(exchange, wanted, await this.#zip(host, wanted.root, folder));
    if (wanted.path === "") return this.#state.work.do(host, () => this.#showFolder(exchange, wanted, folder));
    return this.#send(exchange, wanted, this.#fileOf(wanted, folder));
  }

  // -------------------------------------------------------------- folders

  #bytesOf(root: string): Served {
    const found = this.#options.open({ folder: root });
    if (found === undefined) throw new Error("not here");
    return found.file;
  }

  #fileOf({ root, path }: Wanted, { name, list, size: all, places }: GuestFolder): Shipment {
    const entry = list.find(encoder.encode(path));
    if (entry < 0 || list.isFolder(entry)) throw new Error("not here");
    const folder = this.#bytesOf(root);
    const [place = 0, size] = [places[entry], list.sizeOf(entry)];
    const read = (into: Uint8Array, at: number) => folder.read(into.subarray(0, size - at), place + at);
    const busyUntil = place < (folder.busyUntil ?? 0) ? size : 0;
    const file: Served = { size, busyUntil, read, unchanged: () => folder.unchanged(), close: () => folder.close() };
    const whole = { name, size: all };
    return { name: path.slice(path.lastIndexOf("/") + 1), tag: list.rootOf(entry), file, whole };
  }

  async #zip(host: string, root: string, folder: GuestFolder): Promise<Shipment> {
    const zip = await this.#folders.zip(host, root, folder);
    return { name: `${zip.name}.zip`, tag: undefined, file: zipOf(folder, zip, this.#bytesOf(root)) };
  }

  /** The name in the address is that of a link, which anybody can have written. The page and its files have the name of the folder. */
  #showFolder(exchange: Exchange, { root, ticket }: Wanted, { name, list, files, size }: GuestFolder): void {
    const link = (path: string) => `/get/${root}/${[name, ...path.split("/")].map(encodeURIComponent).join("/")}?t=${ticket}`;
    const shown: number[] = [];
    for (let entry = 0; entry < list.length && shown.length < MOST_SHOWN; entry++) if (!list.isFolder(entry)) shown.push(entry);
    const rows = shown.map((entry) => {
      const path = list.pathOf(entry);
      return html`<li><a href="${link(path)}">${path}</a> ${formatSize(list.sizeOf(entry))}</li>`;
    });
    const more = files > shown.length ? html`<p>And ${files - shown.length} more. The zip has all of them.</p>` : "";
    const all = `/get/${root}/${encodeURIComponent(name)}?zip=1&t=${ticket}`;
    const body = html`<h1>${name}</h1><p>${plural(files, "file")}, ${formatSize(size)}. <a href="${all}">Download all as a zip</a></p><ul>${rows}</ul>${more}`;
    exchange.reply(200, { ...HEADERS, ...TEXT }, pageOf(name, body));
  }

  // -------------------------------------------------------------- sending

  async #send(exchange: Exchange, { root }: Wanted, shipment: Shipment): Promise<void> {
    const { file, name, tag, whole } = shipment;
    try {
      const span = tag === undefined ? undefined : rangeOf(exchange, `"${tag}"`, file.size);
      if (span === "bad") {
        const headers = { ...HEADERS, ...TEXT, "content-range": `bytes */${file.size}` };
        return exchange.reply(416, headers, pageOf("No such part", html`<p>The file is shorter than that.</p>`));
      }
      if (exchange.method === "HEAD") return exchange.begin(200, headersOf(shipment, undefined)).end();
      const claim = this.#claimOf(hostOf(exchange.channel.remote.address), root);
      const position = this.#state.slots.ask(claim);
      if (position > 0) return this.#queue(exchange, claim, position);
      this.#claims.delete(keyOf(claim));
      const body = exchange.begin(span === undefined ? 200 : 206, headersOf(shipment, span));
      await this.#sendBody(
        exchange,
        body,
        { found: { name, root, file, ...(whole && { whole }) }, claim },
        span ?? { from: 0, length: file.size },
      );
    } finally {
      file.close();
    }
  }

  async #sendBody(
    { channel }: Exchange,
    body: Body,
    { found, claim }: { found: Opened; claim: SlotClaim },
    { from, length }: Span,
  ): Promise<void> {
    const { slots } = this.#state;
    let busy = false;
    const outlet = {
      remote: channel.remote,
      // The uploader uses its buffer again, so the part is copied.
      offer: (bytes: Uint8Array) => {
        if (busy) return 0;
        busy = true;
        const part = bytes.slice(0, PART);
        void body.write(part).then(() => {
          busy = false;
          uploader.drained();
        });
        return part.length;
      },
      destroy: () => body.break(),
    };
    const uploader = new Uploader(outlet, claim.host, this.#options, this.#state, this.#clock);
    body.whenOver(() => {
      slots.leave(claim);
      uploader.closed("");
    });
    slots.use(claim, true);
    try {
      await uploader.send(found, undefined, from, length);
      slots.use(claim, false, length);
      body.end();
    } catch {
      // The file has changed, or cannot be read: the browser sees that its copy is not whole.
      uploader.end("the file could not be read to its end");
      body.break();
    }
  }

  #claimOf(host: string, root: string): SlotClaim {
    const downloader = `guest ${root}`;
    const known = this.#claims.get(keyOf({ host, downloader }));
    return known ?? { host, downloader };
  }

  #queue(exchange: Exchange, claim: SlotClaim, position: number): void {
    const [oldest] = this.#claims.keys();
    if (this.#claims.size >= MOST_CLAIMS && oldest !== undefined) this.#claims.delete(oldest);
    this.#claims.set(keyOf(claim), claim);
    const words = html`<h1>Please wait</h1><p>This computer is sending files to others now. You are number ${position} in the queue. This page tries again by itself.</p>`;
    const headers = { ...HEADERS, ...TEXT, "retry-after": String(AGAIN_S), refresh: String(AGAIN_S) };
    exchange.reply(503, headers, pageOf("Please wait", words));
  }

  #say(exchange: Exchange, status: number, title: string, words: string): void {
    exchange.reply(status, { ...HEADERS, ...TEXT }, pageOf(title, html`<h1>${title}</h1><p>${words}</p>`));
  }
}

function keyOf({ host, downloader }: SlotClaim): string {
  return `${host} ${downloader}`;
}

/** `/get/ROOT/NAME/PATH?t=TICKET&zip=1` */
function wantedOf(target: string): Wanted | undefined {
  try {
    const url = new URL(target, "http://holder/");
    const [empty, get, rootText = "", name = "", ...path] = url.pathname.split("/").map((part) => decodeURIComponent(part));
    const root = parseRoot(rootText);
    if (empty !== "" || get !== "get" || root === undefined || name === "") return undefined;
    const { searchParams } = url;
    return { root, name, path: path.join("/"), zip: searchParams.has("zip"), ticket: searchParams.get("t") ?? "" };
  } catch {
    return undefined;
  }
}

function headersOf({ name, tag, file }: Shipment, span: Span | undefined): Record<string, string> {
  const length = span?.length ?? file.size;
  return {
    ...HEADERS,
    "content-type": "application/octet-stream",
    "content-length": String(length),
    "content-disposition": dispositionOf(name),
    ...(tag === undefined ? {} : { etag: `"${tag}"`, "accept-ranges": "bytes" }),
    ...(span === undefined ? {} : { "content-range": `bytes ${span.from}-${span.from + span.length - 1}/${file.size}` }),
  };
}

/** A name as RFC 6266 has it: in ASCII for old programs, and as it is. */
function dispositionOf(name: string): string {
  const plain = name.replace(/[^ !#-$&-.0-9;-[\]-~]/g, "_");
  const exact = encodeURIComponent(name).replace(/['()*]/g, (one) => `%${one.charCodeAt(0).toString(16)}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`;
}

function pageOf(title: string, body: Html): string {
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title></head>
<body><main>${body}</main></body></html>
`;
  return page.text;
}
