// Another user of the same machine, who may write to the folder that files are fetched into: what it prepares is not used, and what it
// swaps is not shared.

import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fetchFound, GuidedStage, SEARCH, VERIFIED } from "../helpers/guided-stage.ts";
import { contentId, noise } from "../helpers/holder.ts";
import { asOther, BECOME, hasOtherUser, otherRunsSources } from "../helpers/other-user.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";
import { done, events, sentBy, transferStage } from "../helpers/transfer-stage.ts";

const SECRET = "a private letter of this user";

const guided = new GuidedStage();
afterEach(() => guided.close());

/** A folder that every user may write to, with a private file of this user. */
function openFolder(): string {
  const folder = guided.folderWith({ "letter.txt": SECRET });
  chmodSync(join(folder, "letter.txt"), 0o600);
  chmodSync(folder, 0o777);
  return folder;
}

/** What a visitor gets from the peers online: the content of a name, or undefined when nobody gives it. */
async function ask(address: string, name: string): Promise<string | undefined> {
  const inbox = guided.folder();
  const { code } = await guided.ft(guided.visitorFolder(), address, "get", name, "--to", inbox, "--quiet");
  return code === 0 ? readFileSync(join(inbox, name), "utf8") : undefined;
}

test.skipIf(!otherRunsSources)(
  "a user without a home folder, as systemd makes one for each service, can run both programs",
  async () => {
    const nobody = ["--reuid=61600", "--regid=61600", "--clear-groups", "env", "-i"];
    const tracker = guided.run("setpriv", [...nobody, TRACKER, "--port", "0", "--host", "127.0.0.1", "--no-announce"]);
    const [, port] = await tracker.waitFor(/listening on \S+:(\d+)/);
    const folder = openFolder();
    chmodSync(join(folder, "letter.txt"), 0o644);
    const peer = guided.run("setpriv", [...nobody, PEER, `127.0.0.1:${port}`, "share", "--port", "0", "--json"], {
      cwd: folder,
    });
    await peer.waitFor(/"event":"joined"/);
  },
);

describe("a fetched file that is swapped", () => {
  /** Fetches film.mkv into an open folder with a peer that stays online, and takes its first holder off the network. */
  async function fetched(address: string, to: string, end: string | RegExp = VERIFIED) {
    const content = noise(300_000, 5);
    const { program: holder } = await guided.sharing(address, guided.folderWith({ "film.mkv": content }), 1);
    const screen = await guided.atSearch(address, {}, "--to", to);
    await fetchFound(screen, "film.mkv");
    await screen.waitFor(end);
    await screen.waitFor(SEARCH);
    holder.kill("SIGINT");
    await holder.exited;
    return { screen, content };
  }

  test("for a private file in the same folder: it is not read by anybody, and a public one of this user is", async () => {
    const { address } = await guided.tracker();
    const to = openFolder();
    await fetched(address, to);
    expect((await ask(address, "film.mkv"))?.length).toBeGreaterThan(0);
    Bun.spawnSync(["mv", "-f", join(to, "letter.txt"), join(to, "film.mkv")]);
    for (let i = 0; i < 3; i++) expect(await ask(address, "film.mkv")).toBeUndefined();
    writeFileSync(join(to, "new"), "saved by its owner");
    chmodSync(join(to, "new"), 0o644);
    Bun.spawnSync(["mv", "-f", join(to, "new"), join(to, "film.mkv")]);
    let saved: string | undefined;
    while (saved === undefined) saved = await ask(address, "film.mkv");
    expect(saved).toBe("saved by its owner");
  });

  test.skipIf(!otherRunsSources)(
    "for a link in the moment in which it gets its name: what the link leads to stays here",
    async () => {
      const { address } = await guided.tracker();
      const to = openFolder();
      const script = `
      const { existsSync, renameSync, symlinkSync, writeFileSync } = require("node:fs");
      const folder = process.argv.at(-1);
      symlinkSync(folder + "/letter.txt", folder + "/.link");
      writeFileSync(folder + "/ready", "");
      while (!existsSync(folder + "/film.mkv")) {}
      renameSync(folder + "/.link", folder + "/film.mkv");
    `;
      const swapper = Bun.spawn([...BECOME, process.execPath, "-e", script, to]);
      guided.atEnd(() => swapper.kill());
      while (!existsSync(join(to, "ready"))) await Bun.sleep(10);
      // The swap may be seen before the end of the download, or not: in neither case may the letter be read.
      await fetched(address, to, /verified|another program has put\s/);
      await swapper.exited;
      for (const name of ["film.mkv", "letter.txt"]) expect(await ask(address, name)).toBeUndefined();
    },
  );
});

describe.skipIf(!hasOtherUser)("a part file that another user has prepared", () => {
  const stage = transferStage();
  const content = noise(2_000_000, 77);
  const PART = `.ft-${contentId(content).slice(0, 32)}.part`;

  /** The ways to prepare it: a shell command with the part, the right content, a file of this user, and the lock. */
  const prepared: [string, string][] = [
    ["with the right content", 'cp "$2" "$1"; chmod 666 "$1"'],
    ["with rubbish", 'head -c 2000000 /dev/zero > "$1"; chmod 666 "$1"'],
    ["as a link", 'ln -s "$3" "$1"'],
    ["as a folder", 'mkdir "$1"'],
    ["with a lock", 'echo $PPID > "$4"'],
  ];

  test.each(prepared)("%s is neither used nor touched, and it is said", async (_, command) => {
    const { address } = await stage.tracker();
    const shared = stage.folderWith({ "film.mkv": content });
    chmodSync(shared, 0o755);
    const { program: holder } = await stage.sharing(address, shared, 1);
    const outside = stage.folderWith({ "precious.bin": "precious" });
    const inbox = stage.folder();
    chmodSync(inbox, 0o1777);
    asOther(
      command,
      join(inbox, PART),
      join(shared, "film.mkv"),
      join(outside, "precious.bin"),
      join(inbox, PART.replace("part", "lock")),
    );
    const [theirs = ""] = readdirSync(inbox);
    const program = stage.get(address, "film.mkv", inbox);
    await done(program);
    expect(events(program, "foreign-part")).toEqual([{ event: "foreign-part", path: join(inbox, theirs) }]);
    expect(readdirSync(inbox).sort()).toEqual([theirs, "film.mkv"]);
    const file = join(inbox, "film.mkv");
    expect([statSync(file).uid, statSync(file).nlink, readFileSync(file).equals(content)]).toEqual([0, 1, true]);
    expect(await sentBy(holder)).toBe(content.length);
    expect(readFileSync(join(outside, "precious.bin"), "utf8")).toBe("precious");
  });

  test("a person is told in a sentence", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1);
    const inbox = stage.folder();
    chmodSync(inbox, 0o1777);
    asOther('printf x > "$1"', join(inbox, PART));
    const program = stage.run(PEER, [address, "get", "film.mkv", "--to", inbox, "--port", "0"], { cwd: stage.visitorFolder() });
    expect(await program.exited).toBe(0);
    expect(program.err + program.out).toContain(
      `"${join(inbox, PART)}" belongs to another user and is not used: the part file has another name.`,
    );
  });
});
