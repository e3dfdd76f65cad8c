// A transfer that ends in its middle and goes on: kill -9, damaged part files, folders and disks that do not take the file.

import { beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { contentId, noise, startHolder } from "../helpers/holder.ts";
import { PEER, type Program } from "../helpers/programs.ts";
import {
  binaryRecord,
  done,
  events,
  exitOf,
  expectOnly,
  expectUnfinished,
  failed,
  HIDDEN,
  seeded,
  sentBy,
  transferStage,
  waitForProgress,
} from "../helpers/transfer-stage.ts";

const stage = transferStage();
const PIECE = 65_536;
const MIB = 1024 * 1024;

describe("a fetcher that is killed with -9", () => {
  test("again and again at any moment fetches hardly anything twice, and shows the name only when the file is right", async () => {
    const { address } = await stage.tracker();
    const content = randomBytes(40_000_000);
    const { program: slow } = await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1, "--limit", "10MB");
    const inbox = stage.folder();
    const random = seeded(20_261_122);
    /** Requests under way are two of 4 MiB at most; a third may be on its way to the disk. */
    const UNDER_WAY = 12 * MIB;
    let sent = 0;
    let allowed = content.length;
    const KILLS = 10;
    for (let kills = 0; kills < KILLS; kills++) {
      const killed = stage.get(address, "film.mkv", inbox);
      // Before it asks for bytes, a fetcher already tells what its part file has: then nothing would be interrupted yet.
      await slow.waitFor(/"event":"upload-started"/);
      // Most are killed early, at any moment; one has come so far that what it kept matters.
      if (kills === 0) await waitForProgress(killed, 10_000_000);
      await Bun.sleep(random() * 80);
      killed.kill("SIGKILL");
      await killed.exited;
      expect(readdirSync(inbox).filter((name) => !HIDDEN.test(name))).toEqual([]);
      const before = sent;
      sent = await sentBy(slow);
      allowed += Math.min(sent - before, UNDER_WAY);
    }
    expect(events(slow, "upload-ended")).toHaveLength(KILLS);
    slow.kill();
    const { program: quick } = await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1);
    expect(await done(stage.get(address, "film.mkv", inbox))).toMatchObject({ path: join(inbox, "film.mkv") });
    expectOnly(inbox, "film.mkv", content);
    const last = await sentBy(quick);
    expect(last).toBeLessThan(content.length);
    expect(sent + last).toBeLessThanOrEqual(allowed);
  });
});

describe("a holder whose file changes without another content", () => {
  test.each<[string, (path: string) => void]>([
    ["other permissions", (path) => chmodSync(path, 0o600)],
    ["a second name", (path) => linkSync(path, `${path}.link`)],
    ["another name in its folder", (path) => renameSync(path, path.replace("film", "moved"))],
    [
      "a copy in its place",
      (path) => {
        copyFileSync(path, `${path}.copy`);
        renameSync(`${path}.copy`, path);
      },
    ],
    ["another date", (path) => utimesSync(path, new Date(), new Date(2020, 1, 1))],
  ])("gives the rest after %s", async (_what, change) => {
    const { address } = await stage.tracker();
    const content = randomBytes(8_000_000);
    const folder = stage.folderWith({ "film.mkv": content });
    await stage.sharing(address, folder, 1, "--limit", "2MB");
    const inbox = stage.folder();
    const fetching = stage.get(address, "film.mkv", inbox);
    await waitForProgress(fetching, 1_000_000);
    change(join(folder, "film.mkv"));
    await done(fetching);
    expectOnly(inbox, "film.mkv", content);
  });
});

test("a holder that deletes its file while it is fetched is given up after some seconds, which is said", async () => {
  const { address } = await stage.tracker();
  const folder = stage.folderWith({ "film.mkv": randomBytes(8_000_000), "other.txt": "stays" });
  await stage.sharing(address, folder, 2, "--limit", "2MB");
  const fetching = stage.get(address, "film.mkv", stage.folder());
  await waitForProgress(fetching, 1_000_000);
  unlinkSync(join(folder, "film.mkv"));
  expect(await failed(fetching)).toContain("it does not have the file any more");
  expect(events(fetching, "gone")).toMatchObject([{ rereads: false }]);
});

