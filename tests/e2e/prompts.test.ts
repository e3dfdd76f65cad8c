// The search line of the compiled ft-peer on a pseudo-terminal, and the downloads that are begun from it.

import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { atFiles, expectLeft, fetchFound, guidedStage, SEARCH, servingPort, VERIFIED } from "../helpers/guided-stage.ts";
import { Raw, rawServer } from "../helpers/raw.ts";
import { KEY, type Screen } from "../helpers/terminal.ts";

const stage = guidedStage();

describe("the search line", () => {
  test("finds while the person types: letters and one Enter bring a file", async () => {
    const { address } = await stage.tracker();
    const files = { "apple.txt": "apple pie", "pear.txt": "pear cake", "minutes of the meeting in May.txt": "we met" };
    await stage.sharing(address, stage.folderWith(files), 3);
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    for (const [typed, name] of [
      ["pear", "pear.txt"],
      ["MEETING min", "minutes of the meeting in May.txt"],
    ] as const) {
      screen.press(typed);
      await screen.take(name.slice(0, 7));
      await screen.waitFor(`${join(to, name)}: ${Buffer.byteLength(Object(files)[name])} B`);
      await screen.waitFor(VERIFIED);
      await screen.waitFor(SEARCH);
      expect(readFileSync(join(to, name), "utf8")).toBe(Object(files)[name]);
    }
  });

  test("letters and Enter in one go, as when they are pasted, fetch what was typed and not the first of the old list", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "apple.txt": "apple pie", "pear.txt": "pear cake" }), 2);
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    screen.press(`pear${KEY.enter}`);
    await screen.waitFor(VERIFIED);
    expect(readdirSync(to)).toEqual(["pear.txt"]);
  });

  test("shows everything while nothing is typed: each content once, the newest first, own files last", async () => {
    const { address } = await stage.tracker();
    const files = { "old.txt": "the same", "new.txt": "something else" };
    const [one, two] = [stage.folderWith(files), stage.folderWith({ "old.txt": "the same" })];
    for (const folder of [one, two]) utimesSync(join(folder, "old.txt"), new Date(2024, 4, 3), new Date(2024, 4, 3));
    await stage.sharing(address, one, 2);
    await stage.sharing(address, two, 1);
    const screen = stage.guided(address, { cwd: stage.folderWith({ "mine.txt": "mine" }) }, "--to", stage.folder());
    await atFiles(screen);
    screen.press(KEY.enter);
    const [shown] = await screen.waitFor(/What are you looking for.*yours.*\^X leave/s);
    expect(shown.match(/[●○] \S+/g)).toEqual(["● new.txt", "○ old.txt", "○ mine.txt"]);
    expect(shown).toMatch(/old\.txt .*2 \w/);
  });

  test("says when nothing fits, and goes on; Esc takes the text away", async () => {
    const { address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    for (const name of ["nobody has this.txt", "名前", "n".repeat(300)]) {
      screen.press(name);
      await screen.waitFor("No matches.");
      screen.press(KEY.enter);
      if (name.length < 256) {
        await screen.waitFor(`Nobody shares a file for "${name}".`);
        await screen.choose("Back to the search");
        await screen.waitFor("No matches.");
      } else await screen.waitFor("There is nothing to fetch.");
      screen.press(KEY.escape);
      await screen.waitFor(/[●○] mine\.txt/);
    }
  });

  test("several contents of one name are shown with size and short id, and the chosen one is fetched", async () => {
    const { address } = await stage.tracker();
    const [older, newer] = [randomBytes(3_000_000), randomBytes(8_000_000)];
    await stage.sharing(address, stage.folderWith({ "report.pdf": older }), 1);
    await stage.sharing(address, stage.folderWith({ "report.pdf": newer }), 1);
    const to = stage.folder();
    const screen = await stage.atSearch(address, { columns: 120 }, "--to", to);
    screen.press("report");
    const [rows] = await screen.waitFor(/CONTENT.*?(?:[●○] report\.pdf[^\n]*\n[^\n]*){2}/s);
    expect(rows).toMatch(/8\.0 MB.* [0-9a-f]{8}/);
    expect(rows).toMatch(/3\.0 MB.* [0-9a-f]{8}/);
    if (!/● report\.pdf +3\.0 MB/.test(rows)) {
      screen.press(KEY.down);
      await screen.waitFor(/● report\.pdf +3\.0 MB/);
    }
    screen.press(KEY.enter);
    await screen.waitFor(`${join(to, "report.pdf")}: 3.0 MB`);
    await screen.waitFor(VERIFIED);
    expect(Bun.hash(readFileSync(join(to, "report.pdf")))).toBe(Bun.hash(older));
  });

  test("Space in the list marks several; they come with a bar each and a total", async () => {
    const { address } = await stage.tracker();
    const files = { "a.bin": randomBytes(2_000_000), "b.bin": randomBytes(2_000_000), "c.bin": randomBytes(2_000_000) };
    await stage.sharing(address, stage.folderWith(files), 3, "--limit", "2MB");
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    screen.press(".bin");
    await screen.waitFor(/● [abc]\.bin/);
    screen.press("\t", KEY.down, KEY.space, KEY.down, KEY.space);
    await screen.waitFor(/(?:◼ [abc]\.bin.*){3}/s);
    screen.press(KEY.enter);
    await screen.waitFor("Fetching 3 files into");
    await screen.waitFor(/[abc]\.bin {2}[█░]+ +\d+ %.*of 3 files[^\n]*%[^\n]*of 6\.0 MB/s);
    for (let done = 0; done < 3; done += 1) await screen.waitFor(VERIFIED);
    await screen.waitFor(SEARCH);
    expect(readdirSync(to).sort()).toEqual(["a.bin", "b.bin", "c.bin"]);
  });

  test("Space is a letter while the person types, and marks when nothing is typed", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "annual report.pdf": "a", "report.pdf": "b" }), 2);
    const screen = await stage.atSearch(address);
    screen.press(KEY.space);
    await screen.waitFor(/● ◼/);
    screen.press(KEY.space);
    await screen.waitFor(/● (?=\w)/);
    for (const key of "report ann") screen.press(key);
    await screen.waitFor("report ann");
    await screen.waitFor(/● annual report\.pdf/);
  });

  test("own files are not fetched again", async () => {
    const { address } = await stage.tracker();
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    await fetchFound(screen, "mine", "mine.txt");
    await screen.waitFor('You share "mine.txt" yourself.');
    await screen.waitFor(SEARCH);
    expect(readdirSync(to)).toEqual([]);
  });

  test("a holder that has left is named in a sentence, and the search goes on", async () => {
    const { port, address } = await stage.tracker();
    const gone = await rawServer(() => {});
    gone.close();
    await stage.rawPeer(port, gone.port, ["ghost.txt,text/plain,5,01/01/26"]);
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    await fetchFound(screen, "ghost");
    await screen.waitFor(new RegExp(`Cannot fetch "ghost.txt": 127.0.0.1:${gone.port}: `));
    await screen.waitFor(SEARCH);
    expect(existsSync(join(to, "ghost.txt"))).toBe(false);
    expect(screen.text).not.toMatch(/--[a-z]+|same command/);
  });

  test("Esc and Ctrl-C stop a download, say whether it can be resumed, and lead back to the list", async () => {
    const { port, address } = await stage.tracker();
    const size = 50_000_000;
    await stage.rawPeer(port, await stage.slowHolder(size), [`big.iso,application/x-iso9660-image,${size},01/01/26`]);
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    screen.press("big");
    for (const key of [KEY.escape, KEY.ctrlC]) {
      await screen.take("big.iso");
      await screen.waitFor(/big\.iso.* 0 %/);
      screen.press(key);
      await screen.waitFor("Stopped. It cannot be resumed: choose the file again to fetch it from its beginning.");
      await screen.waitFor(SEARCH);
      expect(readdirSync(to)).toEqual([expect.stringMatching(/^\..*\.part$/)]);
    }
    screen.press(KEY.leave);
    await expectLeft(screen, 0);
  });

  test("keys pressed during a download do no harm", async () => {
    const { port, address } = await stage.tracker();
    const size = 300_000;
    let release = () => {};
    const holder = await stage.rawHolder((connection, { length }) => {
      connection.send(`FILE: length=${length} size=${size}\n${"x".repeat(100_000)}`);
      release = () => connection.send("x".repeat(200_000));
    });
    await stage.rawPeer(port, holder, [`slow.txt,text/plain,${size},01/01/26`]);
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    await fetchFound(screen, "slow");
    await screen.waitFor(/slow\.txt.*33 %/);
    screen.press("impatient", KEY.enter, KEY.down);
    release();
    await screen.waitFor("slow.txt: 300 kB");
    const [shown] = await screen.waitFor(SEARCH);
    expect(shown).not.toContain("impatient");
    expect(readFileSync(join(to, "slow.txt"), "utf8")).toBe("x".repeat(size));
  });
});

