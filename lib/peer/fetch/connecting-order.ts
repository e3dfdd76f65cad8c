// Chooses the holders to connect when there are more holders than connections. It connects none itself.
//
// Anybody can invent a hundred holders that send almost nothing. Therefore slow holders lose their connections to untried ones, and the
// holders of one host (an address, or an IPv6 network of 64 bits) do not come before those of another one.

import { hostOf } from "../../protocol/address.ts";
import type { FileRecord } from "../../protocol/record.ts";
import type { Holder } from "./holder.ts";

/** A holder that is slower than this loses its connection to an untried one. The slowest one always does. Bytes per second. */
const SLOW = 64 * 1024;
/** A holder loses its connection to one that was tried before if that one was faster by this factor. */
export const WORTH_IT = 2;

/** The facts of a holder that decide when it gets a connection. */
export interface Connectable {
  readonly record: FileRecord;
  /** It was asked for a connection at least once. */
  readonly tried: boolean;
  /** The bytes per second that it sent when it was measured last. */
  readonly lately: number;
  /** It is not connected before this time. Absent where holders do not rest. Milliseconds. */
  readonly restUntil?: number;
}

/**
 * The holders that wait for a connection, the next one first. Untried holders come before tried ones: the first of each host, then the
 * second of each host, and so on. Of the tried ones the fastest comes first; of equally fast ones, the one that has waited longest.
 */
export function inConnectingOrder<One extends Connectable>(waiting: One[], all: One[]): One[] {
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
    return a.tried ? b.lately - a.lately || (a.restUntil ?? 0) - (b.restUntil ?? 0) : placeOf(a) - placeOf(b);
  });
}

/**
 * The measured holders that lose their connections to others, the slowest first: at most half of all, so that the rest go on.
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
