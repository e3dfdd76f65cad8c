// The conversation with one holder: requests go out as the protocol spells them, and every answer is held against its request.

import { describe, expect, test } from "bun:test";
import { type Range, Source } from "../../../lib/peer/fetch/source.ts";
import { addressOf, connection, type Far, nameOf, type Side, settle } from "../../helpers/channel.ts";

const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const SIZE = 200_000;

interface Talk {
  source: Source;
  near: Side;
  far: Far;
  /** What the engine was told, in order; bytes as text. */
  told: string[];
  /** Of each failure, whether another pass might help. */
  denied: (boolean | undefined)[];
}

const shown = ({ offset, length }: Range) => `${offset}+${length}`;

function talk(what: ConstructorParameters<typeof Source>[1] = { root: ROOT }, size = SIZE): Talk {
  const { near, far } = connection({ address: addressOf("192.168.1.31"), port: 5000 });
  const told: string[] = [];
  const denied: boolean[] = [];
  const source = new Source(near, what, size, {
    tree: (pieces) => told.push(`tree ${pieces === undefined ? "unknown" : Buffer.from(pieces).toString("latin1")}`),
    have: (bits) => told.push(`have ${bits?.toHex() ?? "unknown"}`),
    bytes: (at, bytes) => told.push(`bytes ${at} ${Buffer.from(bytes)}`),
    served: (range) => told.push(`served ${shown(range)}`),
    busy: (range, position) => told.push(`busy ${shown(range)} ${position}`),
    lacks: (range) => told.push(`lacks ${shown(range)}`),
    failed: (reason, final, unless) => {
      told.push(`failed ${final ? "for good" : "for now"}: ${reason}`);
      denied.push(unless === "new-pass");
    },
  });
  return { source, near, far, told, denied };
}

/** One that was greeted and waits for the answer to this request. */
async function asked(request: "DOWNLOAD" | "TREE" | "HAVE" | "nothing"): Promise<Talk> {
  const all = talk();
  all.source.start("pass.sig");
  if (request === "DOWNLOAD") all.source.ask({ offset: 10, length: 5 });
  if (request === "TREE") all.source.askTree(65_536, 2);
  if (request === "HAVE") all.source.askHave(9);
  all.far.say("HI FT/2\n");
  await settle();
  return all;
}

