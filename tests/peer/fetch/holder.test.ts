// How many requests are sent to a holder ahead of its answers.

import { describe, expect, test } from "bun:test";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { Holder } from "../../../lib/peer/fetch/holder.ts";
import { Source } from "../../../lib/peer/fetch/source.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, connection, nameOf } from "../../helpers/channel.ts";

const KB = 1024;
const PACK = 4096 * KB;
const AT = { address: addressOf("192.168.1.31"), port: 5000 };
const RECORD: FileRecord = {
  ...AT,
  name: nameOf("Lesson"),
  type: "inode/directory",
  size: 15 * PACK,
  date: "01/01/26",
  v2: true,
};

/** A holder that was connected just now. */
function connected(): Holder {
  const holder = new Holder(RECORD, PieceSet.whole(15));
  const source = new Source(connection(AT).near, { folder: "" }, RECORD.size, {
    bytes: () => {},
    served: () => {},
    busy: () => {},
    lacks: () => {},
    failed: () => {},
  });
  holder.opened(source, 0);
  return holder;
}

/** Sends requests of this length until it wants no more. Gives how many it has then. */
function askUntilEnough(holder: Holder, length: number, now: number): number {
  while (holder.wantsMore(now))
    holder.requests.push({ holder, first: 0, count: 1, range: { offset: 0, length }, askedAt: now });
  return holder.requests.length;
}

/** This part of the first request has come. */
function arrive(holder: Holder, filled: number): void {
  const [first] = holder.requests;
  if (first !== undefined) first.buffer = { range: first.range, memory: new SharedArrayBuffer(0), filled };
}

describe("Holder.wantsMore", () => {
  test("of usual length, two requests are under way at once", () => {
    expect(askUntilEnough(connected(), 256 * KB, 0)).toBe(2);
  });

  test("behind a pack that takes long the next one is asked for only when most of it has come", () => {
    const holder = connected();
    expect(askUntilEnough(holder, PACK, 0)).toBe(1);
    holder.served(16_000);
    expect(askUntilEnough(holder, PACK, 16_000)).toBe(1);
    arrive(holder, PACK - 300 * KB);
    expect(askUntilEnough(holder, PACK, 32_000)).toBe(1);
    arrive(holder, PACK - 200 * KB);
    expect(askUntilEnough(holder, PACK, 32_000)).toBe(2);
  });

  test("on a quick link packs follow each other without a gap", () => {
    const holder = connected();
    askUntilEnough(holder, PACK, 0);
    holder.served(40);
    expect(askUntilEnough(holder, PACK, 40)).toBe(5);
  });
});
