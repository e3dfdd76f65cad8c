// Reads what a browser asks for: a range of a file, and where a file of a folder lies in the folder's bytes.

import type { Exchange } from "../../net/exchange.ts";
import type { FolderEntry } from "../../protocol/folder.ts";
import { isSmall } from "../content/folder-cut.ts";
import type { Served } from "./types.ts";

/** A part of a file. Bytes. */
export interface Span {
  from: number;
  length: number;
}

/**
 * The part that `Range` asks for (RFC 9110, section 14); undefined for the whole file, also when the browser has a part of another version;
 * "bad" when there is no such part. Of several parts none is given: then the whole file is sent.
 */
export function rangeOf(request: Pick<Exchange, "header">, tag: string, size: number): Span | "bad" | undefined {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(request.header("range")?.trim() ?? "") ?? [];
  if ((first === "" && last === "") || (request.header("if-range") ?? tag) !== tag) return undefined;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "bad" : { from: size - length, length };
  }
  const from = Number(first);
  const to = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== "" && Number(last) < from) return undefined;
  return from >= size ? "bad" : { from, length: to - from + 1 };
}

/** Where each file of a folder begins in the folder's bytes: first the small ones, then the others, both in the order of the list. */
export function placesIn(entries: readonly FolderEntry[]): Map<string, number> {
  const places = new Map<string, number>();
  let at = 0;
  for (const small of [true, false]) {
    for (const { path, size } of entries) {
      if (isSmall(size) !== small) continue;
      places.set(path, at);
      at += size;
    }
  }
  return places;
}

/** All bytes of a file. Fails when it is not what its record says any more. */
export async function readAll(file: Served): Promise<Uint8Array> {
  const bytes = new Uint8Array(file.size);
  for (let at = 0; at < bytes.length; ) {
    const got = await file.read(bytes.subarray(at), at);
    if (got === 0 || !file.unchanged()) throw new Error("changed");
    at += got;
  }
  return bytes;
}