describe("the keys below the search line", () => {
  test("who is online: a table in which this peer is marked", async () => {
    const { program, port, address } = await stage.tracker("--json");
    await stage.rawPeer(port, 61_234, ["a.txt,text/plain,1000,01/01/26", "b.txt,text/plain,1500,01/01/26"]);
    const screen = await stage.atSearch(address, { columns: 120 });
    const own = await servingPort(program);
    screen.press(KEY.online);
    const [online] = await screen.waitFor(/Online ─.*FILES.*╯/s);
    expect(online).toMatch(/127\.0\.0\.1:61234 .*2 +2\.5 kB/);
    expect(online).toMatch(new RegExp(`127\\.0\\.0\\.1:${own} .*1 +4 B`));
    await screen.waitFor(SEARCH);
  });

  test("what I share, and who downloads it while a slow download goes on", async () => {
    const { program, port, address } = await stage.tracker("--json");
    const cwd = stage.folderWith({ "film.mkv": "", "notes.txt": "12345" });
    truncateSync(join(cwd, "film.mkv"), 64_000_000);
    const screen = await stage.atSearch(address, { cwd });
    const serving = await servingPort(program);
    screen.press(KEY.shared);
    const [idle] = await screen.waitFor(/What I share ─.*╯/s);
    expect(idle).toMatch(/64 MB {2}film\.mkv.* {2}5 B {2}notes\.txt.*Nobody is downloading now\./s);
    await screen.waitFor(SEARCH);

    const { pass } = await stage.rawPeer(port, 61_234, ["x.txt,text/plain,1,01/01/26"]);
    const slow = await Raw.connect(serving);
    stage.atEnd(() => slow.close());
    slow.send(`HELLO FT/2 pass=${pass}\nDOWNLOAD name=film.mkv offset=0\n`);
    expect(await slow.line()).toBe("HI FT/2");
    expect(await slow.line()).toBe("FILE: length=64000000 size=64000000");
    slow.socket.pause();
    const where = `127.0.0.1:${slow.socket.localPort}`;
    screen.press(KEY.shared);
    const [busy] = await screen.waitFor(/What I share ─.*╯/s);
    expect(busy).toMatch(new RegExp(`Downloading now:.*${where}  \\d[\\d.]* [kM]?B sent  film\\.mkv`, "s"));
    await screen.waitFor(SEARCH);

    // Leaving would end it: it is asked first.
    screen.press(KEY.leave);
    await screen.waitFor("1 person is still downloading from you");
    await screen.choose("Stay");
    await screen.waitFor(SEARCH);
    screen.press(KEY.ctrlC);
    await screen.choose("Wait until they have finished");
    await screen.waitFor("Leaving when the others have finished");
    slow.close();
    await expectLeft(screen, 130);
  });

  test("Esc opens a menu with the same, and Esc closes it", async () => {
    const { address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    screen.press(KEY.escape);
    await screen.waitFor(/Menu.*Who is online.*What I share.*Settings.*Leave/s);
    screen.press(KEY.escape);
    await screen.waitFor(SEARCH);
    screen.press(KEY.escape);
    await screen.choose("Leave");
    await screen.waitFor("Bye.");
    await expectLeft(screen, 0);
  });

  test("settings: the folder for downloads is chosen with Tab, checked at once, and remembered", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "apple.txt": "apple pie" }), 1);
    const [cwd, home, state] = [stage.folderWith({ "mine.txt": "mine" }), stage.folder(), stage.knownPerson()];
    mkdirSync(join(home, "Downloads from the lab"));
    writeFileSync(join(home, "a file"), "");
    const place = { cwd, env: { XDG_STATE_HOME: state } };
    const screen = await stage.atSearch(address, place);
    screen.press(KEY.settings);
    await screen.choose("Folder for downloads");
    await screen.waitFor(/Where do downloads go\?.*Enter keeps/s);
    screen.press(join(home, "a file"), KEY.enter);
    await screen.waitFor("it is not a folder.");
    screen.press("\x15", join(home, "nowhere"), KEY.enter);
    await screen.waitFor("there is no such folder.");
    screen.press("\x15", join(home, "Down"), "\t");
    await screen.waitFor("Downloads from the lab");
    screen.press(KEY.enter);
    await screen.choose("Back");
    await screen.waitFor(SEARCH);
    await fetchFound(screen, "apple");
    await screen.waitFor(join(home, "Downloads from the lab", "apple.txt"));
    await screen.waitFor(SEARCH);
    expect(screen.text).not.toMatch(/--to/);
    screen.press(KEY.leave);
    await expectLeft(screen, 0);

    // Next time nothing is asked.
    const again = stage.guided(address, place);
    await again.waitFor("Sharing 1 file as last time: mine.txt.");
    await again.waitFor(`Downloads go to ${join(home, "Downloads from the lab")}`);
    await again.waitFor(SEARCH);
  });

  test("settings: other files are shared at once", async () => {
    const { program, address } = await stage.tracker("--json");
    const screen = await stage.atSearch(address, { cwd: stage.folderWith({ "a.txt": "a", "b.txt": "bb", "c.txt": "ccc" }) });
    await program.waitFor(/"event":"joined".*"files":3/);
    screen.press(KEY.settings);
    await screen.choose("Folder");
    await screen.waitFor(/Where do downloads go\?.*Enter keeps/s);
    screen.press(KEY.escape);
    await screen.choose("Files that I share: 3 files");
    await atFiles(screen);
    screen.press(KEY.space);
    await screen.waitFor("◻ a.txt");
    screen.press(KEY.enter);
    await screen.waitFor("Sharing 2 files now.");
    const visitor = await stage.ft(stage.visitorFolder(), address, "list", "--json");
    expect(
      visitor.program
        .objects()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(["b.txt", "c.txt", "visitor.txt"]);
  });
});

