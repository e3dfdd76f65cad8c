// The guided prompts of the compiled ft-peer on a pseudo-terminal, as a person uses them for the first time.

import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { expectBye, expectLeft, guidedStage, MENU, servingPort, VERIFIED } from "../helpers/guided-stage.ts";
import { Alone } from "../helpers/lan.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";
import { Raw, rawServer } from "../helpers/raw.ts";
import { KEY, type Screen } from "../helpers/terminal.ts";

const stage = guidedStage();
const notAlone = Alone.possible();
if (notAlone !== undefined) console.warn(`Not tried: a peer that hears no tracker at all, because ${notAlone}.`);
/** Tests of what is asked when no tracker announces itself, which others may do on the network of this machine. */
const hearingNobody = test.skipIf(notAlone !== undefined);

describe("choosing what to share", () => {
  const SEVEN = { "a.txt": "a", "b.txt": "bb", "c.txt": "ccc", "d.txt": "dddd", "e.txt": "eeeee", "f.txt": "6", "g.txt": "7" };

  test("the first five files are chosen already, and shared with one key", async () => {
    const { program, address } = await stage.tracker("--json", "--name", "Lab 3");
    const cwd = stage.folderWith({ ...SEVEN, ".hidden": "never" });
    const screen = stage.guided(address, { cwd });
    await screen.waitFor(`7 files in ${cwd}`);
    await screen.choose("Choose from these");
    await screen.waitFor("Which to share? Up to 5.");
    const [list] = await screen.waitFor(/.*confirm/s);
    expect(list.match(/◼ \S+/g)).toEqual(["◼ a.txt", "◼ b.txt", "◼ c.txt", "◼ d.txt", "◼ e.txt"]);
    expect(list.match(/◻ \S+/g)).toEqual(["◻ f.txt", "◻ g.txt"]);
    expect(list).toContain("e.txt  5 B");
    expect(list).not.toContain(".hidden");
    screen.press(KEY.enter);
    await screen.waitFor('Online at "Lab 3": 1 peer, 5 files.');
    expect((await program.waitFor(/"event":"joined".*"files":(\d+)/))[1]).toBe("5");
    await screen.waitFor(MENU);
    await screen.choose("Leave");
    await screen.waitFor("Bye.");
    await expectLeft(screen, 0);
    await expectBye(program);
  });

  test("more than five are refused with a sentence, and another choice is shared", async () => {
    const { program, address } = await stage.tracker("--json");
    const screen = stage.guided(address, { cwd: stage.folderWith(SEVEN) });
    await screen.choose("Choose from these");
    await screen.waitFor(/Which to share\?.*confirm/s);
    screen.press(KEY.up, KEY.space);
    await screen.waitFor("◼ g.txt");
    screen.press(KEY.enter);
    await screen.waitFor(/6 files are too many: the tracker takes 5\./);
    await screen.waitFor(/Which to share\?.*confirm/s);
    screen.press(KEY.space, KEY.up, KEY.space);
    await screen.waitFor("◼ g.txt");
    screen.press(KEY.enter);
    await screen.waitFor(MENU);
    await screen.choose("What I share");
    const [mine] = await screen.waitFor(/What I share ─.*Nobody/s);
    expect(mine.match(/[a-g]\.txt/g)).toEqual(["b.txt", "c.txt", "d.txt", "e.txt", "g.txt"]);
    expect((await program.waitFor(/"event":"joined".*"files":(\d+)/))[1]).toBe("5");
  });

  test("nothing chosen is refused with a sentence, because a peer shares at least one", async () => {
    const { address } = await stage.tracker();
    const screen = stage.guided(address, { cwd: stage.folderWith({ "only.txt": "1" }) });
    await screen.choose("Choose from these");
    await screen.waitFor(/Which to share\?.*confirm/s);
    screen.press(KEY.space);
    await screen.waitFor("◻ only.txt");
    screen.press(KEY.enter);
    await screen.waitFor(/select at least one/i);
    screen.press(KEY.space, KEY.enter);
    await screen.waitFor(MENU);
  });

  test("an empty folder leads to another one; a folder that does not exist is refused with a sentence; ~ is home", async () => {
    const { address } = await stage.tracker();
    const home = stage.folder();
    mkdirSync(join(home, "papers"));
    writeFileSync(join(home, "papers", "from home.txt"), "home");
    const screen = stage.guided(address, { env: { HOME: home } });
    await screen.waitFor(/0 files in /);
    expect(await screen.choose("Choose")).toBe("Choose a different folder");
    await screen.waitFor("Which folder?");
    screen.press("~/nowhere", KEY.enter);
    await screen.waitFor(new RegExp(`Cannot share "${home}/nowhere.*there is no such`, "s"));
    screen.press("\x15", "~/papers", KEY.enter);
    await screen.waitFor("papers");
    await screen.waitFor(`1 file in ${join(home, "papers")}`);
    await screen.choose("Choose from these");
    await screen.waitFor("from home.txt");
    await screen.waitFor("confirm");
    screen.press(KEY.enter);
    await screen.waitFor("Online");
    await screen.waitFor(MENU);
  });

  hearingNobody("the address of the tracker is asked for when none announces itself, and a wrong one is refused", async () => {
    using alone = await Alone.make();
    const [command = "", ...args] = alone.command(TRACKER, "--no-announce", "--json");
    await stage.run(command, args).waitFor(/"event":"listening"/);
    const screen = stage.onTerminal(alone.command(PEER), { cwd: stage.folderWith({ "one.txt": "1" }) });
    await screen.waitFor("Tracker's address?");
    screen.press("not an address", KEY.enter);
    await screen.waitFor(/"not an address" is not a tracker's address/);
    screen.press("\x15", "127.0.0.1", KEY.enter);
    await screen.waitFor(/1 file in /);
    await screen.choose("Choose from these");
    await screen.waitFor(/Which to share\?.*confirm/s);
    screen.press(KEY.enter);
    await screen.waitFor("Online");
  });

  test("what is named with --share is not asked about, and what is left out is said", async () => {
    const { program, address } = await stage.tracker("--json");
    const cwd = stage.folderWith(SEVEN);
    const screen = stage.guided(address, { cwd }, "--share", cwd);
    await screen.waitFor(/Sharing "a\.txt", "b\.txt", "c\.txt", "d\.txt", "e\.txt"\..*Not shared.*g\.txt/s);
    await screen.waitFor(MENU);
    expect(screen.text).not.toContain("Which to share?");
    expect((await program.waitFor(/"event":"joined".*"files":(\d+)/))[1]).toBe("5");
  });

  test("a tracker that cannot be reached is said in a sentence", async () => {
    const gone = await rawServer(() => {});
    gone.close();
    const screen = stage.guided(`127.0.0.1:${gone.port}`, { cwd: stage.folderWith({ "one.txt": "1" }) });
    await screen.choose("Choose from these");
    await screen.waitFor(/Which to share\?.*confirm/s);
    screen.press(KEY.enter);
    await screen.waitFor(new RegExp(`Cannot reach the tracker at "127.0.0.1:${gone.port}"`));
    await expectLeft(screen, 1);
  });
});

describe("the menu", () => {
  test("a name that nobody has is said, and the menu comes back", async () => {
    const { address } = await stage.tracker();
    const screen = await stage.atMenu(address);
    for (const name of ["nobody has this.txt", "-dash", "名前"]) {
      await screen.choose("Search");
      await screen.waitFor("File name?");
      screen.press(name, KEY.enter);
      await screen.waitFor(`Nobody online is sharing a file called "${name}".`);
      await screen.waitFor(MENU);
    }
  });

  test("a name longer than 255 bytes is refused in the prompt", async () => {
    const { address } = await stage.tracker();
    const screen = await stage.atMenu(address);
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("n".repeat(256), KEY.enter);
    await screen.waitFor(/longer than\s+255\s+bytes/);
    screen.press("\x15", "short", KEY.enter);
    await screen.waitFor('Nobody online is sharing a file called "short".');
  });

  test("a holder is chosen from a table of type, size, date and address, and its file arrives byte for byte", async () => {
    const { program, address } = await stage.tracker("--json");
    const older = stage.folderWith({ "report.pdf": randomBytes(3_000_000) });
    const newer = stage.folderWith({ "report.pdf": randomBytes(8_000_000) });
    utimesSync(join(older, "report.pdf"), new Date(2024, 4, 3), new Date(2024, 4, 3));
    utimesSync(join(newer, "report.pdf"), new Date(2025, 10, 30), new Date(2025, 10, 30));
    const { program: first } = await stage.sharing(address, older, 1);
    const firstPort = await servingPort(program);
    const { program: second } = await stage.sharing(address, newer, 1);
    const secondPort = await servingPort(program);
    const to = stage.folder();
    const screen = await stage.atMenu(address, {}, "--to", to);
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("report.pdf", KEY.enter);
    await screen.waitFor("2 holders of report.pdf: 2 different files");
    await screen.waitFor(/SIZE +DATE +WHO.*CONTENT/);
    const rows = screen.unread;
    const line = await screen.choose(`application/pdf  8.0 MB  30/11/25  127.0.0.1:${secondPort}`);
    expect(rows + line).toMatch(/application\/pdf {2}8\.0 MB {2}30\/11\/25 {2}127\.0\.0\.1:/);
    // Progress is a line that is written over: how far, of how much, how fast.
    await screen.waitFor(/\d % {2}\S+ [kM]?B of 8\.0 MB/);
    await screen.waitFor(`${join(to, "report.pdf")}: 8.0 MB`);
    await screen.waitFor(VERIFIED);
    await screen.waitFor(MENU);
    expect(Bun.hash(readFileSync(join(to, "report.pdf")))).toBe(Bun.hash(readFileSync(join(newer, "report.pdf"))));
    expect(readdirSync(to)).toEqual(["report.pdf"]);
    await second.waitFor(/"event":"upload-ended"/);
    expect(first.out).not.toContain("upload-started");

    // The other one is another file: both stay.
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("report.pdf", KEY.enter);
    await screen.choose(`application/pdf  3.0 MB  03/05/24  127.0.0.1:${firstPort}`);
    await screen.waitFor(`${join(to, "report (1).pdf")}: 3.0 MB`);
    await screen.waitFor(MENU);
    expect(Bun.hash(readFileSync(join(to, "report (1).pdf")))).toBe(Bun.hash(readFileSync(join(older, "report.pdf"))));
    expect(readdirSync(to).sort()).toEqual(["report (1).pdf", "report.pdf"]);
  });

  test("going back from the holders fetches nothing", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "song.txt": "la" }), 1);
    const to = stage.folder();
    const screen = await stage.atMenu(address, {}, "--to", to);
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("song.txt", KEY.enter);
    await screen.choose("Back");
    await screen.waitFor(MENU);
    expect(readdirSync(to)).toEqual([]);
  });

  test("everything online can be browsed, narrowed down by typing, and fetched", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(
      address,
      stage.folderWith({ "apple.txt": "apple pie", "pear.txt": "pear cake", "plum.txt": "plum jam" }),
      3,
    );
    const to = stage.folder();
    const screen = await stage.atMenu(address, {}, "--to", to);
    await screen.choose("Browse");
    await screen.waitFor(/NAME +SIZE .*DATE +WHO/);
    const [all] = await screen.waitFor(/.*Back/s);
    for (const name of ["apple", "pear", "plum", "mine"]) expect(all).toContain(name);
    screen.press("pea");
    await screen.waitFor(/Search: pea\S? \(/);
    await screen.take("pear");
    await screen.waitFor("pear.txt: 9 B");
    await screen.waitFor(VERIFIED);
    await screen.waitFor(MENU);
    expect(readFileSync(join(to, "pear.txt"), "utf8")).toBe("pear cake");
    expect(readdirSync(to)).toEqual(["pear.txt"]);
  });

  test("browsing finds a file by its whole name, in a terminal of 80 columns too", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "debian.iso": "iso", "minutes of the meeting in May.txt": "we met" }), 2);
    const to = stage.folder();
    const screen = await stage.atMenu(address, {}, "--to", to);
    await screen.choose("Browse");
    await screen.waitFor(/NAME.*confirm/s);
    screen.press("minutes of the meeting in May.txt");
    await screen.waitFor(/Search: minutes of the meeting in May\.txt\S? \(/);
    await screen.take("minutes");
    await screen.waitFor("May.txt: 6 B");
    await screen.waitFor(VERIFIED);
    expect(readFileSync(join(to, "minutes of the meeting in May.txt"), "utf8")).toBe("we met");
  });

  test("browsing narrows down by what is on the screen, not by a place in the list", async () => {
    const { port, address } = await stage.tracker();
    await stage.rawPeer(
      port,
      61_111,
      ["a", "b", "c", "d"].map((name) => `${name},text/plain,6,06/06/26`),
    );
    const screen = await stage.atMenu(address, { cwd: stage.folderWith({ "3.txt": "" }) });
    await screen.choose("Browse");
    const [list] = await screen.waitFor(/NAME.*confirm/s);
    const rowsOf = (shown: string) => shown.split("\n").filter((line) => /[●○] .*(?:\d{4}-\d\d-\d\d|today)/.test(line));
    expect(rowsOf(list)).toHaveLength(5);
    screen.press("3");
    const [narrowed] = await screen.waitFor(/\(\d+ match.*confirm/s);
    expect(rowsOf(narrowed).some((row) => row.includes(" 3.txt "))).toBe(true);
    for (const row of rowsOf(narrowed)) expect(row).toContain("3");
  });

  test("a file that only this peer shares is not fetched from itself, and the menu goes on", async () => {
    const { address } = await stage.tracker();
    const cwd = stage.folderWith({ "mine.txt": "mine" });
    const screen = await stage.atMenu(address, { cwd }, "--to", stage.folder());
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("mine.txt", KEY.enter);
    await screen.choose("text/plain");
    await screen.waitFor('Cannot fetch "mine.txt": only you share it.');
    await screen.waitFor(MENU);
  });

  test("a holder that has left is named in a sentence, and the menu goes on", async () => {
    const { port, address } = await stage.tracker();
    const gone = await rawServer(() => {});
    gone.close();
    await stage.rawPeer(port, gone.port, ["ghost.txt,text/plain,5,01/01/26"]);
    const to = stage.folder();
    const screen = await stage.atMenu(address, {}, "--to", to);
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("ghost.txt", KEY.enter);
    await screen.choose("text/plain");
    await screen.waitFor(new RegExp(`Cannot fetch "ghost.txt": 127.0.0.1:${gone.port}: `));
    await screen.waitFor(MENU);
    expect(existsSync(join(to, "ghost.txt"))).toBe(false);
  });

  test("the table of the peers online marks this peer", async () => {
    const { program, port, address } = await stage.tracker("--json");
    await stage.rawPeer(port, 61_234, ["a.txt,text/plain,1000,01/01/26", "b.txt,text/plain,1500,01/01/26"]);
    const screen = await stage.atMenu(address);
    const own = await servingPort(program);
    await screen.choose("Who is online");
    const [online] = await screen.waitFor(/WHO +FILES +SIZE.*╯/s);
    expect(online).toMatch(/127\.0\.0\.1:61234 \(firewalled\) +2 +2\.5 kB +by-hand/);
    expect(online).toMatch(new RegExp(`127\\.0\\.0\\.1:${own} \\(you\\) +1 +4 B`));
    await screen.waitFor(MENU);
  });

  test("the files that it shares, and their downloaders, can be looked at while a slow download goes on", async () => {
    const { program, port, address } = await stage.tracker("--json");
    const cwd = stage.folderWith({ "film.mkv": "", "notes.txt": "12345" });
    truncateSync(join(cwd, "film.mkv"), 64_000_000);
    const screen = await stage.atMenu(address, { cwd });
    const serving = await servingPort(program);
    await screen.choose("What I share");
    const [idle] = await screen.waitFor(/What I share ─.*╯/s);
    expect(idle).toContain("film.mkv  64 MB");
    expect(idle).toContain("notes.txt  5 B");
    expect(idle).toContain("Nobody is downloading now.");

    const { pass } = await stage.rawPeer(port, 61_234, ["x.txt,text/plain,1,01/01/26"]);
    const slow = await Raw.connect(serving);
    stage.atEnd(() => slow.close());
    slow.send(`HELLO FT/2 pass=${pass}\nDOWNLOAD name=film.mkv offset=0\n`);
    expect(await slow.line()).toBe("HI FT/2");
    expect(await slow.line()).toBe("FILE: length=64000000 size=64000000");
    slow.socket.pause();
    await screen.waitFor(MENU);
    await screen.choose("What I share");
    const [busy] = await screen.waitFor(/What I share ─.*╯/s);
    const where = `127.0.0.1:${slow.socket.localPort}`;
    expect(busy).toMatch(new RegExp(`Downloading now:.*${where}  \\d[\\d.]* [kM]?B sent  film\\.mkv`, "s"));

    slow.close();
    await screen.waitFor(MENU);
    for (;;) {
      await screen.choose("What I share");
      const [after] = await screen.waitFor(/What I share ─.*╯/s);
      await screen.waitFor(MENU);
      if (after.includes("Nobody is downloading now.")) break;
    }
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
    const screen = await stage.atMenu(address, { columns: 160 }, "--to", to);
    expect(screen.text).toContain('Online at "\\x1b[3Jlab\\x07\\u202e"');
    await screen.choose("Browse");
    const [list] = await screen.waitFor(/.*Back/s);
    for (const { shown } of Object.values(HOSTILE)) expect(list).toContain(shown);
    screen.press("clear");
    await screen.waitFor(/Search: clear\S? \(/);
    await screen.take("clear");
    await screen.waitFor(": 8 B");
    await screen.waitFor("not verified");
    await screen.waitFor(MENU);
    await screen.choose("Who is online");
    await screen.waitFor("╯");
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("gpj\u202etxt.exe".replace("\u202e", ""), KEY.enter);
    await screen.waitFor("Nobody");
    await screen.choose("Leave");
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
    const screen = await stage.atMenu(address, { columns: 200 }, "--to", stage.folder());
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("locked.txt", KEY.enter);
    await screen.choose("text/plain");
    await screen.waitFor(/Cannot fetch "locked\.txt": .*go\s.*\\u202eaway\\u200b/s);
    await screen.waitFor(MENU);
    expectHarmless(screen);
  });

  test("and names in one's own folder, and the folder's own, are shown as visible escapes too", async () => {
    const { address } = await stage.tracker();
    const cwd = join(stage.folder(), "folder\x1b[2J\u202e");
    mkdirSync(cwd);
    writeFileSync(join(cwd, "own\x1b]0;title\x07.txt"), "own");
    const screen = stage.guided(address, { cwd, columns: 160 });
    await screen.waitFor("folder\\x1b[2J\\u202e");
    await screen.choose("Choose a different folder");
    await screen.waitFor("Which folder?");
    screen.press("nowhere", KEY.enter);
    await screen.waitFor("there is no such");
    screen.press("\x15", ".", KEY.enter);
    await screen.waitFor("1 file in ");
    await screen.choose("Choose from these");
    await screen.waitFor("own\\x1b]0;title\\x07.txt");
    await screen.waitFor("confirm");
    screen.press(KEY.enter);
    await screen.waitFor(MENU);
    await screen.choose("What I share");
    await screen.waitFor("own\\x1b]0;title\\x07.txt");
    await screen.choose("Leave");
    await screen.exited;
    expectHarmless(screen);
  });
});

