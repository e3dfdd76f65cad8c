// Which holders are connected when there are more of them than connections. It connects nobody itself.
//
// Anybody can invent a hundred holders that send next to nothing. Therefore the slow ones make room as long as somebody is untried, and
// the holders of one host (an address, or an IPv6 network of 64 bits) do not come before those of another one.

import { hostOf } from "../../protocol/address.ts";
import type { FileRecord } from "../../protocol/record.ts";
import type { Holder } from "./holder.ts";

/** A holder that is slower than this makes room for an untried one, and the slowest one always does. Bytes a second. */
const SLOW = 64 * 1024;
/** A holder makes room for one that was tried before if that one was this many times faster. */
export const WORTH_IT = 2;

/** A holder as far as its turn is concerned. */
export interface InLine {
  readonly record: FileRecord;
  /** It was asked for a connection at least once. */
  readonly tried: boolean;
  /** The bytes a second that it sent when it was measured last. */
  readonly lately: number;
}

/**
 * Those that wait for a connection, the next one first: the untried ones, the first of each host before the second of any; then the
 * others, the fastest first.
 */
export function inTurn<One extends InLine>(waiting: One[], all: One[]): One[] {
  const perHost = new Map<string, number>();
  const count = ({ record }: One) => {
    const host = hostOf(record.address);
    const before = perHost.get(host) ?? 0;
    perHost.set(host, before + 1);
    return before;
  };
  for (const holder of all) if (holder.tried) count(holder);
  const places = new Map(waiting.map((holder) => [holder, holder.tried ? Number.POSITIVE_INFINITY : count(holder)]));
  const placeOf = (holder: One) => places.get(holder) ?? 0;
  return [...waiting].sort((a, b) => {
    if (a.tried !== b.tried) return a.tried ? 1 : -1;
    return a.tried ? b.lately - a.lately : placeOf(a) - placeOf(b);
  });
}

/**
 * Those of the measured holders that make room for others, the slowest first: at most half of them, so that the others go on.
 * `waiting` are the holders that wait for a connection or for memory, the next one first.
 */
export function tooSlow(measured: Holder[], waiting: Holder[]): Holder[] {
  const slowest = [...measured].sort((a, b) => a.lately - b.lately);
  const leaving: Holder[] = [];
  for (const [i, holder] of slowest.slice(0, Math.floor(measured.length / 2)).entries()) {
    const next = waiting[i];
    if (next === undefined) break;
    const untried = next.state === "open" ? !next.contributed : !next.tried;
    if (untried ? i > 0 && holder.lately >= SLOW : next.lately <= holder.lately * WORTH_IT) break;
    leaving.push(holder);
  }
  return leaving;
}