describe("other people's names", () => {
  /** As bytes in a record: percent escapes for what the grammar keeps for itself, the rest raw. */
  const HOSTILE: Record<string, { field: string; shown: string }> = {
    "an escape code that clears the screen": { field: "clear%1B[2J.txt", shown: "clear\\x1b[2J.txt" },
    "a title, with a bell": { field: "%1B]0;owned%07".replace(";", "%3B"), shown: "\\x1b]0;owned\\x07" },
    "a newline": { field: "two%0Alines%0D.txt", shown: "two\\nlines\\r.txt" },
    "a C1 control": { field: "c1%C2%9B2J.txt", shown: "c1\\x9b2J.txt" },
    "a bidi override": { field: "gpj\u202etxt.exe", shown: "gpj\\u202etxt.exe" },
  };
  /** What must never reach the terminal; the prompts themselves use none of these. */
  const NEVER = ["\x1b[2J", "\x1b]", "\x07", "\x9b", "\u202e", "\u200b", "\x1b[3J"];

  function expectHarmless(screen: Screen): void {
    for (const bytes of NEVER) expect(screen.raw).not.toContain(bytes);
  }

  test("are shown as visible escapes wherever they come from, and never reach the terminal raw", async () => {
    const { port, address } = await stage.tracker("--name", "\x1b[3Jlab\x07\u202e");
    const content = "harmless";
    const holder = await stage.rawHolder((connection, { length }) => {
      connection.send(`FILE: length=${length} size=${content.length}\n${content}`);
    });
    const records = Object.values(HOSTILE).map(({ field }) => `${field},text/\u202eplain,${content.length},01/01/26`);
    await stage.rawPeer(port, holder, records, "%1B]0%3Bx%07\u200b");
    const to = stage.folder();
    const screen = await stage.atSearch(address, { columns: 160 }, "--to", to);
    expect(screen.text).toContain('Online at "\\x1b[3Jlab\\x07\\u202e"');
    for (const { shown } of Object.values(HOSTILE)) expect(screen.text).toContain(shown);
    await fetchFound(screen, "clear");
    await screen.waitFor(": 8 B");
    await screen.waitFor("not verified");
    await screen.waitFor(SEARCH);
    screen.press(KEY.online);
    await screen.waitFor("╯");
    await screen.waitFor(SEARCH);
    screen.press(KEY.leave);
    await screen.exited;
    expectHarmless(screen);
    const [fetched = "", ...others] = readdirSync(to);
    expect(others).toEqual([]);
    expect(fetched).toMatch(/^clear_\[2J\.txt$/);
    expect(readFileSync(join(to, fetched), "utf8")).toBe(content);
  });

  test("and words of a holder that refuses are shown as visible escapes too", async () => {
    const { port, address } = await stage.tracker();
    const holder = await stage.rawHolder((connection) => connection.send("ERROR not-accepted go \u202eaway\u200b\n"));
    await stage.rawPeer(port, holder, ["locked.txt,text/plain,5,01/01/26"]);
    const screen = await stage.atSearch(address, { columns: 200 }, "--to", stage.folder());
    await fetchFound(screen, "locked");
    await screen.waitFor(/Cannot fetch "locked\.txt": .*go\s.*\\u202eaway\\u200b/s);
    await screen.waitFor(SEARCH);
    expectHarmless(screen);
  });

  test("and names in one's own folder, and the folder's own, are shown as visible escapes too", async () => {
    const { address } = await stage.tracker();
    const cwd = join(stage.folder(), "folder\x1b[2J\u202e");
    mkdirSync(cwd);
    writeFileSync(join(cwd, "own\x1b]0;title\x07.txt"), "own");
    const screen = stage.guided(address, { cwd, columns: 160 });
    const asked = await atFiles(screen);
    expect(asked).toContain("folder\\x1b[2J\\u202e");
    expect(asked).toContain("own\\x1b]0;title\\x07.txt");
    screen.press(KEY.otherFolder);
    await screen.waitFor("Which folder?");
    screen.press("nowhere", KEY.enter);
    await screen.waitFor("There is no folder");
    screen.press("\x15", ".", KEY.enter);
    await atFiles(screen);
    screen.press(KEY.enter);
    await screen.waitFor(SEARCH);
    screen.press(KEY.shared);
    await screen.waitFor("own\\x1b]0;title\\x07.txt");
    await screen.waitFor(SEARCH);
    screen.press(KEY.leave);
    await screen.exited;
    expectHarmless(screen);
  });
});

describe("a narrow terminal", () => {
  const WIDE = `${"文".repeat(83)}大.td`;

  test("a name of 255 bytes in 40 columns is cut; its size is still there; no line is wider than the terminal", async () => {
    expect(Buffer.byteLength(WIDE)).toBe(255);
    const { program, address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ [WIDE]: randomBytes(1_234_000) }), 1);
    const cwd = stage.folderWith({ [`自${WIDE.slice(1)}`]: "x".repeat(4321) });
    const to = stage.folder();
    const screen = stage.guided(address, { cwd, columns: 40, rows: 20 }, "--to", to);
    expect(await atFiles(screen)).toMatch(/自文+…文*大\.td +4\.3 kB/);
    screen.press(KEY.enter);
    const [list] = await screen.waitFor(SEARCH);
    expect(list).toMatch(/文+…文*大\.td +1\.2 MB/);
    screen.press(KEY.shared);
    await screen.waitFor(/4\.3 kB +自文+…文*大\.td.*╯/s);
    await screen.waitFor(SEARCH);
    await fetchFound(screen, "文", "文");
    await screen.waitFor(/1\.2.MB/);
    await screen.waitFor(SEARCH);
    expect(readdirSync(to)).toHaveLength(1);
    program.kill();
    await program.exited;
    await screen.waitFor("Lost the tracker");
    screen.press(KEY.leave);
    await expectLeft(screen, 0);
    expect(screen.widest).toBeLessThanOrEqual(40);
  });

  test("a number in the table of the peers online is whole or left out in 40 columns, never cut", async () => {
    const { port, address } = await stage.tracker();
    await stage.rawPeer(port, 61_234, ["a.bin,application/octet-stream,123000000,01/01/26"]);
    const screen = await stage.atSearch(address, { columns: 40, rows: 20 });
    screen.press(KEY.online);
    const [online] = await screen.waitFor(/Online ─.*╯/s);
    expect(online).toMatch(/:61234 \(firewal(?:led\)|…)(?: +1(?: +123 MB.*)?)? +│/);
  });
});

