// Where a peer finds what others ask it for. Its files, its folders and the parts of its downloads are stubs here.

import { describe, expect, test } from "bun:test";
import type { FileAsked, Known, KnownFolder, Opened, Served } from "../../../lib/peer/serve/types.ts";
import { Holdings } from "../../../lib/peer/share/holdings.ts";
import { type FileRecord, parseFileName } from "../../../lib/protocol/record.ts";
import { addressOf } from "../../helpers/channel.ts";

const OWN = { address: addressOf("192.168.1.17"), port: 1235 };

/** A place with one content, which has the place's name. Its number of bytes tells it apart. */
function place(name: string, size: number) {
  const known = (root: string): Known | undefined => (root === name ? { size, pieces: new Uint8Array() } : undefined);
  return {
    records: ({ port }: typeof OWN) => [{ name: parseFileName(name), size, port } as FileRecord],
    look: known,
    lookFolder: (root: string): KnownFolder | undefined =>
      root === name ? { hashes: new Uint8Array(size), dates: () => new Uint8Array() } : undefined,
    has: (root: string) => root === name,
    open: ({ root, folder }: FileAsked): Opened | undefined =>
      (folder ?? root) === name ? { name, root: name, file: { size } as Served } : undefined,
  };
}

function holdings() {
  const downloads = place("part", 3);
  return new Holdings({
    sharing: place("file", 1),
    folders: place("folder", 2),
    downloads: {
      ...downloads,
      open: (root) => {
        const file = downloads.open({ root })?.file;
        return file && { name: parseFileName("part"), file };
      },
    },
    folderDownloads: place("folder part", 4),
  });
}

describe("Holdings", () => {
  test("records gives the files, the folders and the parts", () => {
    const records = holdings().records(OWN);
    expect(records.map(({ name, port }) => `${name} ${port}`)).toEqual([
      "file 1235",
      "folder 1235",
      "part 1235",
      "folder part 1235",
    ]);
  });

  test.each([
    ["file", 1],
    ["folder", 2],
    ["part", 3],
    ["folder part", 4],
  ])("look and open find a %s by its content", (root, size) => {
    expect(holdings().look(root)?.size).toBe(size);
    expect(holdings().open({ root })).toMatchObject({ root, file: { size } });
  });

  test("nothing is found for another content", () => {
    const all = holdings();
    expect([all.look("other"), all.lookFolder("other"), all.open({ root: "other" }), all.open({ name: "other" })]).toEqual(
      Array(4).fill(undefined),
    );
  });

  test("the bytes of a folder, and its hashes, are those of a shared folder or of one that is being fetched", () => {
    const all = holdings();
    for (const [folder, size] of [["folder", 2] as const, ["folder part", 4] as const]) {
      expect(all.open({ folder })).toMatchObject({ file: { size } });
      expect(all.lookFolder(folder)?.hashes).toHaveLength(size);
    }
    expect(all.lookFolder("file")).toBeUndefined();
  });

  test("only a whole file or folder is shared, not a part", () => {
    const all = holdings();
    expect(["file", "folder", "part", "folder part"].map((root) => all.shares(root))).toEqual([true, true, false, false]);
  });
});