describe("a fetcher that is stopped", () => {
  test("and continued blames nobody, and goes on", async () => {
    const { address } = await stage.tracker();
    const content = randomBytes(8_000_000);
    await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1, "--limit", "2MB");
    const inbox = stage.folder();
    const fetching = stage.get(address, "film.mkv", inbox);
    await waitForProgress(fetching, 1_000_000);
    fetching.kill("SIGSTOP");
    // Longer than a holder may be silent.
    await Bun.sleep(7_000);
    fetching.kill("SIGCONT");
    await done(fetching);
    expect(events(fetching, "holder-failed")).toEqual([]);
    expectOnly(inbox, "film.mkv", content);
  });
});

describe("a holder that is killed with -9", () => {
  test("when it was the only one: exit code 1, how far it came and what to do; the same command goes on at another holder", async () => {
    const { address } = await stage.tracker();
    const content = randomBytes(8_000_000);
    const folder = stage.folderWith({ "film.mkv": content });
    const { program: first } = await stage.sharing(address, folder, 1, "--limit", "5MB");
    const inbox = stage.folder();
    const program = stage.get(address, "film.mkv", inbox);
    await waitForProgress(program, 4_000_000);
    first.kill();
    const message = await failed(program);
    expect(message).toMatch(/^The download of "film\.mkv" stopped at \d[\d.]* MB of 8\.0 MB: .*127\.0\.0\.1:\d+/);
    expect(message).toEndWith("Your progress is saved; run the same command to resume.");
    expectUnfinished(inbox);
    const kept = Number(/stopped at ([\d.]+) MB/.exec(message)?.[1]) * 1e6;
    expect(kept).toBeGreaterThan(2_000_000);

    const { program: second } = await stage.sharing(address, folder, 1);
    await done(stage.get(address, "film.mkv", inbox));
    expectOnly(inbox, "film.mkv", content);
    // The number in the sentence is rounded.
    expect(await sentBy(second)).toBeWithin(1, content.length - kept + 100_000);
  });
});

test("what goes to standard output is not kept, and no sentence says so when its holder is gone", async () => {
  const { address } = await stage.tracker();
  const folder = stage.folderWith({ "film.mkv": randomBytes(8_000_000) });
  // It takes 40 seconds.
  const { program: holder } = await stage.sharing(address, folder, 1, "--limit", "200KB");
  const program = stage.run(PEER, [address, "get", "film.mkv", "-o", "-", "--port", "0"], {
    cwd: stage.folderWith({ "visitor.txt": "I share this.\n" }),
  });
  await program.waitFor(/[\s\S]{100000}/);
  holder.kill();
  expect(await exitOf(program)).toBe(1);
  expect(program.err).toMatch(/The download of "film\.mkv" stopped at .*\. Run the same command again\.\n$/);
});