describe("a narrow terminal", () => {
  const WIDE = `${"文".repeat(83)}大.td`;

  test("a name of 255 bytes in 40 columns is cut; its size is still there; no line is wider than the terminal", async () => {
    expect(Buffer.byteLength(WIDE)).toBe(255);
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ [WIDE]: randomBytes(1_234_000) }), 1);
    const cwd = stage.folderWith({ [`自${WIDE.slice(1)}`]: "x".repeat(4321) });
    const screen = stage.guided(address, { cwd, columns: 40, rows: 20 });
    await screen.choose("Choose from these");
    const [files] = await screen.waitFor(/Which to share\?.*confirm/s);
    expect(files).toMatch(/自文+…文*大\.td +4\.3 kB/);
    screen.press(KEY.enter);
    await screen.waitFor(MENU);
    await screen.choose("Browse");
    await screen.waitFor(/NAME(?=.*confirm)/s);
    expect(screen.unread).toMatch(/文+…文*大\.td +1\.2 MB/);
    await screen.choose("Back");
    await screen.waitFor(MENU);
    await screen.choose("What I share");
    const [mine] = await screen.waitFor(/What I share.*╯/s);
    expect(mine).toMatch(/自文+…文*大\.td +4\.3 kB/);
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press(WIDE, KEY.enter);
    await screen.waitFor(/1 holder of 文+…(?=.*confirm)/s);
    expect(screen.unread).toContain("1.2 MB");
    await screen.choose("Back");
    await screen.waitFor(MENU);
    await screen.choose("Leave");
    await expectLeft(screen, 0);
    expect(screen.widest).toBeLessThanOrEqual(40);
  });

  test("holders can be told apart in 40 columns: the type gives way before the address does", async () => {
    const { port, address } = await stage.tracker();
    await stage.rawPeer(port, 61_234, ["a.bin,application/octet-stream,123000000,01/01/26"]);
    await stage.rawPeer(port, 61_235, ["a.bin,application/octet-stream,123000000,01/01/26"]);
    const screen = await stage.atMenu(address, { columns: 40, rows: 20 });
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("a.bin", KEY.enter);
    const [holders] = await screen.waitFor(/2 holders of a\.bin.*Back/s);
    expect(holders).toContain(":61234");
    expect(holders).toContain(":61235");
  });

  test("a number in the table of the peers online is whole or left out in 40 columns, never cut", async () => {
    const { port, address } = await stage.tracker();
    await stage.rawPeer(port, 61_234, ["a.bin,application/octet-stream,123000000,01/01/26"]);
    const screen = await stage.atMenu(address, { columns: 40, rows: 20 });
    await screen.choose("Who is online");
    const [online] = await screen.waitFor(/WHO.*╯/s);
    expect(online).toMatch(/:61234 \(firewal(?:led\)|…)(?: +1(?: +123 MB.*)?)? +│/);
  });

  test("what was fetched, and what went wrong, is said within 40 columns", async () => {
    const { program, address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ [WIDE]: randomBytes(1_234_000) }), 1);
    const to = stage.folder();
    const screen = await stage.atMenu(address, { columns: 40, rows: 20 }, "--to", to);
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press(WIDE, KEY.enter);
    // The one holder there is, whichever column comes first.
    await screen.choose("");
    const [done] = await screen.waitFor(/◆ {2}.*?What next/s);
    expect(done.replace(/\n│? */g, "")).toMatch(/1\.2 MB/);
    expect(readdirSync(to)).toHaveLength(1);
    program.kill();
    await program.exited;
    await screen.choose("Who is online");
    await screen.waitFor(/▲ {2}The tracker.*?away/s);
    expect(screen.widest).toBeLessThanOrEqual(40);
  });
});

