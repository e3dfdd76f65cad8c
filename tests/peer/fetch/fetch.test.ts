// Fetching a file by pieces, from the first request to the end, and stopping it.

import { afterEach, describe, expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { CancelledError, FtError } from "../../../lib/error.ts";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { RateLimit } from "../../../lib/peer/rate-limit.ts";
import { formatSize } from "../../../lib/text.ts";
import { type Far, REFUSED, settle } from "../../helpers/channel.ts";
import {
  A,
  B,
  bytesOf,
  checkFields,
  Field,
  failure,
  type Holder,
  KiB,
  MiB,
  PIECE,
  piecesOf,
  SIZE,
  stateOf,
} from "../../helpers/fetching.ts";

afterEach(checkFields);

describe("fetchFile: an honest holder", () => {
  test("the conversation about a file of one piece, byte for byte", async () => {
    const field = new Field(new TextEncoder().encode("Hello, world"));
    const holder = field.add(A);
    field.expectWhole(await field.fetch([A]), [A]);
    await settle();
    expect(holder.connections[0]?.writes.join("")).toBe(
      `HELLO FT/2 pass=pass1.sig\nDOWNLOAD root=${field.root} offset=0 length=12\nBYE\n`,
    );
    expect(field.elapsed).toBe(0);
    expect([...new Set(field.events.map(({ event }) => event))]).toEqual(["asking", "progress", "verifying"]);
    expect(field.events.filter(({ event }) => event === "verifying")).toHaveLength(1);
    expect(field.part.restarts).toBe(0);
    await field.expectGone();
  });

  test("the conversation about a file of many pieces, byte for byte", async () => {
    const field = new Field(bytesOf(600 * KiB));
    const holder = field.add(A);
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    await settle();
    expect(holder.connections[0]?.writes.join("").split("\n")).toEqual([
      "HELLO FT/2 pass=pass1.sig",
      `TREE root=${field.root} piece=65536`,
      `DOWNLOAD root=${field.root} offset=0 length=262144`,
      `DOWNLOAD root=${field.root} offset=262144 length=262144`,
      `DOWNLOAD root=${field.root} offset=524288 length=90112`,
      "BYE",
      "",
    ]);
    await field.expectGone();
  });

  test("nothing is asked for before the hashes of the pieces are there", async () => {
    const field = new Field(bytesOf(600 * KiB));
    const holder = field.add(A);
    const tree = Promise.withResolvers<boolean>();
    holder.instead = (_far, { verb }) => verb === "TREE" && tree.promise;
    const fetching = field.fetch([A]);
    await field.clock.pass(3000);
    expect(holder.ranges).toEqual([]);
    tree.resolve(false);
    field.expectWhole(await field.finish(fetching), [A]);
  });

  test.each([
    0,
    1,
    16 * KiB - 1,
    16 * KiB,
    16 * KiB + 1,
    64 * KiB - 1,
    64 * KiB,
    64 * KiB + 1,
    4 * MiB - 1,
    4 * MiB,
    4 * MiB + 1,
    9 * MiB + 7,
  ])("%d bytes: each is asked for once, and progress only grows", async (size) => {
    const field = new Field(bytesOf(size));
    const holder = field.add(A);
    field.expectWhole(await field.finish(field.fetch([A])), size === 0 ? [] : [A]);
    let at = 0;
    for (const { offset, length } of holder.ranges) {
      expect(offset).toBe(at);
      at += length;
    }
    expect(at).toBe(size);
    const received = field.events.flatMap((event) => (event.event === "progress" ? [event.received] : []));
    expect(received).toEqual([...received].sort((a, b) => a - b));
    if (size > 0) expect(received.at(-1)).toBe(size);
    expect(field.part.restarts).toBe(0);
  });

  test("its answers may come cut anywhere", async () => {
    const field = new Field(bytesOf(PIECE + 300));
    const holder = field.add(A);
    holder.instead = (far, { verb, offset, length }) => {
      if (verb === "TREE") far.stutter(`TREE: 2\n${""}`);
      if (verb === "TREE") far.stutter(holder.tree);
      if (verb === "HELLO") far.stutter("HI FT/2\r\n");
      if (verb === "DOWNLOAD") {
        far.stutter(`FILE: length=${length} size=${field.bytes.length}\n`);
        far.stutter(field.bytes.subarray(offset, offset + 1000));
        for (let i = offset + 1000; i < offset + length; i += 997)
          far.say(field.bytes.subarray(i, Math.min(i + 997, offset + length)));
      }
      return true;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
  });

  test("an empty file whose content id is another one's is refused", async () => {
    const field = new Field(new Uint8Array(0));
    field.add(A);
    const wanted = { ...field.wanted([A]), root: "0".repeat(64) };
    expect((await failure(field.fetch(wanted))).code).toBe("bad-root");
  });

  test("without a content id, or of old holders only, the file is fetched as a whole from its start", async () => {
    const field = new Field(bytesOf(100_000));
    field.add(A);
    const { verified } = await field.finish(field.fetch({ ...field.wanted([A]), root: undefined }));
    expect(verified).toBe(false);
    expect(field.part.restarts).toBe(1);
    expect(Buffer.compare(field.part.bytes, field.bytes)).toBe(0);
  });
});

describe("fetchFile: a holder whose tree is wrong", () => {
  const liars: [string, (holder: Holder, far: Far) => void, RegExp][] = [
    [
      "gives the tree of another file",
      (_holder, far) => {
        far.say("TREE: 11\n");
        far.say(piecesOf(bytesOf(SIZE, 5)));
      },
      /piece hashes are not those/,
    ],
    [
      "gives a tree with one wrong bit",
      ({ tree }, far) => {
        far.say("TREE: 11\n");
        far.say(tree.with(351, (tree[351] ?? 0) ^ 1));
      },
      /piece hashes are not those/,
    ],
    [
      "gives a tree that is too short",
      ({ tree }, far) => {
        far.say("TREE: 10\n");
        far.say(tree.subarray(0, 320));
      },
      /another length/,
    ],
    [
      "gives a tree that is too long",
      (_holder, far) => {
        far.say("TREE: 16\n");
        far.say(new Uint8Array(512));
      },
      /another length/,
    ],
    ["announces a tree beyond all memory", (_holder, far) => far.say("TREE: 281474976710656\n"), /./],
    ["announces more hashes than there are numbers", (_holder, far) => far.say("TREE: 99999999999999999999\n"), /protocol/],
    ["announces minus one hash", (_holder, far) => far.say("TREE: -1\n"), /protocol/],
    ["has the file no more", (_holder, far) => far.say("NOT FOUND\n"), /does not have the file/],
    ["answers with bytes of the file", (_holder, far) => far.say(`FILE: length=1 size=${SIZE}\nx`), /protocol/],
  ];

  test("one that does not know what a tree is may still give pieces, when another one proves them", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (far, { verb }) => {
      if (verb === "TREE") far.say("ERROR unknown-verb What is a tree?\n");
      return verb === "TREE";
    };
    field.more.look = async () => [field.record(A), field.record(B)];
    const knowing = field.add(B);
    knowing.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD") far.close();
      return verb === "DOWNLOAD";
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
  });

  test.each(liars)("one that %s is named once, and another gives the file", async (_what, act, reason) => {
    const field = new Field(bytesOf(SIZE));
    const bad = field.add(A);
    bad.instead = (far, { verb }) => {
      if (verb === "TREE") act(bad, far);
      return verb === "TREE";
    };
    field.more.look = async () => [field.record(A), field.record(B)];
    field.add(B);
    field.expectWhole(await field.finish(field.fetch([A])), [B]);
    expect(field.failures).toHaveLength(1);
    expect(field.failures[0]).toStartWith(A);
    expect(field.failures[0]).toMatch(reason);
    expect(field.dials(A)).toHaveLength(1);
    expect(bad.ranges).toEqual([]);
    await field.expectGone();
  });

  test("when nobody can give a tree the file is proven as a whole", async () => {
    const field = new Field(bytesOf(SIZE));
    const plain = field.add(A);
    plain.instead = (far, { verb }) => {
      if (verb === "TREE") far.say("ERROR unknown-verb What is a tree?\n");
      return verb === "TREE";
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.part.restarts).toBe(1);
    expect(plain.ranges).toEqual([{ offset: 0, length: SIZE }]);
  });

  test("proven as a whole means that a wrong one is no file", async () => {
    const field = new Field(bytesOf(SIZE));
    field.part.trusting = true;
    const plain = field.add(A, bytesOf(SIZE, 3));
    plain.instead = (far, { verb }) => {
      if (verb === "TREE") far.say("ERROR unknown-verb What is a tree?\n");
      return verb === "TREE";
    };
    const fetching = field.fetch([A]);
    expect((await failure(field.finish(fetching))).code).toBe("no-holder");
  });
});

describe("fetchFile: what an earlier run has left", () => {
  const HERE = [0, 1, 5, 10];

  function begun(pieces: number[]): { field: Field; begun: { pieces: Uint8Array; have: PieceSet }[] } {
    const field = new Field(bytesOf(SIZE));
    const told: { pieces: Uint8Array; have: PieceSet }[] = [];
    for (const piece of pieces) field.part.bytes.set(field.bytes.subarray(piece * PIECE, (piece + 1) * PIECE), piece * PIECE);
    field.more.present = async (hashes, onChecked) => {
      expect(Buffer.compare(hashes, field.tree)).toBe(0);
      onChecked(300_000);
      await settle();
      onChecked(SIZE - 300_000);
      const have = new PieceSet(11);
      for (const piece of pieces) have.add(piece);
      return have;
    };
    field.more.begun = (hashes, have) => told.push({ pieces: hashes, have });
    return { field, begun: told };
  }

  test("only what is missing is asked for, and progress begins at what is here", async () => {
    const { field, begun: told } = begun(HERE);
    const holder = field.add(A);
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect([...holder.asked].sort((a, b) => a - b)).toEqual([2, 3, 4, 6, 7, 8, 9]);
    expect(field.events.find(({ event }) => event === "progress")).toMatchObject({ received: 3 * PIECE + 123, size: SIZE });
    expect(field.events.filter(({ event }) => event === "checking")).toEqual([
      { event: "checking", checked: 300_000, size: SIZE },
      { event: "checking", checked: SIZE, size: SIZE },
    ]);
    expect(field.part.restarts).toBe(0);
    expect(told).toHaveLength(1);
    expect(Buffer.compare(told[0]?.pieces ?? new Uint8Array(0), field.tree)).toBe(0);
    // The set grows with what arrives: others are served from it.
    expect(told[0]?.have.complete).toBe(true);
  });

  test("all of it: nobody is asked for a byte", async () => {
    const { field } = begun([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const holder = field.add(A);
    field.expectWhole(await field.finish(field.fetch([A])), []);
    expect(holder.ranges).toEqual([]);
    expect(field.part.writes).toBe(0);
    await field.expectGone();
  });

  test("a part file that cannot be read ends it with its own sentence", async () => {
    const { field } = begun([]);
    field.add(A);
    const broken = new FtError("EIO", 'Cannot read "/downloads/x.part".');
    field.more.present = () => Promise.reject(broken);
    expect(await failure(field.finish(field.fetch([A])))).toBe(broken);
    await field.expectGone();
  });

  test("it may take minutes to look at: a holder that hangs up meanwhile is asked again, not given up", async () => {
    const { field } = begun(HERE);
    const holder = field.add(A);
    holder.instead = (far, { verb }) => {
      // A holder closes a connection on which nothing is said for a minute.
      if (verb === "HELLO") field.clock.after(60_000, () => far.close());
      return false;
    };
    const present = field.more.present;
    field.more.present = async (hashes, onChecked) => {
      await new Promise<void>((resolve) => field.clock.after(600_000, resolve));
      return (await present?.(hashes, onChecked)) ?? new PieceSet(11);
    };
    field.expectWhole(await field.finish(field.fetch([A]), 700_000), [A]);
    expect([...holder.asked].sort((a, b) => a - b)).toEqual([2, 3, 4, 6, 7, 8, 9]);
  });

  test("the sentence at the end counts it in", async () => {
    const { field } = begun([0, 1, 5]);
    const holder = field.add(A);
    holder.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD") far.say("NOT FOUND\n");
      return verb === "DOWNLOAD";
    };
    const { message } = await failure(field.finish(field.fetch([A])));
    expect(message).toContain(`stopped at ${formatSize(3 * PIECE)} of ${formatSize(SIZE)}`);
  });
});

describe("fetchFile: stopping", () => {
  const stages: [string, (field: Field) => void][] = [
    ["before it began", (field) => field.stop.abort()],
    [
      "while nobody answers the dial",
      (field) => {
        field.net.fate = () => "silence";
      },
    ],
    [
      "before the tree",
      (field) => {
        field.add(A).instead = (_far, { verb }) => verb === "TREE";
      },
    ],
    [
      "while what is here is looked at",
      (field) => {
        field.add(A);
        field.more.present = () => new Promise(() => undefined);
      },
    ],
    [
      "before the first byte",
      (field) => {
        field.add(A).instead = (_far, { verb }) => verb === "DOWNLOAD";
      },
    ],
    [
      "in the middle of a body",
      (field) => {
        const holder = field.add(A);
        holder.instead = (far, request) => {
          if (request.verb !== "DOWNLOAD") return false;
          if (request.count === 0) holder.announce(far, request);
          if (request.count === 0) far.say(field.bytes.subarray(0, 1000));
          return true;
        };
      },
    ],
    [
      "while it waits for a slot",
      (field) => {
        field.add(A).instead = (far, { verb }) => {
          if (verb === "DOWNLOAD") far.say("BUSY position=1\n");
          return verb === "DOWNLOAD";
        };
      },
    ],
    [
      "between two tries",
      (field) => {
        field.net.fate = () => REFUSED;
      },
    ],
    [
      "while the tracker is asked for somebody else",
      (field) => {
        field.net.fate = () => REFUSED;
        field.more.look = () => new Promise(() => undefined);
      },
    ],
    [
      "while the limit holds it back",
      (field) => {
        field.add(A);
        field.more.limit = new RateLimit(100, field.clock);
      },
    ],
  ];

  test.each(stages)("%s ends it at once and leaves nothing behind", async (_what, prepare) => {
    const field = new Field(bytesOf(2 * MiB));
    prepare(field);
    const fetching = field.fetch([A]);
    await field.clock.pass(field.more.look === undefined ? 100 : 20_000);
    field.stop.abort();
    expect(await stateOf(fetching)).toBe("failed");
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
    await field.expectGone();
    const told = field.events.length;
    await field.clock.pass(60_000);
    expect(field.events).toHaveLength(told);
  });

  test("while our disk is busy: the holders are let go at once, and it ends with the write under way, which counts", async () => {
    const field = new Field(bytesOf(2 * MiB));
    const disk = Promise.withResolvers<void>();
    field.part.gate = disk.promise;
    let have: PieceSet | undefined;
    field.more.begun = (_pieces, set) => {
      have = set;
    };
    const holder = field.add(A);
    holder.pace = 1_000_000;
    const fetching = field.fetch([A]);
    await field.clock.pass(1000);
    field.stop.abort();
    await settle();
    expect(holder.connections.every(({ closed }) => closed)).toBe(true);
    expect(have?.count).toBe(0);
    // Whoever cleans up after it finds nothing that is still written.
    expect(await stateOf(fetching)).toBe("waiting");
    disk.resolve();
    expect(await stateOf(fetching)).toBe("failed");
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
    expect(have?.count).toBeGreaterThan(0);
    expect(getEventListeners(field.stop.signal, "abort").length).toBe(0);
    expect(field.events.map(({ event }) => event)).not.toContain("verifying");
  });

  test("while the last write is under way: it is cancelled, and does not say that it verifies", async () => {
    const field = new Field(bytesOf(100));
    const disk = Promise.withResolvers<void>();
    field.part.gate = disk.promise;
    field.add(A);
    const fetching = field.fetch([A]);
    await field.clock.pass(100);
    field.stop.abort();
    disk.resolve();
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
    expect(field.events.map(({ event }) => event)).not.toContain("verifying");
  });
});