describe("a part file", () => {
  const NAME = "film.mkv";
  const content = noise(2_000_000, 77);
  let address: string;
  let holder: Program;
  let part: string;

  beforeEach(async () => {
    ({ address } = await stage.tracker());
    ({ program: holder } = await stage.sharing(address, stage.folderWith({ [NAME]: content }), 1));
    // What a part file is called is seen after a kill.
    const inbox = stage.folder();
    const stuck = await startHolder(content, { download: () => undefined });
    const { address: elsewhere, port } = await stage.tracker();
    stage.atEnd(() => stuck.close());
    await stage.enlist(port, stuck.port, [binaryRecord(NAME, content.length, stuck.port, contentId(content))]);
    const killed = stage.get(elsewhere, NAME, inbox);
    await killed.waitFor(/"event":"asking"/);
    while (!stuck.asked.some((line) => line.startsWith("DOWNLOAD"))) await Bun.sleep(10);
    killed.kill();
    await killed.exited;
    [part = ""] = readdirSync(inbox).filter((name) => name.endsWith(".part"));
    expect(part).toMatch(HIDDEN);
  });

  function flipped(...places: number[]): Buffer {
    const bytes = Buffer.from(content);
    for (const at of places) bytes[at] = (bytes[at] ?? 0) ^ 255;
    return bytes;
  }

  /** What lies there, and how many bytes may be fetched at most: those of the pieces that are wrong or missing. */
  const damages: [string, Buffer, number][] = [
    ["is whole and right", content, 0],
    ["has wrong bytes in three pieces", flipped(0, 1, 700_000, 1_999_999), 3 * PIECE],
    ["is cut in the middle of a piece", content.subarray(0, 1_000_000), content.length - 15 * PIECE],
    ["has rubbish behind its end", Buffer.concat([content, noise(500_000, 5)]), 0],
    ["has rubbish behind its end and within", Buffer.concat([flipped(PIECE), noise(500_000, 5)]), PIECE],
    ["is nothing but zeros", Buffer.alloc(content.length), content.length],
    ["is empty", Buffer.alloc(0), content.length],
  ];

  test.each(damages)("that %s is believed as far as it is right", async (_, bytes, most) => {
    const inbox = stage.folderWith({ [part]: bytes });
    chmodSync(join(inbox, part), 0o600);
    await done(stage.get(address, NAME, inbox));
    expectOnly(inbox, NAME, content);
    expect(await sentBy(holder)).toBeLessThanOrEqual(most);
  });

  const impostors: [string, (path: string, precious: string) => unknown][] = [
    ["a link to a precious file", (path, precious) => symlinkSync(precious, path)],
    ["a link to nothing", (path, precious) => symlinkSync(`${precious}.new`, path)],
    ["another name of a precious file", (path, precious) => linkSync(precious, path)],
    ["a pipe", (path) => Bun.spawnSync(["mkfifo", path])],
  ];

  test.each(impostors)("whose place is taken by %s is begun anew, and nothing else is touched", async (_, make) => {
    // Almost the file itself: a fetcher that believed it would write only a little into it.
    const outside = stage.folderWith({ "precious.bin": flipped(100_000) });
    const precious = join(outside, "precious.bin");
    const inbox = stage.folder();
    make(join(inbox, part), precious);
    expect(lstatSync(join(inbox, part), { throwIfNoEntry: false })).toBeDefined();
    await done(stage.get(address, NAME, inbox));
    expectOnly(inbox, NAME, content);
    expect(lstatSync(join(inbox, NAME)).isFile()).toBe(true);
    expect(statSync(join(inbox, NAME)).nlink).toBe(1);
    expect(readdirSync(outside)).toEqual(["precious.bin"]);
    expect(readFileSync(precious).equals(flipped(100_000))).toBe(true);
  });

  test("whose place is taken by a folder is a sentence with exit code 1, and the folder stays as it is", async () => {
    const inbox = stage.folder();
    mkdirSync(join(inbox, part));
    writeFileSync(join(inbox, part, "precious.txt"), "precious");
    const message = await failed(stage.get(address, NAME, inbox));
    expect(message).toContain(`"${NAME}"`);
    expect(message).toEndWith(".");
    expect(readdirSync(inbox)).toEqual([part]);
    expect(readFileSync(join(inbox, part, "precious.txt"), "utf8")).toBe("precious");
  });
});

describe("a part file that another program writes to", () => {
  const content = noise(6_000_000, 21);

  test("while it is fetched: the file that gets the name is right", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1, "--limit", "3MB");
    const inbox = stage.folder();
    const program = stage.get(address, "film.mkv", inbox);
    await waitForProgress(program, 1_500_000);
    const [part = ""] = readdirSync(inbox).filter((name) => name.endsWith(".part"));
    const file = openSync(join(inbox, part), "r+");
    writeSync(file, "rubbish", 0);
    closeSync(file);
    await done(program);
    expectOnly(inbox, "film.mkv", content);
  });

  test("or removes: the download ends at once with a sentence", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1, "--limit", "3MB");
    const inbox = stage.folder();
    const program = stage.get(address, "film.mkv", inbox);
    await waitForProgress(program, 1_000_000);
    for (const name of readdirSync(inbox)) unlinkSync(join(inbox, name));
    expect(await failed(program)).toBe(
      `Cannot save "film.mkv": its part file in "${inbox}" is gone. Run the same command to fetch it again.`,
    );
    const received = Math.max(...events(program, "progress").map((event) => Number(event.received)));
    expect(received).toBeLessThan(content.length);
    expect(readdirSync(inbox)).toEqual([]);
  });
});

