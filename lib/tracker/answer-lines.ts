// Makes the lines of an answer from records: in which order they come, which page of them, and how each looks to its receiver.

import { type Address, isLoopback } from "../protocol/address.ts";
import type { Page } from "../protocol/messages.ts";
import { escapeValue, formatRecordAt } from "../protocol/record.ts";
import { eachOf, type Few, sizeOf } from "./compact/few.ts";
import type { Member, Seer, SharedFile } from "./shelf.ts";

/**
 * The records of one name or content in the order in which they are given: first one of each host, then a second of each, and so on.
 * Else one host with many peers would push the others off the page. Of one round, and of one host, the records with a content id come
 * first, then those that came first.
 */
export function* fairly(files: Few<SharedFile> | undefined): Generator<SharedFile, void> {
  if (sizeOf(files) < 2) {
    yield* eachOf(files);
    return;
  }
  const byHost = new Map<string, SharedFile[]>();
  for (const verified of [true, false]) {
    for (const file of eachOf(files)) {
      if ((file.root !== undefined) !== verified) continue;
      const own = byHost.get(file.holder.host);
      if (own === undefined) byHost.set(file.holder.host, [file]);
      else own.push(file);
    }
  }
  for (let hosts = [...byHost.values()], round = 0; hosts.length > 0; round++) {
    hosts = hosts.filter((own) => own.length > round);
    const next = hosts.flatMap((own) => own[round] ?? []);
    for (const file of next) if (file.root !== undefined) yield file;
    for (const file of next) if (file.root === undefined) yield file;
  }
}

export function pageOf<One>(all: Iterable<One>, { offset, limit }: Page): IteratorObject<One> {
  return Iterator.from(all).drop(Math.min(offset, Number.MAX_SAFE_INTEGER)).take(limit);
}

export function linesOf(files: Iterable<SharedFile>, page: Page, seer: Seer): string[] {
  return pageOf(files, page)
    .map((file) => lineOf(file, seer))
    .toArray();
}

/** FT/2: the line of a record for this receiver. `holders`: the record stands for all records of its content. */
export function lineOf(file: SharedFile, seer: Seer, holders?: number): string {
  const { holder } = file;
  const line = formatRecordAt(file, { address: addressFor(holder, seer), port: holder.port }).slice(0, -1);
  const reach = seer.extras && holder.reach === false ? ";reach=no" : "";
  const group = holders === undefined ? "" : `;holders=${holders}`;
  const id = seer.extras && holder.isTwin ? `;id=${holder.id}` : "";
  const fingerprint = holder.presence?.fingerprint;
  const print = fingerprint === undefined ? "" : `;fp=${fingerprint}`;
  const by = seer.knowsNames && holder.name !== undefined ? `;by=${escapeValue(holder.name)}` : "";
  return `${line}${reach}${group}${id}${print}${by}>`;
}

/** A member's address for this receiver. */
export function addressFor(member: Pick<Member, "address">, seer: Seer): Address {
  return isLoopback(member.address) && !isLoopback(seer.address) ? seer.via : member.address;
}
