// The main job, end to end, with the compiled binaries on loopback: a tracker, three peers that share real files, searches,
// downloads compared byte for byte, and a peer that leaves. Exit code 0 only if everything held.

import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import pc from "picocolors";
import { formatRate, formatSize } from "../lib/text.ts";
import { PEER, type Program, Stage, TRACKER } from "./helpers/programs.ts";

const stage = new Stage();
const began = performance.now();
let failures = 0;

function say(words: string): void {
  console.log(`${pc.dim(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s`)}  ${words}`);
}

function check(holds: boolean, words: string): void {
  if (!holds) failures += 1;
  say(`${holds ? pc.green("yes") : pc.red("NO ")}  ${words}`);
}

/** A picture: a PNG of `side` by `side` pixels in soft colours. */
function makePicture(path: string, side: number): void {
  const rows = Buffer.alloc(side * (1 + side * 3));
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const at = y * (1 + side * 3) + 1 + x * 3;
      rows[at] = (x * 255) / side;
      rows[at + 1] = (y * 255) / side;
      rows[at + 2] = 128 + 127 * Math.sin((x * y) / 4000);
    }
  }
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  writeFileSync(
    path,
    Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]),
  );
}

function same(a: string, b: string): boolean {
  return readFileSync(a).equals(readFileSync(b));
}

/** A command of a peer that only fetches, run to its end. */
async function command(address: string, folder: string, ...words: string[]): Promise<{ code: number; program: Program }> {
  const program = stage.run(PEER, [address, ...words, "--json"], { cwd: folder });
  return { code: await program.exited, program };
}

try {
  say(pc.bold("FileTracker: the main job, with the binaries that a user gets"));
  for (const binary of [TRACKER, PEER]) say(`${binary.split("/").pop()} is one file of ${formatSize(statSync(binary).size)}`);

  const tracker = await stage.tracker("--json", "--name", "Demo");
  say(`ft-tracker listens on ${tracker.address}`);

  const [anna, ben, chloe, dora] = [stage.folder(), stage.folder(), stage.folder(), stage.folder()];
  const odd = "Überblick для всех 東京.txt";
  writeFileSync(join(anna, "notes.txt"), "Bring the cables.\n".repeat(500));
  makePicture(join(anna, "sunset.png"), 600);
  writeFileSync(join(anna, "empty.dat"), "");
  writeFileSync(join(ben, odd), "one file name, three alphabets\n");
  copyFileSync(join(anna, "sunset.png"), join(ben, "sunset.png"));
  // A program of FileTracker is shared only when it is named.
  copyFileSync(PEER, join(chloe, "ft-peer"));
  writeFileSync(join(dora, "hello.txt"), "a peer shares at least one file\n");

  const peers = [
    { name: "Anna", folder: anna, ...(await stage.sharing(tracker.address, anna, 3)) },
    { name: "Ben", folder: ben, ...(await stage.sharing(tracker.address, ben, 2)) },
    { name: "Chloe", folder: chloe, ...(await stage.sharing(tracker.address, chloe, 1, "--share", "ft-peer")) },
  ] as const;
  for (const { name, folder } of peers) say(`${name} shares ${readdirSync(folder).join(", ")}`);

  const who = await command(tracker.address, dora, "who");
  check(who.code === 0 && who.program.objects().length === 4, `Dora joins and sees four peers online, herself among them`);

  const twice = await command(tracker.address, dora, "search", "sunset.png");
  const found = twice.program.objects();
  check(
    found.length === 2 && found.every((record) => record.holders === 2),
    `"sunset.png" has two holders of the same content`,
  );

  const nothing = await command(tracker.address, dora, "search", "no such file.txt");
  check(nothing.code === 1, `"no such file.txt" is found nowhere: exit code ${nothing.code}`);

  for (const [name, folder] of [
    ["notes.txt", anna],
    ["sunset.png", anna],
    ["empty.dat", anna],
    [odd, ben],
    ["ft-peer", chloe],
  ] as const) {
    const { code, program } = await command(tracker.address, dora, "get", name);
    const done = program.objects().at(-1) ?? {};
    const speed = formatRate(Number(done.size) / Math.max(0.001, Number(done.seconds)));
    const right = code === 0 && done.verified === true && same(join(folder, name), join(dora, name));
    check(right, `"${name}", ${formatSize(Number(done.size))}: every byte the same, verified, ${speed}`);
  }
  check((statSync(join(dora, "ft-peer")).mode & 0o111) === 0, "a program that arrives is not executable by itself");

  const again = await command(tracker.address, dora, "get", "notes.txt");
  check(again.program.objects().at(-1)?.outcome === "already here", "asking again fetches nothing: it is here already");

  rmSync(join(dora, "ft-peer"));
  const dying = stage.run(PEER, [tracker.address, "get", "ft-peer", "--limit", "100MB", "--json"], { cwd: dora });
  await dying.waitFor(/"event":"progress","received":\d{8}/);
  dying.kill("SIGKILL");
  await dying.exited;
  check(!existsSync(join(dora, "ft-peer")), "Dora's machine dies in the middle of a download: no half file has the name");
  const resumed = await command(tracker.address, dora, "get", "ft-peer");
  const here = Number(resumed.program.objects().find(({ event }) => event === "progress")?.received);
  check(
    resumed.code === 0 && here > 0 && same(join(chloe, "ft-peer"), join(dora, "ft-peer")),
    `the same command goes on where it stopped, after ${formatSize(here)}: every byte the same`,
  );

  peers[2].program.kill("SIGINT");
  check((await peers[2].program.exited) === 130, "Chloe presses Ctrl-C: exit code 130");
  await tracker.program.waitFor(/"event":"left".*"reason":"left"/);
  const list = await command(tracker.address, dora, "list", "--share", "hello.txt");
  const left = list.program.objects().map((record) => record.name);
  check(!left.includes("ft-peer") && left.includes("notes.txt"), "and her file is gone from the index at once");

  peers[1].program.kill("SIGKILL");
  await tracker.program.waitFor(/"event":"left"/);
  const one = await command(tracker.address, dora, "search", "sunset.png", "--share", "hello.txt");
  check(one.program.objects().length === 1, "Ben's machine dies: one holder of the picture is left");

  tracker.program.kill("SIGTERM");
  check((await tracker.program.exited) === 0, "the tracker says goodbye: exit code 0");
} catch (error) {
  failures += 1;
  console.error(error instanceof Error ? error.message : error);
} finally {
  await stage.close();
}
say(failures === 0 ? pc.green(pc.bold("Everything held.")) : pc.red(pc.bold(`${failures} did not hold.`)));
process.exit(failures === 0 ? 0 : 1);