/** Whether mounts can be made that nobody else sees. */
const canMount = Bun.spawnSync(["unshare", "-m", "true"], { stdout: "ignore", stderr: "ignore" }).exitCode === 0;
if (!canMount) console.warn("Not tried: disks that are full or read-only, because this user can mount none.");

describe("the folder that files go to", () => {
  /** A `get` into a file system of its own at `inbox`, which is gone with it. `listing` gets what is left there at the end. */
  function getMounted(address: string, inbox: string, options: string, listing: string, meanwhile = ""): Program {
    const script = `mount -t tmpfs -o ${options} none '${inbox}' || exit 99; ${meanwhile}
"$@"; code=$?; ls -lA '${inbox}' > '${listing}'; exit $code`;
    const command = [PEER, address, "get", "film.mkv", "--to", inbox, "--port", "0", "--json"];
    return stage.run("unshare", ["-m", "sh", "-c", script, "sh", ...command], {
      cwd: stage.folderWith({ "visitor.txt": "v" }),
    });
  }

  test.skipIf(!canMount)(
    "is on a disk that fills up meanwhile: the sentence names it and the need, and the part is kept",
    async () => {
      const { address } = await stage.tracker();
      await stage.sharing(address, stage.folderWith({ "film.mkv": noise(6_000_000, 15) }), 1, "--limit", "3MB");
      const [inbox, listing, gate] = [stage.folder(), join(stage.folder(), "listing"), join(stage.folder(), "gate")];
      expect(Bun.spawnSync(["mkfifo", gate]).exitCode).toBe(0);
      // Another program's file takes what was free at the beginning.
      const filler = `{ read go < '${gate}'; head -c 10000000 /dev/zero > '${inbox}/theirs'; } 2>/dev/null &`;
      const program = getMounted(address, inbox, "size=8m", listing, filler);
      await waitForProgress(program, 1_000_000);
      writeFileSync(gate, "now\n");
      const message = await failed(program);
      expect(message).toContain(`"${inbox}"`);
      expect(message).toContain('"film.mkv"');
      expect(message).toContain("6.0 MB");
      expect(message).toContain("full");
      const left = readFileSync(listing, "utf8");
      expect(left).toMatch(/ \.ft-\S+\.part\n/);
      expect(left).not.toContain("film.mkv");
      expect(events(program, "done")).toEqual([]);
    },
  );

  test.skipIf(!canMount)("has too little room: said before anything is transferred", async () => {
    const { address } = await stage.tracker();
    const { program: holder } = await stage.sharing(address, stage.folderWith({ "film.mkv": noise(6_000_000, 15) }), 1);
    const [inbox, listing] = [stage.folder(), join(stage.folder(), "listing")];
    const message = await failed(getMounted(address, inbox, "size=2m", listing));
    expect(message).toContain(`"${inbox}"`);
    expect(message).toContain("6.0 MB");
    expect(readFileSync(listing, "utf8")).toBe("total 0\n");
    expect(events(holder, "upload-started")).toEqual([]);
  });

  test.skipIf(!canMount)("is read-only: said before anything is transferred", async () => {
    const { address } = await stage.tracker();
    const { program: holder } = await stage.sharing(address, stage.folderWith({ "film.mkv": noise(600_000, 15) }), 1);
    const [inbox, listing] = [stage.folder(), join(stage.folder(), "listing")];
    const message = await failed(getMounted(address, inbox, "ro", listing));
    expect(message).toContain(`"${inbox}"`);
    expect(message).toContain("--to");
    expect(events(holder, "upload-started")).toEqual([]);
  });

  test.skipIf(process.getuid?.() === 0)("may not be written to: said before anything is transferred", async () => {
    const { address } = await stage.tracker();
    const { program: holder } = await stage.sharing(address, stage.folderWith({ "film.mkv": noise(600_000, 15) }), 1);
    const inbox = stage.folder();
    chmodSync(inbox, 0o555);
    const message = await failed(stage.get(address, "film.mkv", inbox));
    expect(message).toContain(`"${inbox}"`);
    expect(message).toContain("--to");
    expect(events(holder, "upload-started")).toEqual([]);
  });
});
