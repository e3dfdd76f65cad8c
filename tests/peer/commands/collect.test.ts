// Whose files go into which folder, with people that come and go.

import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { CancelledError } from "../../../lib/error.ts";
import type { CommandLine } from "../../../lib/peer/arguments.ts";
import { collect } from "../../../lib/peer/commands/collect.ts";
import type { Peer } from "../../../lib/peer/commands/types.ts";
import type { DownloadOptions } from "../../../lib/peer/download/download.ts";
import { Screen } from "../../../lib/peer/screen/screen.ts";
import type { PeerLine } from "../../../lib/protocol/messages.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, nameOf } from "../../helpers/channel.ts";

const to = mkdtempSync(join(tmpdir(), "ft-test-"));
afterEach(() => rmSync(to, { recursive: true, force: true }));

/** The folders of the files that are fetched while first the one and then the other is online; the first one's file does not come. */
async function foldersOf(first: string, second: string): Promise<string[]> {
  const online = [first, second].map((at, i) => ({ id: `p${i}`, name: "Ben", address: addressOf(at), port: 5000 }) as PeerLine);
  let [now] = online;
  const ending = new AbortController();
  const folders: string[] = [];
  const peer = {
    session: {
      requests: {
        who: async () => (now === undefined ? [] : [now]),
        findAll: async () =>
          online.map(({ id, address, port }, i) => {
            const file = { name: nameOf("homework.txt"), type: "data", size: 8 + i, date: "01/01/26", v2: true };
            return { ...file, root: `${i}`.repeat(64), address, port, peer: id } as FileRecord;
          }),
      },
    },
    download: async (_: FileRecord[], { folder }: DownloadOptions) => {
      folders.push(basename(folder));
      if (folders.length === 2) {
        ending.abort();
        throw new CancelledError();
      }
      now = online[1];
      throw new Error("Cannot fetch it.");
    },
  } as unknown as Peer;
  const line = { wish: { words: ["homework"] }, to } as unknown as CommandLine;
  const collecting = collect(peer, line, new Screen({ json: false, quiet: true }), ending.signal);
  expect(await collecting.catch((error: unknown) => error)).toBeInstanceOf(CancelledError);
  return folders;
}

test("another person who takes the name of one that has left gets a folder of its own", async () => {
  expect(await foldersOf("10.0.0.1", "10.0.0.2")).toEqual(["Ben", "Ben 10.0.0.2_5000"]);
});

test("a person who is back on the same computer goes on in the same folder", async () => {
  expect(await foldersOf("10.0.0.1", "10.0.0.1")).toEqual(["Ben", "Ben"]);
  expect(await foldersOf("10.0.0.1", "fd00::1")).toEqual(["Ben", "Ben"]);
});
