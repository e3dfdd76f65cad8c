// The commands that only ask: whom they call "you".

import { expect, test } from "bun:test";
import { search } from "../../../lib/peer/commands/find.ts";
import type { Peer } from "../../../lib/peer/commands/types.ts";
import type { Screen } from "../../../lib/peer/screen/screen.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";

const ROOT = "a".repeat(64);
const RECORD: FileRecord = {
  name: "plan.pdf",
  type: "application/pdf",
  size: 5,
  date: "28/11/26",
  address: "10.0.0.7",
  port: 1235,
  v2: true,
  by: "Ana",
  root: ROOT,
} as FileRecord;
const OWN = { ...RECORD, address: "10.0.0.8", by: "Ben" } as FileRecord;

/** The holders that a command names, at a peer that has the same file as Ana. */
async function holdersOf(command: "search" | "list", argument: string | undefined, records: FileRecord[]): Promise<string[]> {
  const lines: string[] = [];
  const peer = {
    isOwn: ({ address }: FileRecord) => address === OWN.address,
    isMine: ({ root }: FileRecord) => root === ROOT,
    session: {
      requests: {
        search: async () => records,
        list: async () => records,
        who: async () => [{ id: "7f", name: "Ana", address: "10.0.0.7", port: 1235 }],
      },
    },
  } as unknown as Peer;
  const screen = { json: false, width: undefined, results: (rows: string[]) => lines.push(...rows) } as unknown as Screen;
  await search(peer, { argument } as Parameters<typeof search>[1], command, screen);
  return lines.map((line) => line.split("\t")[4] ?? "");
}

test("a person who has the same file as this peer is not called you", async () => {
  expect(await holdersOf("search", "plan.pdf", [RECORD, OWN])).toEqual(["Ana", "Ben (you)"]);
  expect(await holdersOf("list", "Ana", [RECORD])).toEqual(["Ana"]);
  expect(await holdersOf("list", undefined, [RECORD, OWN])).toEqual(["you and 1 other"]);
});