describe("Source: what is said", () => {
  test("every request, byte for byte, and the first bytes are constant up to the pass", async () => {
    const { source, far } = talk();
    source.start("payload.sig");
    source.askTree(65_536, 4);
    source.askHave(4);
    source.ask({ offset: 65_536, length: 131_072 });
    await settle();
    expect(far.writes.join("")).toBe(
      `HELLO FT/2 pass=payload.sig\nTREE root=${ROOT} piece=65536\nHAVE root=${ROOT}\nDOWNLOAD root=${ROOT} offset=65536 length=131072\n`,
    );
    expect(source.pending).toBe(4);
  });

  test("about a folder, every request names its list", async () => {
    const { source, far } = talk({ folder: ROOT });
    source.start("p.s");
    source.askTree(1, 4);
    source.askHave(4);
    source.ask({ offset: 5, length: 7 });
    await settle();
    const requests = `TREE folder=${ROOT}\nHAVE folder=${ROOT}\nDOWNLOAD folder=${ROOT} offset=5 length=7\n`;
    expect(far.writes.join("")).toBe(`HELLO FT/2 pass=p.s\n${requests}`);
  });

  test("a keyed pass is shown behind the pass, and proven once, for the holder of the record", async () => {
    const { source, far, told } = talk();
    const at = { address: addressOf("192.168.1.31"), port: 1235 };
    const keyed = { text: "keyed.sig", prove: (nonce: string) => (nonce === "a-nonce-of-the-holder" ? "signed" : undefined) };
    source.start("payload.sig", at, keyed);
    source.askHave(4);
    far.say("PROVE nonce=a-nonce-of-the-holder\n");
    await settle();
    expect(far.writes.join("")).toBe(
      `HELLO FT/2 pass=payload.sig keyed=keyed.sig\nHAVE root=${ROOT}\nPROOF address=192.168.1.31 port=1235 proof=signed\n`,
    );
    far.say("HI FT/2\n");
    await settle();
    expect([source.pending, told]).toEqual([1, []]);
  });

  test("a PROVE that was not expected, or comes twice, or has no nonce, breaks the protocol", async () => {
    const at = { address: addressOf("192.168.1.31"), port: 1235 };
    const keyed = { text: "keyed.sig", prove: (nonce: string) => (nonce === "right" ? "signed" : undefined) };
    for (const [said, shown] of [
      ["PROVE nonce=right\n", undefined],
      ["PROVE nonce=right\n".repeat(2), keyed],
      ["PROVE nonce=wrong\n", keyed],
    ] as const) {
      const { source, far, told } = talk();
      source.start("payload.sig", at, shown);
      far.say(said);
      await settle();
      expect(told).toEqual([expect.stringMatching(/^failed for good: it broke the protocol/)]);
    }
  });

  test("without a content id the name is asked for, escaped", async () => {
    const { source, far } = talk({ name: nameOf("a b%,;.txt") });
    source.start("p.s");
    source.ask({ offset: 0, length: 1 });
    await settle();
    expect(far.writes.join("")).toBe("HELLO FT/2 pass=p.s\nDOWNLOAD name=a%20b%25%2C%3B.txt offset=0 length=1\n");
  });

  test("leaving is a BYE when nothing is owed, and a plain end when something is", async () => {
    const idle = await asked("nothing");
    idle.source.leave();
    await settle();
    expect(idle.far.writes.join("")).toEndWith("\nBYE\n");
    expect(idle.far.ended).toBe(true);
    const busy = await asked("DOWNLOAD");
    busy.source.leave();
    await settle();
    expect(busy.far.writes.join("")).not.toContain("BYE");
    expect(busy.far.closed).toBe(true);
    expect([...idle.told, ...busy.told]).toEqual([]);
  });
});

describe("Source: what is heard", () => {
  const TREE = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-+";
  const ANSWERS = `HI FT/2\nTREE: 2\n${TREE}HAVE: 2\n\u0001\u007fFILE: length=5 size=${SIZE}\nHelloBUSY position=7\nERROR not-here Not here.\n`;
  const TOLD = [`tree ${TREE}`, "have 017f", "bytes 10 Hello", "served 10+5", "busy 15+1 7", "lacks 16+2"];

  async function hear(say: (far: Far) => void): Promise<string[]> {
    const { source, far, told } = talk();
    source.start("p.s");
    source.askTree(65_536, 2);
    source.askHave(9);
    for (const range of [
      { offset: 10, length: 5 },
      { offset: 15, length: 1 },
      { offset: 16, length: 2 },
    ])
      source.ask(range);
    say(far);
    await settle();
    expect(source.pending).toBe(0);
    return told;
  }

  test("all answers in one piece", async () => {
    expect(await hear((far) => far.say(ANSWERS))).toEqual(TOLD);
  });

  test("cut at every place", async () => {
    for (let cut = 1; cut < ANSWERS.length; cut++) {
      const told = await hear((far) => {
        far.say(ANSWERS.slice(0, cut));
        far.say(ANSWERS.slice(cut));
      });
      const bytes = told.filter((line) => line.startsWith("bytes")).map((line) => line.split(" ")[2]);
      expect(bytes.join("")).toBe("Hello");
      expect(told.filter((line) => !line.startsWith("bytes"))).toEqual(TOLD.filter((line) => !line.startsWith("bytes")));
    }
  });

  test("byte by byte, every byte with its place", async () => {
    const told = await hear((far) => far.stutter(ANSWERS));
    expect(told.filter((line) => line.startsWith("bytes"))).toEqual([
      "bytes 10 H",
      "bytes 11 e",
      "bytes 12 l",
      "bytes 13 l",
      "bytes 14 o",
    ]);
  });

  test("answers without bytes: of an empty file, its tree and its bit field", async () => {
    const { source, far, told } = talk({ root: ROOT }, 0);
    source.start("p.s");
    source.askTree(65_536, 0);
    source.askHave(0);
    source.ask({ offset: 0, length: 0 });
    far.say("HI FT/2\nTREE: 0\nHAVE: 0\nFILE: length=0 size=0\n");
    await settle();
    expect(told).toEqual(["tree ", "have ", "served 0+0"]);
  });

  test.each(["TREE", "HAVE"] as const)("a holder that does not know %s says so, and the conversation goes on", async (verb) => {
    const { source, far, told } = await asked(verb);
    source.ask({ offset: 0, length: 2 });
    far.say(`ERROR unknown-verb ${verb}?\nFILE: length=2 size=${SIZE}\nhi`);
    await settle();
    expect(told).toEqual([`${verb.toLowerCase()} unknown`, "bytes 0 hi", "served 0+2"]);
  });

  test("while it is paused nothing is heard", async () => {
    const { source, far, told } = await asked("DOWNLOAD");
    source.paused = true;
    far.say(`FILE: length=5 size=${SIZE}\nHello`);
    await settle();
    expect(told).toEqual([]);
    source.paused = false;
    await settle();
    expect(told.at(-1)).toBe("served 10+5");
  });
});