describe("the prompts under load", () => {
  const DOWNLOADS = 10;
  /** More of them queue. */
  const AT_ONCE = 8;

  test("ten download from this peer while the prompts are used: it answers, eight are served at once, and all ten are right", async () => {
    const { program, port, address } = await stage.tracker("--json");
    const content = randomBytes(24_000_000);
    const screen = await stage.atSearch(address, { cwd: stage.folderWith({ "film.mkv": content }), rows: 40 });
    const serving = await servingPort(program);
    const { pass } = await stage.rawPeer(port, 61_234, ["x.txt,text/plain,1,01/01/26"]);
    const downloads = await Promise.all(Array.from({ length: DOWNLOADS }, () => download(serving, pass, "film.mkv")));
    expect(downloads.map(({ position }) => position).sort()).toEqual([...Array<number>(AT_ONCE).fill(0), 1, 2]);

    screen.press(KEY.shared);
    const [busy] = await screen.waitFor(/What I share ─.*╯/s);
    expect(busy.match(/127\.0\.0\.1:\d+ {2}.* sent {2}film\.mkv/g)).toHaveLength(AT_ONCE);
    expect(busy).toContain("2 downloaders waiting for their turn.");

    let running = DOWNLOADS;
    for (const { whole } of downloads) void whole.then(() => running--);
    for (const { goOn } of downloads) goOn();
    let answers = 0;
    do {
      await screen.waitFor(SEARCH);
      screen.press(KEY.online);
      await screen.waitFor("(you)");
      await screen.waitFor(SEARCH);
      screen.press(KEY.shared);
      await screen.waitFor("24 MB  film.mkv");
      answers += 1;
    } while (running > 0 && answers < 200);
    const expected = Bun.hash(content);
    for (const { whole } of downloads) expect(Bun.hash(await whole)).toBe(expected);
    await screen.waitFor(SEARCH);
    screen.press(KEY.leave);
    await expectLeft(screen, 0);
  });

  /**
   * One downloader by hand: it has the first answer and waits, having a slot (position 0) or not; then it takes all of the file and
   * leaves, after asking for it as often as it takes.
   */
  async function download(
    port: number,
    pass: string,
    name: string,
  ): Promise<{ position: number; goOn(): void; whole: Promise<Buffer> }> {
    const socket = net.connect({ port, host: "127.0.0.1" });
    stage.atEnd(() => void socket.destroy());
    const ask = () => socket.write(`DOWNLOAD name=${name} offset=0\n`);
    socket.write(`HELLO FT/2 pass=${pass}\n`);
    ask();
    let chunks: Buffer[] = [];
    const begun = Promise.withResolvers<number>();
    const goesOn = Promise.withResolvers<void>();
    const whole = Promise.withResolvers<Buffer>();
    let have = 0;
    let header = "";
    let wanted = Number.POSITIVE_INFINITY;
    socket.on("error", whole.reject);
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      have += chunk.length;
      if (wanted === Number.POSITIVE_INFINITY) {
        const answer = Buffer.concat(chunks).toString("latin1");
        const busy = /^(?:HI FT\/2\n)?BUSY position=(\d+)\n$/.exec(answer);
        if (busy !== null) {
          chunks = [];
          have = 0;
          begun.resolve(Number(busy[1]));
          void goesOn.promise.then(() => setTimeout(ask, 100));
          return;
        }
        header = /^(?:HI FT\/2\n)?FILE: length=(\d+) size=\1\n/.exec(answer)?.[0] ?? "";
        if (header === "") return;
        wanted = header.length + Number(/length=(\d+)/.exec(header)?.[1]);
        socket.pause();
        begun.resolve(0);
        void goesOn.promise.then(() => socket.resume());
      }
      if (have < wanted) return;
      whole.resolve(Buffer.concat(chunks).subarray(header.length));
      socket.end();
    });
    return { position: await begun.promise, goOn: goesOn.resolve, whole: whole.promise };
  }
});

test("who finds nothing can be told when somebody has it", async () => {
  const { address } = await stage.tracker();
  const screen = await stage.atSearch(address);
  screen.press("lesson 7");
  await screen.waitFor("No matches.");
  screen.press(KEY.enter);
  await screen.waitFor('Nobody shares a file for "lesson 7".');
  await screen.choose("Tell me when somebody has it");
  await screen.waitFor(SEARCH);
  await stage.sharing(address, stage.folderWith({ "Lesson 7.txt": "seven" }), 1, "--name", "Anna");
  await screen.waitFor('Anna has "Lesson 7.txt" now (5 B).');
});