describe("the menu under load", () => {
  const DOWNLOADS = 10;
  /** More of them queue. */
  const AT_ONCE = 8;

  test("ten download from this peer while the menu is used: it answers, eight are served at once, and all ten are right", async () => {
    const { program, port, address } = await stage.tracker("--json");
    const content = randomBytes(24_000_000);
    const screen = await stage.atMenu(address, { cwd: stage.folderWith({ "film.mkv": content }), rows: 40 });
    const serving = await servingPort(program);
    const { pass } = await stage.rawPeer(port, 61_234, ["x.txt,text/plain,1,01/01/26"]);
    const downloads = await Promise.all(Array.from({ length: DOWNLOADS }, () => download(serving, pass, "film.mkv")));
    expect(downloads.map(({ position }) => position).sort()).toEqual([...Array<number>(AT_ONCE).fill(0), 1, 2]);

    await screen.choose("What I share");
    const [busy] = await screen.waitFor(/What I share ─.*╯/s);
    expect(busy.match(/127\.0\.0\.1:\d+ {2}.* sent {2}film\.mkv/g)).toHaveLength(AT_ONCE);
    expect(busy).toContain("2 downloaders waiting for a free slot.");

    let running = DOWNLOADS;
    for (const { whole } of downloads) void whole.then(() => running--);
    for (const { goOn } of downloads) goOn();
    let answers = 0;
    do {
      await screen.waitFor(MENU);
      await screen.choose("Who is online");
      await screen.waitFor("(you)");
      await screen.waitFor(MENU);
      await screen.choose("What I share");
      await screen.waitFor("film.mkv  24 MB");
      answers += 1;
    } while (running > 0 && answers < 200);
    const expected = Bun.hash(content);
    for (const { whole } of downloads) expect(Bun.hash(await whole)).toBe(expected);
    await screen.waitFor(MENU);
    await screen.choose("Leave");
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
