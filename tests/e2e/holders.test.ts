// ft-peer get from holders that lie, fail and vanish: the compiled program against holders that speak bytes written from the
// protocol's text.

import { beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Answers, contentId, type Holder, noise } from "../helpers/holder.ts";
import {
  BIG,
  DECEIVING,
  expectSentence,
  type Outcome,
  peerStage,
  record,
  seenIn,
  startLibrary,
} from "../helpers/peer-stage.ts";
import { PEER } from "../helpers/programs.ts";
import type { Raw } from "../helpers/raw.ts";

const stage = peerStage();
const library = startLibrary();

describe("holders", () => {
  let count = 0;
  let calls = 0;
  let name: string;
  let content: Buffer;
  let root: string;

  // Every test has a file of its own, so that no other test's holder is ever asked for it.
  beforeEach(() => {
    count += 1;
    name = `file ${count}.bin`;
    content = noise(200_000, 100 + count);
    root = contentId(content);
  });

  /** Fetches the content from these raw holders, in this order, under a name that no other call uses. */
  async function fetchFrom(...holders: { port: number }[]): Promise<Outcome & { inbox: string; name: string }> {
    calls += 1;
    const called = `${calls} ${name}`;
    for (const { port: at } of holders)
      await stage.enlist(library.tracker.port, at, [record(called, content.length, at, root)]);
    const inbox = stage.folder();
    return {
      ...(await stage.ft(stage.visitorFolder(), library.tracker.address, "get", called, "--to", inbox, "--json")),
      inbox,
      name: called,
    };
  }

  /** Answers only when another holder is online that has the content under another name: so this one is asked first. */
  function before(other: Holder, answer: NonNullable<Answers["download"]>): Answers {
    let turnedUp: Promise<string> | undefined;
    return {
      download: async (asked, connection) => {
        turnedUp ??= stage.enlist(library.tracker.port, other.port, [
          record(`other ${name}`, content.length, other.port, root),
        ]);
        await turnedUp;
        answer(asked, connection);
      },
    };
  }

  const liars: [string, NonNullable<Answers["download"]>][] = [
    [
      "wrong bytes",
      ({ offset, length }, connection) => {
        const wrong = Buffer.from(content);
        wrong[100_000] = (wrong[100_000] ?? 0) ^ 1;
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(wrong.subarray(offset, offset + length));
      },
    ],
    [
      "fewer bytes than it announced",
      ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + length - 1));
        connection.halfClose();
      },
    ],
    [
      "a shorter length than was asked for",
      ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length - 1} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + length - 1));
      },
    ],
    [
      "more bytes than were asked for",
      ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length + 1} size=${content.length}\n`);
        connection.send(Buffer.concat([content.subarray(offset, offset + length), Buffer.alloc(1)]));
      },
    ],
    [
      "a file of another size",
      ({ length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length + 1}\n`);
        connection.send(Buffer.alloc(length));
      },
    ],
    ["rubbish", (_, connection) => connection.send(`${"\u0000\u00ff".repeat(5_000)}\n`)],
    ["a refusal with escape codes in it", (_, connection) => connection.send("ERROR no-way go%1B[2Jaway\n")],
  ];

  test.each(liars)(
    "a holder that sends %s is named and nothing of it is published; another one gives the file",
    async (_, download) => {
      const alone = async () => {
        const liar = await stage.holder(content, { download });
        const { code, program, inbox, name, out, err } = await fetchFrom(liar);
        expect(code).toBe(1);
        const last = program.objects().at(-1);
        expect(last).toMatchObject({ event: "error", code: expect.any(String) });
        expect(last?.message).toContain(`127.0.0.1:${liar.port}`);
        expect(last?.message).toContain(`"${name}"`);
        expect(seenIn(inbox)).toEqual([]);
        expect(out + err).not.toMatch(DECEIVING);
      };
      const followed = async () => {
        const honest = await stage.holder(content);
        const liar = await stage.holder(content, before(honest, download));
        const { code, program, inbox, name } = await fetchFrom(liar);
        expect(code).toBe(0);
        expect(program.objects().at(-1)).toMatchObject({ event: "done", verified: true });
        expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
        expect(readdirSync(inbox)).toEqual([name]);
        expect(program.objects()).toContainEqual({
          event: "holder-failed",
          address: "127.0.0.1",
          port: liar.port,
          reason: expect.stringMatching(/./),
        });
      };
      // One after the other: every holder that is online with the same content is asked, too.
      await alone();
      await followed();
    },
  );

  test("a holder that vanishes in the middle is followed by another, which goes on where it stopped", async () => {
    const honest = await stage.holder(content);
    const vanishing = await stage.holder(
      content,
      before(honest, ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + 120_000));
        connection.halfClose();
      }),
    );
    const { code, program, inbox, name } = await fetchFrom(vanishing);
    expect(code).toBe(0);
    expect(program.objects().at(-1)).toMatchObject({ event: "done", verified: true, holders: 2 });
    expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
    const asked = honest.asked.filter((line) => line.startsWith("DOWNLOAD"));
    expect(asked.length).toBeGreaterThan(0);
    // 120,000 bytes are one piece and the beginning of another.
    for (const line of asked) expect(Number(/ offset=(\d+) /.exec(line)?.[1])).toBeGreaterThanOrEqual(65_536);
  });

  test("what a peer says first to an address from a record is constant up to the pass", async () => {
    const honest = await stage.holder(content);
    expect((await fetchFrom(honest)).code).toBe(0);
    expect(honest.asked[0]).toMatch(/^HELLO FT\/2 pass=[\w-]+\.[\w-]+ keyed=[\w-]+\.[\w-]+$/);
    expect(honest.asked[1]).toBe(`TREE root=${root} piece=65536`);
    expect(honest.asked[2]).toStartWith(`DOWNLOAD root=${root} `);
    expect(honest.asked.at(-1)).toBe("BYE");
  });

  test("the same file fetched twice at once does no damage: the second says so, the first gets it", async () => {
    const { address, port } = library.tracker;
    const begun = Promise.withResolvers<Raw>();
    const slow = await stage.holder(content, {
      download: ({ length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(0, 1_000));
        begun.resolve(connection);
      },
    });
    await stage.enlist(port, slow.port, [record(name, content.length, slow.port, root)]);
    const inbox = stage.folder();
    const first = stage.ft(stage.visitorFolder(), address, "get", name, "--to", inbox);
    const connection = await begun.promise;
    const second = await stage.ft(stage.visitorFolder(), address, "get", name, "--to", inbox, "--quiet");
    expect({ code: second.code, out: second.out }).toEqual({ code: 1, out: "" });
    expectSentence(second.err);
    expect(second.err).toContain(name);
    connection.send(content.subarray(1_000));
    expect((await first).code).toBe(0);
    expect(readdirSync(inbox)).toEqual([name]);
    expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
  });

  test("after a kill -9 in the middle the same command gets the right file", async () => {
    const { address, port } = library.tracker;
    let held = true;
    const slow = await stage.holder(content, {
      download: ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + (held ? 100_000 : length)));
      },
    });
    await stage.enlist(port, slow.port, [record(name, content.length, slow.port, root)]);
    const inbox = stage.folder();
    const killed = stage.run(PEER, [address, "get", name, "--to", inbox, "--port", "0", "--json"], {
      cwd: stage.visitorFolder(),
    });
    await killed.waitFor(/"event":"progress"/);
    killed.kill("SIGKILL");
    await killed.exited;
    expect(seenIn(inbox)).toEqual([]);
    held = false;
    expect((await stage.ft(stage.visitorFolder(), address, "get", name, "--to", inbox)).code).toBe(0);
    expect(readdirSync(inbox)).toEqual([name]);
    expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
  });

  test("ten downloads at once from one peer all arrive right", async () => {
    const { address } = library.tracker;
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const inbox = stage.folder();
        const { code, program } = await stage.ft(stage.visitorFolder(), address, "get", "big.bin", "--to", inbox, "--json");
        const { event, verified } = program.objects().at(-1) ?? {};
        return { code, event, verified, same: readFileSync(join(inbox, "big.bin")).equals(BIG) };
      }),
    );
    expect(outcomes).toEqual(Array.from({ length: 10 }, () => ({ code: 0, event: "done", verified: true, same: true })));
  });
});
