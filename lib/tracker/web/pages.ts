// Writes each page of the tracker's web site as HTML. Pure: records and numbers in, pages out. They work without the script.

import { Html, html } from "../../html.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatModified, formatSize, plural, printableName } from "../../text.ts";
import type { Having } from "../../who-has.ts";
import { SCRIPT, STYLE } from "./assets.ts";
import { curve, progress, type Sample, shares } from "./plot.ts";

/** The inside of a page, which is made again when something changes. */
export interface View {
  title: string;
  body: Html;
}

/** A whole page. `live` is the address of its later versions, `query` what stands in the search box. */
export function wholePage(
  view: View,
  frame: { site: string; live: string | undefined; query: string; qr: Html | undefined },
): string {
  const { site, live, query, qr } = frame;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${view.title} – ${site}</title><link rel="icon" href="/icon.svg" type="image/svg+xml"><style>${new Html(STYLE)}</style></head>
<body><header><nav aria-label="Site"><a href="/">${site}</a><a href="/peers">People</a></nav>
<form action="/" role="search"><input type="search" name="q" value="${query}" aria-label="Search the files of this room" placeholder="Search"><button>Search</button></form></header>
<main${live === undefined ? "" : html` data-live="${live}"`}>${view.body}</main>
<footer>${qr === undefined ? "" : html`<details><summary>Open this page on a phone</summary>${qr}</details>`}
<p class="soft">FileTracker. To share files of your own, run ft-peer.</p></footer>
<script>${new Html(SCRIPT)}</script></body></html>
`;
  return page.text;
}

/** The records that a search found, one for each content. */
interface FoundView {
  query: string;
  records: FileRecord[];
  /** The number of all contents that fit. */
  total: number;
  /** The number of the first content on this page, from 0. */
  offset: number;
  /** The most contents of a page. */
  size: number;
  peers: number;
  files: number;
  plots: { peers: Sample[]; downloads: Sample[]; now: number; span: number };
  /** Milliseconds since 1970. */
  now: number;
}

export function foundPage(found: FoundView): View {
  const { query, records, total, offset, size, peers, files, plots, now } = found;
  const title = query === "" ? "Files" : `Files with "${query}"`;
  const nothing = query === "" ? "Nobody shares a file at the moment." : "No file fits these words.";
  const more = (text: string, from: number) =>
    html`<a href="/?${new URLSearchParams({ q: query, from: String(from) }).toString()}">${text}</a> `;
  const body = html`<h1>${title}</h1>
<p>${plural(peers, "person").replace("persons", "people")} online, ${plural(files, "file")}.</p>
${total === 0 ? html`<p>${nothing}</p>` : contentTable(records, `${offset + 1} to ${offset + records.length} of ${total}`, now)}
<p>${offset > 0 ? more("Back", Math.max(0, offset - size)) : ""}${offset + records.length < total ? more("More", offset + size) : ""}</p>
${query === "" && offset === 0 ? html`<section class="plots" aria-label="The last hour">${curve("People online", plots.peers, plots.now, plots.span)}${curve("Downloads going on", plots.downloads, plots.now, plots.span)}</section>` : ""}`;
  return { title, body };
}

function contentTable(records: readonly FileRecord[], caption: string, now: number): Html {
  const rows = records.map((record) => {
    const holders = record.holders ?? 0;
    return html`<tr><td class="name">${nameOf(record)}</td><td class="number">${formatSize(record.size)}</td><td class="wide">${formatModified(record.mtime ?? dayOf(record), now)}</td><td class="number">${holders === 0 ? "being fetched" : holders}</td></tr>`;
  });
  return html`<table><caption>${caption}</caption><thead><tr><th scope="col">Name</th><th scope="col" class="number">Size</th><th scope="col" class="wide">Date</th><th scope="col" class="number">Who has it</th></tr></thead><tbody>${rows}</tbody></table>`;
}

/** A name, as a link to the page of its content where its id is known. */
function nameOf({ name, root, files }: FileRecord): Html {
  const shown = `${printableName(name)}${files === undefined ? "" : ` (folder, ${plural(files, "file")})`}`;
  return root === undefined ? html`${shown}` : html`<a href="/content/${root}">${shown}</a>`;
}

/** `28/11/26` as `2026-11-28`. */
function dayOf({ date }: Pick<FileRecord, "date">): string {
  return `20${date.slice(6)}-${date.slice(3, 5)}-${date.slice(0, 2)}`;
}

export function peersPage(peers: readonly PeerLine[], page: { total: number; offset: number; size: number }): View {
  const { total, offset, size } = page;
  const rows = peers.map(
    (peer) =>
      html`<tr><td class="name"><a href="/peer/${peer.id}">${personOf(peer)}</a></td><td class="number">${peer.files}</td><td class="number">${formatSize(peer.bytes)}</td><td class="wide">${peer.reach === false ? "behind a firewall" : ""}</td></tr>`,
  );
  const more = (text: string, from: number) => html`<a href="/peers?from=${from}">${text}</a> `;
  const body = html`<h1>People</h1><table><caption>${plural(total, "person").replace("persons", "people")} online</caption><thead><tr><th scope="col">Name</th><th scope="col" class="number">Files</th><th scope="col" class="number">Size</th><th scope="col" class="wide">Connection</th></tr></thead><tbody>${rows}</tbody></table>
<p>${offset > 0 ? more("Back", Math.max(0, offset - size)) : ""}${offset + peers.length < total ? more("More", offset + size) : ""}</p>`;
  return { title: "People", body };
}

export function peerPage(peer: PeerLine, records: readonly FileRecord[], now: number): View {
  const rows = records.map(
    (record) =>
      html`<tr><td class="name">${nameOf(record)}</td><td class="number">${formatSize(record.size)}</td><td class="wide">${formatModified(record.mtime ?? dayOf(record), now)}</td><td class="number">${record.part ? percentOf(record) : "has it"}</td></tr>`,
  );
  const title = `Files of ${personOf(peer)}`;
  const body = html`<h1>${title}</h1><table><caption>${plural(records.length, "file")}</caption><thead><tr><th scope="col">Name</th><th scope="col" class="number">Size</th><th scope="col" class="wide">Date</th><th scope="col" class="number">How much of it</th></tr></thead><tbody>${rows}</tbody></table>`;
  return { title, body };
}

function percentOf({ have }: Pick<FileRecord, "have">): string {
  return have === undefined ? "fetching" : `${have} %`;
}

function personOf({ name, address }: Pick<PeerLine, "name" | "address">): string {
  return name ?? address;
}

interface ContentView {
  record: FileRecord;
  /** Those that have something of it; and all others as far as they are named. */
  people: Having<string>[];
  /** The number of all people online. */
  online: number;
  /** Guests may download it. */
  download: string | undefined;
  now: number;
}

/** A file of at most one block of 16 KiB: its content id is its SHA-256. */
const ONE_BLOCK = 16 * 1024;

export function contentPage({ record, people, online, download, now }: ContentView): View {
  const count = (state: Having<string>["state"]) => people.filter((one) => one.state === state).length;
  const [have, part] = [count("all"), count("part")];
  const none = Math.max(0, online - have - part);
  const name = printableName(record.name);
  const idIs = record.files === undefined && record.size <= ONE_BLOCK ? "SHA-256" : "Content id (BitTorrent v2)";
  const about = [
    formatSize(record.size),
    ...(record.files === undefined ? [] : [`folder with ${plural(record.files, "file")}`]),
    formatModified(record.mtime ?? dayOf(record), now),
  ];
  const body = html`<h1 class="name">${name}</h1><p>${about.join(", ")}</p>
${download === undefined ? "" : html`<p><a class="get" href="${download}">Download</a> <span class="soft">Your browser does not verify what it downloads. ft-peer does.</span></p>`}
<p class="big">${have} of ${online} ${have === 1 ? "has" : "have"} it</p>
<p>${part === 0 ? "" : `${part} ${part === 1 ? "is" : "are"} fetching it. `}${none === 0 ? "" : `${none} not yet.`}</p>
${shares({ have, part, none })}
<h2>Who has how much</h2>${peopleTable(people)}
<p class="soft">${idIs}: <code>${record.root}</code></p>`;
  return { title: name, body };
}

function peopleTable(people: readonly Having<string>[]): Html {
  const words = { all: "all of it", part: "fetching", none: "nothing yet" };
  const rows = people.map((one) => {
    const percent = one.state === "part" ? one.percent : undefined;
    const known = one.state === "all" ? 100 : one.state === "none" ? 0 : percent;
    return html`<tr><td class="name">${one.person}</td><td>${known === undefined ? "" : progress(known)}</td><td class="number">${percent === undefined ? words[one.state] : `${percent} %`}</td></tr>`;
  });
  return html`<table><thead><tr><th scope="col">Name</th><th scope="col">Part</th><th scope="col" class="number">How much</th></tr></thead><tbody>${rows}</tbody></table>`;
}

/** A page that says why there is nothing else. */
export function messagePage(title: string, words: string): View {
  return { title, body: html`<h1>${title}</h1><p>${words}</p>` };
}
