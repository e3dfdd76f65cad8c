// Which tracker: what is remembered of the last one, whatever became of the memory, and what is said when there is none, or several.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { CancelledError, UsageError } from "../../../lib/error.ts";
import {
  describePlace,
  type KnownTracker,
  KnownTrackers,
  type Located,
  nobodyFound,
  parseTracker,
  severalFound,
  typed,
} from "../../../lib/peer/locate/locate.ts";
import type { Found } from "../../../lib/peer/locate/look.ts";
import { Prompts } from "../../../lib/peer/screen/ask.ts";
import { chooseTracker } from "../../../lib/peer/screen/prompts/questions.ts";
import { Lan } from "../../helpers/lan.ts";

setDefaultTimeout(20_000);

const LIB = join(import.meta.dir, "..", "..", "..", "lib");
const LAB: KnownTracker = { name: "Lab 3", address: "192.168.1.5", port: 1234, key: "a" };
const HOSTILE = "a\u001b[2J\u0007\u202egnp.exe\u200b\nb";
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b\u202e]/;

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ft-locate-"));
  path = join(folder, "cache", "filetracker", "tracker.json");
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Puts this where the memory is. */
function put(content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

function found(more: Partial<Found> = {}): Found {
  return { trackers: [], asked: ["eth0 (IPv4)"], problems: [], echo: true, ...more };
}

describe("the last tracker", () => {
  test("is remembered, in a folder that is made for it", () => {
    const last = new KnownTrackers(path);
    expect(last.last).toBeUndefined();
    last.remember({ ...LAB, others: ["10.0.0.5"] });
    expect(new KnownTrackers(path).last).toEqual(LAB);
    expect(readdirSync(dirname(path))).toEqual(["tracker.json"]);
  });

  test("is the one that was written last, in whatever folder", () => {
    const last = new KnownTrackers(path);
    for (const one of [
      LAB,
      { name: "", address: "fe80::1%eth0", port: 1, key: "b" },
      { name: "漢字", address: "::1", port: 65_535, key: "c" },
    ]) {
      last.remember(one);
      expect(last.last).toEqual(one);
    }
    expect(readdirSync(dirname(path))).toEqual(["tracker.json"]);
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "not json"],
    ["half of it", '{"name":"Lab 3","address":"192.168.'],
    ["null", "null"],
    ["a number", "5"],
    ["a text", '"192.168.1.5"'],
    ["a list", '[{"name":"Lab 3","address":"192.168.1.5","port":1234}]'],
    ["no name", '{"address":"192.168.1.5","port":1234}'],
    ["a name that is none", '{"name":{},"address":"192.168.1.5","port":1234}'],
    ["no address", '{"name":"Lab 3","port":1234}'],
    ["an address that is none", '{"name":"Lab 3","address":"192.168.1.500","port":1234}'],
    ["an address with more behind it", '{"name":"Lab 3","address":"192.168.1.5\\u001b[2J","port":1234}'],
    ["a list of addresses", '{"name":"Lab 3","address":["192.168.1.5","10.0.0.5"],"port":1234}'],
    ["no port", '{"name":"Lab 3","address":"192.168.1.5"}'],
    ["port 0", '{"name":"Lab 3","address":"192.168.1.5","port":0}'],
    ["port 65536", '{"name":"Lab 3","address":"192.168.1.5","port":65536}'],
    ["half a port", '{"name":"Lab 3","address":"192.168.1.5","port":1234.5}'],
    ["bytes that are not text", Uint8Array.of(0xff, 0xfe, 0x00, 0x7b)],
    ["a thousand brackets", "[".repeat(100_000)],
    ["sixteen megabytes of nothing", new Uint8Array(16 * 1024 * 1024)],
  ] as [string, string | Uint8Array][])(
    "is nobody when there is %s in its file, and the next one is remembered",
    (_what, content) => {
      put(content);
      const last = new KnownTrackers(path);
      expect(last.last).toBeUndefined();
      last.remember(LAB);
      expect(last.last).toEqual(LAB);
    },
  );

  test("has a name of a bearable length, whatever is in its file", () => {
    put(JSON.stringify({ ...LAB, name: "x".repeat(5_000) }));
    expect(new KnownTrackers(path).last?.name.length).toBe(63);
    put(JSON.stringify({ ...LAB, name: "x".repeat(5_000_000) }));
    expect(new KnownTrackers(path).last).toBeUndefined();
  });

  test("of a hostile name is what it is, and safe where it is shown", () => {
    new KnownTrackers(path).remember({ ...LAB, name: HOSTILE });
    const last = new KnownTrackers(path).last;
    expect(last?.name).toBe(HOSTILE);
    expect(last === undefined ? HOSTILE : describePlace(last)).not.toMatch(UNSAFE);
  });

  test("of an earlier version's file has no key", () => {
    put('{"name":"Lab 3","address":"192.168.1.5","port":1234}');
    const trackers = new KnownTrackers(path);
    expect(trackers.all()).toEqual([{ ...LAB, key: "" }]);
    trackers.remember(LAB);
    expect(trackers.all()).toEqual([LAB]);
  });

  test("comes first, before the thirty-one that were used before; one that moved is remembered once", () => {
    const trackers = new KnownTrackers(path);
    for (let i = 0; i < 40; i++) trackers.remember({ ...LAB, address: `10.0.0.${i}`, key: `k${i}` });
    trackers.remember({ ...LAB, address: "10.9.9.9", key: "k20" });
    const keys = trackers.all().map(({ key }) => key);
    expect(keys).toHaveLength(32);
    expect(keys.slice(0, 3)).toEqual(["k20", "k39", "k38"]);
    expect(keys.filter((key) => key === "k20")).toHaveLength(1);
    expect(trackers.last?.address).toBe("10.9.9.9");
  });

  const OTHERS = process.platform === "win32" ? test.skip : test;
  OTHERS.each([
    ["may be written by everybody", () => chmodSync(path, 0o666)],
    ["may be written by the group", () => chmodSync(path, 0o620)],
    [
      "is a link",
      () => {
        renameSync(path, `${path}.other`);
        symlinkSync(`${path}.other`, path);
      },
    ],
    [
      "is a folder",
      () => {
        rmSync(path);
        mkdirSync(path);
      },
    ],
    [
      "is another user's",
      () => {
        if (process.getuid?.() === 0) chownSync(path, 12_345, 12_345);
        else rmSync(path);
      },
    ],
  ])("is not believed from a file that %s", (_what, spoil) => {
    const trackers = new KnownTrackers(path);
    trackers.remember(LAB);
    expect(trackers.last).toEqual(LAB);
    spoil();
    expect(trackers.last).toBeUndefined();
  });

  test("is in a file that only this user reads", () => {
    new KnownTrackers(path).remember(LAB);
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("that stands where a folder is cannot be remembered, and nothing is left behind", () => {
    mkdirSync(path, { recursive: true });
    const last = new KnownTrackers(path);
    expect(last.last).toBeUndefined();
    last.remember(LAB);
    expect(last.last).toBeUndefined();
    expect(readdirSync(dirname(path))).toEqual(["tracker.json"]);
  });

  test("below a file that should be a folder is no failure either", () => {
    mkdirSync(dirname(dirname(path)), { recursive: true });
    writeFileSync(dirname(path), "a file");
    const last = new KnownTrackers(path);
    last.remember(LAB);
    expect(last.last).toBeUndefined();
    expect(readFileSync(dirname(path), "utf8")).toBe("a file");
  });

  test("is at no moment half written: who reads sees one or the other", async () => {
    const long = { name: "x".repeat(63), address: "2001:db8:1234:5678:9abc:def0:1234:5678", port: 65_535, key: "long" };
    const script = `
      const { KnownTrackers } = await import(${JSON.stringify(join(LIB, "peer", "locate", "locate.ts"))});
      const last = new KnownTrackers(process.argv[1]);
      for (let i = 0; i < 300; i++) for (const one of ${JSON.stringify([LAB, long])}) last.remember(one);
    `;
    new KnownTrackers(path).remember(LAB);
    const writers = [1, 2].map(() =>
      Bun.spawn([process.execPath, "-e", script, path], { stdout: "ignore", stderr: "inherit" }),
    );
    const running = Promise.all(writers.map(({ exited }) => exited));
    let over = false;
    void running.then(() => {
      over = true;
    });
    const seen = new Set<string>();
    while (!over) {
      for (let i = 0; i < 50; i++) seen.add(JSON.stringify(new KnownTrackers(path).last ?? "nothing"));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await running).toEqual([0, 0]);
    expect([...seen].filter((one) => one !== JSON.stringify(LAB) && one !== JSON.stringify(long))).toEqual([]);
    expect(readdirSync(dirname(path))).toEqual(["tracker.json"]);
  });

  test("in a folder that may not be written is no failure", () => {
    mkdirSync(dirname(path), { recursive: true });
    chmodSync(dirname(path), 0o555);
    const asRoot = process.getuid?.() === 0 || process.platform === "win32";
    if (asRoot) console.log("every folder may be written by root, and on Windows: only that nothing fails is looked at");
    expect(() => new KnownTrackers(path).remember(LAB)).not.toThrow();
    expect(existsSync(path)).toBe(asRoot);
    chmodSync(dirname(path), 0o755);
  });
});

describe("a tracker as somebody would type it", () => {
  test.each([
    ["192.168.1.5", 1234, "192.168.1.5"],
    ["192.168.1.5", 4321, "192.168.1.5:4321"],
    ["fd00::5", 1234, "fd00::5"],
    ["fd00::5", 4321, "[fd00::5]:4321"],
    ["fe80::5%eth0", 1234, "fe80::5%eth0"],
    ["fe80::5%eth0", 4321, "[fe80::5%eth0]:4321"],
    ["lab.local", 4321, "lab.local:4321"],
    ["lab.local.", 4321, "lab.local.:4321"],
    ["my_pc", 1234, "my_pc"],
    ["_x", 1234, "_x"],
    ["bücher.lan", 1234, "bücher.lan"],
    ["部屋3", 4321, "部屋3:4321"],
  ])("%s, port %d: is %s, and is understood", (address, port, text) => {
    expect(typed({ address, port })).toBe(text);
    expect(parseTracker(text)).toEqual({ address, port });
  });

  test.each(["", ".", "-x", "a b", "a/b", "x@lab", "lab?", "lab\n", "12.34", "[lab]", "lab:0", "a..", "\u202elab"])(
    "%j is none",
    (text) => {
      expect(() => parseTracker(text)).toThrow("is not a tracker's address");
    },
  );
});

describe("nobody announces a tracker", () => {
  const sentence = (one: Found, last?: Located) => {
    const { code, message } = nobodyFound(one, last);
    expect(code).toBe("no-tracker");
    expect(message).toMatch(/^No tracker found on this network.*\. Type the address .*ft-peer ADDRESS\./);
    expect(message).not.toMatch(/\.\.|\.:/);
    return message;
  };

  test("and our own question was heard: multicast is blocked elsewhere, or there is none", () => {
    expect(sentence(found())).toMatch(/either none is running, or multicast .*5353.* blocked between it and this machine/);
  });

  test("and not even our own question came back: this machine's firewall", () => {
    expect(sentence(found({ echo: false }))).toMatch(/a firewall on this machine seems to block multicast .*5353/);
  });

  test("because there is no network, or it could not be asked: that is the reason", () => {
    expect(sentence(found({ asked: [], echo: false }))).toContain("this machine has no network");
    const problem = "Cannot ask on eth0 (IPv4): UDP port 5353 is taken.";
    for (const asked of [[], ["wlan0 (IPv4)"]]) {
      expect(sentence(found({ asked, problems: [problem], echo: false }))).toContain(`${problem} Type`);
    }
  });

  test("a problem on one interface is not the reason when another one works", () => {
    const message = sentence(found({ problems: ["Cannot ask on docker0 (IPv4): not permitted."], echo: true }));
    expect(message).not.toContain("docker0");
  });

  test("the last one is named, so that it can be typed; whatever its name, the sentence is harmless", () => {
    for (const one of [found(), found({ echo: false }), found({ asked: [], echo: false })]) {
      expect(sentence(one, LAB)).toEndWith('The last one was "Lab 3" at 192.168.1.5.');
      const message = sentence(one, { name: HOSTILE, address: `x${HOSTILE}`, port: 4321 });
      expect(message).not.toMatch(UNSAFE);
      expect(message).toContain("\\x1b[2J");
    }
    expect(sentence(found())).not.toContain("last");
  });
});

describe("several announce themselves", () => {
  const second: Located = { name: "Room 5", address: "fd00::9", port: 4321 };

  test("and nobody can choose: each is named, and how to name one; a mistake of usage", () => {
    const error = severalFound([LAB, second]);
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toBe(
      'Found 2 trackers: "Lab 3" at 192.168.1.5, "Room 5" at [fd00::9]:4321. Choose one by its address: ft-peer 192.168.1.5',
    );
  });

  test("whatever they are called, the sentence is harmless", () => {
    const { message } = severalFound([
      { name: HOSTILE, address: `x${HOSTILE}`, port: 1234 },
      { name: '" at 10.0.0.1', address: "10.0.0.66", port: 1234 },
    ]);
    expect(message).not.toMatch(UNSAFE);
    expect(message).toContain("\\x1b[2J");
  });

  /** What a person sees who is asked. */
  async function asked(
    trackers: Located[],
    last: Located | undefined,
    keys: string,
  ): Promise<{ shown: string; answer: unknown }> {
    const [input, output] = [new PassThrough(), new PassThrough()];
    Object.assign(input, { isTTY: true, setRawMode: () => input });
    Object.assign(output, { isTTY: true, columns: 100, rows: 40 });
    let shown = "";
    const drawn = Promise.withResolvers<void>();
    output.on("data", (chunk: Buffer) => {
      shown += chunk.toString();
      if (shown.includes("confirm")) drawn.resolve();
    });
    const stop = new AbortController();
    const prompts = new Prompts({
      input: input as unknown as typeof process.stdin,
      output: output as unknown as typeof process.stdout,
      signal: stop.signal,
    });
    const choosing = chooseTracker(prompts, trackers, last).catch((error: unknown) => error);
    await drawn.promise;
    const before = Bun.stripANSI(shown);
    for (const key of keys) input.write(key);
    return { shown: before, answer: await choosing };
  }

  test("a person chooses: the one used last is marked as such", async () => {
    const { shown, answer } = await asked([LAB, second], { ...second, address: "fd00::1" }, "\r");
    expect(shown).toContain("Found 2 trackers. Which one do you want to join?");
    expect(shown).toContain('"Room 5" at [fd00::9]:4321, used last');
    expect(shown.match(/used last/g)).toHaveLength(1);
    expect(answer).toEqual(LAB);
  });

  test("none is marked when none of them was; hostile names are shown harmlessly", async () => {
    const { shown, answer } = await asked([LAB, { ...second, name: HOSTILE }], { ...LAB, name: "Other", key: "other" }, "j\r");
    expect(shown).not.toContain("used last");
    expect(shown.replaceAll(/[\r\n]/g, "")).not.toMatch(/[\u0007\u200b\u202e]/);
    expect(shown).toContain("\\x1b[2J");
    expect(answer).toEqual({ ...second, name: HOSTILE });
  });

  test("Ctrl-C is a cancel", async () => {
    const { answer } = await asked([LAB, second], undefined, "\u0003");
    expect(answer).toBeInstanceOf(CancelledError);
  });
});

const why = Lan.possible();
if (why !== undefined) console.log(`skipped: looking around on a network; ${why}`);

describe.skipIf(why !== undefined)("looking around on a network", () => {
  test("the one used last comes first, the others by their names; and it is found again where it is now", async () => {
    using lan = new Lan();
    const host = lan.host();
    const script = `
      const { announce } = await import(${JSON.stringify(join(LIB, "tracker", "system", "announce.ts"))});
      const { findAgain, lookAround } = await import(${JSON.stringify(join(LIB, "peer", "locate", "locate.ts"))});
      const names = ["beta", "alpha", "gamma", "delta", "lab.example.com"];
      const keyOf = (name) => name.padEnd(43, "k").replaceAll(".", "-");
      const all = names.map((name, i) => announce({ name, port: 2000 + i, host: "0.0.0.0", version: "1.0.0", key: keyOf(name) }));
      while (!all.every(({ names, announcedOn }) => names().length > 0 && announcedOn().length > 0)) await Bun.sleep(20);
      // On a busy machine an answer may come after the program stopped listening: then it looks again.
      const until = async (look, complete) => {
        for (;;) {
          const found = await look();
          if (complete(found)) return found;
        }
      };
      const shown = async (last) => {
        const { trackers } = await until(() => lookAround(last), ({ trackers }) => trackers.length >= names.length);
        return trackers.map(({ name, port }) => name + " " + port).join();
      };
      const again = async (place) => (await until(() => findAgain(place), (found) => found.length > 0))[0];
      const gamma = { name: "gamma", address: "10.9.9.9", port: 2002 };
      const result = {
        nobody: await shown(undefined),
        last: await shown(gamma),
        otherPort: await shown({ ...gamma, port: 2003 }),
        again: await again(gamma),
        moved: await again({ ...gamma, port: 4000 }),
        renamed: await again({ ...gamma, name: "omega", key: keyOf("gamma") }),
        dotted: await again({ ...gamma, name: "lab.example.com" }),
        never: await findAgain({ ...gamma, key: keyOf("omega") }),
      };
      await Promise.all(all.map((one) => one.stop()));
      console.log(JSON.stringify({ ...result, never: result.never[0] ?? "nobody" }));
      process.exit(0);
    `;
    const [command, args] = host.command(process.execPath, "-e", script);
    const program = Bun.spawn([command, ...args], { stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([new Response(program.stdout).text(), new Response(program.stderr).text()]);
    expect([err, await program.exited]).toEqual(["", 0]);
    const gamma = { name: "gamma", address: "127.0.0.1", port: 2002 };
    expect(JSON.parse(out)).toMatchObject({
      nobody: "alpha 2001,beta 2000,delta 2003,gamma 2002,lab-example-com 2004",
      last: "gamma 2002,alpha 2001,beta 2000,delta 2003,lab-example-com 2004",
      otherPort: "alpha 2001,beta 2000,delta 2003,gamma 2002,lab-example-com 2004",
      again: gamma,
      moved: gamma,
      renamed: gamma,
      dotted: { name: "lab-example-com", port: 2004 },
      never: "nobody",
    });
  });
});