describe("Source: a holder that fails", () => {
  const GOOD = `FILE: length=5 size=${SIZE}\n`;
  type Case = [what: string, request: Parameters<typeof asked>[0], answer: string | Uint8Array, told: RegExp];
  test.each([
    ["another size", "DOWNLOAD", `FILE: length=5 size=${SIZE + 1}\n`, /for good: its copy has changed$/],
    ["fewer bytes", "DOWNLOAD", `FILE: length=4 size=${SIZE}\n`, /for good: it sent another length/],
    ["more bytes", "DOWNLOAD", `FILE: length=6 size=${SIZE}\n`, /for good: it sent another length/],
    ["2^53 + 1 bytes", "DOWNLOAD", `FILE: length=9007199254740993 size=${SIZE}\n`, /for good: it broke the protocol/],
    ["minus one byte", "DOWNLOAD", `FILE: length=-1 size=${SIZE}\n`, /for good: it broke the protocol/],
    ["no size", "DOWNLOAD", "FILE: length=5\n", /for good: it broke the protocol/],
    ["bytes after the end", "DOWNLOAD", `${GOOD}Hello!\n`, /for good: it broke the protocol/],
    ["NOT FOUND", "DOWNLOAD", "NOT FOUND\n", /for good: it does not have the file any more$/],
    ["not accepted", "DOWNLOAD", "ERROR not-accepted Who are you?\n", /for good: it refused: Who are you\?$/],
    ["another error", "DOWNLOAD", "ERROR disk-failed The disk is on fire.\n", /for now: it refused: The disk is on fire$/],
    ["a long tale", "DOWNLOAD", `ERROR disk-failed ${"y".repeat(4000)}\n`, /for now: it refused: y{200}$/],
    ["a second greeting", "DOWNLOAD", "HI FT/2\n", /for good: it broke the protocol/],
    ["a tree", "DOWNLOAD", "TREE: 0\n", /for good: it broke the protocol/],
    ["BUSY without a place", "DOWNLOAD", "BUSY\n", /for good: it broke the protocol/],
    ["BUSY", "TREE", "BUSY position=1\n", /for good: it broke the protocol/],
    ["a file", "TREE", GOOD, /for good: it broke the protocol/],
    ["too few hashes", "TREE", "TREE: 1\n", /for good: .*another length/],
    ["too many hashes", "TREE", "TREE: 3\n", /for good: .*another length/],
    ["hashes beyond all memory", "TREE", "TREE: 281474976710656\n", /for good: /],
    ["more hashes than there are numbers", "TREE", "TREE: 9007199254740991\n", /for good: /],
    ["half a hash", "TREE", "TREE: 1.5\n", /for good: it broke the protocol/],
    ["NOT FOUND", "TREE", "NOT FOUND\n", /for good: it does not have the file any more$/],
    ["not accepted", "TREE", "ERROR not-accepted No.\n", /for good: it refused: No$/],
    ["a bit field too short", "HAVE", "HAVE: 1\n", /for good: .*another length/],
    ["a bit field too long", "HAVE", "HAVE: 3\n", /for good: .*another length/],
    ["a bit field beyond all memory", "HAVE", "HAVE: 9007199254740991\n", /for good: .*another length/],
    ["not accepted", "HAVE", "ERROR not-accepted No.\n", /for good: it refused: No$/],
    ["anything at all", "nothing", "HI FT/2\n", /for good: it broke the protocol/],
    ["a web page", "DOWNLOAD", "HTTP/1.1 404 Not Found\r\n\r\n", /for good: it broke the protocol/],
    ["bytes that are no text", "DOWNLOAD", Uint8Array.of(0xff, 0xfe, 0, 10), /for good: it broke the protocol/],
    ["a line without end", "DOWNLOAD", "FILE: ".padEnd(10_000, "x"), /for good: it broke the protocol/],
  ] as Case[])("%s in answer to %s", async (_what, request, answer, told) => {
    const all = await asked(request);
    all.far.say(answer);
    await settle();
    const failures = all.told.filter((line) => line.startsWith("failed"));
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatch(told);
    expect(failures[0]).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(all.near.closed).toBe(true);
    expect(all.far.closed).toBe(true);
  });

  test.each(["nothing", "DOWNLOAD", "TREE", "HAVE"] as const)(
    "a pass that is refused, in answer to HELLO or to %s, may be another one's; nothing else is told so",
    async (request) => {
      const refusing = talk();
      refusing.source.start("p.s");
      if (request === "nothing") refusing.far.say("ERROR not-accepted Who are you?\n");
      const all = request === "nothing" ? refusing : await asked(request);
      if (request !== "nothing") all.far.say("ERROR not-accepted Who are you?\n");
      await settle();
      expect(all.told).toEqual(["failed for good: it refused: Who are you?"]);
      expect(all.denied).toEqual([true]);
    },
  );

  test.each([
    ["another error", "ERROR disk-failed The disk is on fire.\n"],
    ["an error of almost that name", "ERROR not-accepted-here No.\n"],
    ["an error in other letters", "ERROR NOT-ACCEPTED No.\n"],
    ["no such file", "NOT FOUND\n"],
    ["rubbish", "<html>\n"],
    ["another size", `FILE: length=5 size=${SIZE + 1}\n`],
  ])("%s has nothing to do with the pass", async (_what, answer) => {
    const { far, denied } = await asked("DOWNLOAD");
    far.say(answer);
    await settle();
    expect(denied).toEqual([false]);
  });

  test("an end, or being given up, has nothing to do with the pass either", async () => {
    const [ended, givenUp] = [await asked("DOWNLOAD"), await asked("DOWNLOAD")];
    ended.far.close();
    givenUp.source.fail("it is too slow", false);
    await settle();
    expect([...ended.denied, ...givenUp.denied]).toEqual([false, false]);
  });

  test("an end in the middle of an answer, or before it, is for now; what came before it was told", async () => {
    const closing = await asked("DOWNLOAD");
    closing.far.say(`${GOOD}Hel`);
    closing.far.close();
    await settle();
    expect(closing.told).toEqual(["bytes 10 Hel", "failed for now: it disconnected"]);
    const resetting = await asked("TREE");
    resetting.far.reset();
    await settle();
    expect(resetting.told).toHaveLength(1);
    expect(resetting.told[0]).toMatch(/^failed for now: /);
  });

  test("nothing is told after it left, was left, or was given up", async () => {
    const left = await asked("DOWNLOAD");
    left.source.leave();
    left.far.say(`${GOOD}Hello`);
    const givenUp = await asked("DOWNLOAD");
    givenUp.source.fail("it is too slow", false);
    givenUp.far.say(`${GOOD}Hello`);
    givenUp.source.fail("and once more", true);
    await settle();
    expect(left.told).toEqual([]);
    expect(givenUp.told).toEqual(["failed for now: it is too slow"]);
  });
});
