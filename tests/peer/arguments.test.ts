// The command line of ft-peer: its help to the byte, what it gives, and what it refuses.

import { describe, expect, test } from "bun:test";
import { UsageError } from "../../lib/error.ts";
import { parsePeerArguments, rootArgument, slashed } from "../../lib/peer/arguments.ts";
import { defaultPeerName, PEER_HELP } from "../../lib/peer/options.ts";

const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

test("PEER_HELP is this text", () => {
  expect(PEER_HELP).toBe(`ft-peer: get a file from whoever on this network has it.

Usage: ft-peer [ADDRESS[:PORT]] [command] [options]

ADDRESS is the tracker's; without it, the one that announces itself on the
network.
Without a command, on a terminal: guided prompts.

  search NAME        who has the file of exactly this name
  find WORD...       who has files with all these words in their names, or the
                     one file with the content id root:HEX
  get NAME...        fetch files or folders, by name or by content id (root:HEX)
  want WORD...       print each file that fits, now and when it appears, until
                     Ctrl-C
  send PATH...       hand files and folders out: --to Ben,Chloe or --to all
  collect WORD...    fetch each file that fits, of everybody, into a folder a
                     person
  list [PEER]        every file online, or those of a peer, or those in
                     PEER/FOLDER
  holders NAME       who has this file, who is fetching it, who has not
  who                the peers online
  share [PATH...]    serve files, and folders as one each, until Ctrl-C
  config             print each setting and where it comes from
  doctor             check the network, the firewall and the tracker

  --share PATH       a file or folder to share; repeatable (default: this
                     folder's first 5 files)
  --to DIR           where fetched files go (default: this folder); - is
                     standard output; send: to whom, such as Ben,Chloe or all
  -o, --output FILE  get: save the one file as this; - is standard output
  --port N           where this peer serves (default 1235, else a free port)
  --name NAME        your name, as others see it (default: this computer's name)
  --from PEER        fetch from this holder only: its name or address:port;
                     collect: Ben,Chloe
  --any              get: when several files have the name, take the best
  --overwrite        let a fetched file replace one of the same name
  --wait [DURATION]  get: wait until somebody has it, such as 2h; send: stay at
                     least for this time
  --say WORDS        send: a word to those who get it
  --accept NAME      share: fetch what this person sends, or everybody with all;
                     repeatable
  --get              want: fetch each file that appears
  --ext EXT          find: only these extensions, such as pdf or pdf,odt
  --type TYPE        find: only this kind of file, such as video/
  --min SIZE         find: at least this big, such as 10MB
  --max SIZE         find: at most this big
  --after DATE       find: last changed on this day or later, such as 2026-11-22
  --before DATE      find: last changed on this day or earlier
  --room-file FILE   the key of a private room is in this file (or: FT_ROOM)
  --forget           do not keep what is known of this private room
  --limit RATE       most bytes per second, such as 10MB (up and down each)
  --no-guests        do not serve browsers, also where the tracker's page lets
                     them
  --json             one JSON object a line
  -q, --quiet        print results and errors only
  -h, --help         this text
  --completions SHELL
                     completions for bash, zsh, fish or powershell
  -V, --version      the version
  --                 ends the options

A peer shares at least one file, or the tracker does not accept it.
Exit codes: 0 done, 1 could not, 2 wrong usage, 130 interrupted.`);
});

describe("parsePeerArguments", () => {
  test.each([
    [["get", "a", "--wait", "2h"], { names: ["a"], wait: 7200 }],
    [["get", "--wait", "a b"], { names: ["a b"], wait: 999 * 86_400 }],
    [["get", "a", "--wait"], { names: ["a"], wait: 999 * 86_400 }],
    [["get", "--wait", "2026.pdf", "3d plan"], { names: ["2026.pdf", "3d plan"], wait: 999 * 86_400 }],
    [["get", "--", "--wait"], { names: ["--wait"], wait: undefined }],
    [["want", "les son", "--ext", "pdf", "--get"], { wish: { words: ["les", "son"], ext: ["pdf"] }, get: true }],
  ])("reads how long and for what to wait in %j", (argv, expected) => {
    expect(parsePeerArguments(argv)).toMatchObject(expected);
  });

  test("gives the defaults for an empty line", () => {
    expect(parsePeerArguments([])).toEqual({
      tracker: undefined,
      command: undefined,
      argument: undefined,
      names: [],
      wish: { words: [], group: true },
      share: [],
      paths: [],
      recipients: [],
      say: "",
      accept: [],
      to: ".",
      output: undefined,
      outputOption: "--output",
      isNameChanged: false,
      port: undefined,
      name: undefined,
      from: undefined,
      any: false,
      wait: undefined,
      get: false,
      overwrite: false,
      limit: undefined,
      "room-file": undefined,
      forget: false,
      "no-guests": false,
      json: false,
      quiet: false,
    });
  });

  test("takes every option of a download", () => {
    const line =
      "192.168.1.5:4321 get notes.txt --share a --share b --to c --port 0 --name Ben --from [fd00::7%eth0]:1235 --any --overwrite --limit 1.5MB --json --quiet";
    expect(parsePeerArguments(line.split(" "))).toEqual({
      tracker: { address: "192.168.1.5", port: 4321 },
      command: "get",
      argument: undefined,
      names: ["notes.txt"],
      wish: { words: [], group: true },
      share: ["a", "b"],
      paths: [],
      recipients: [],
      say: "",
      accept: [],
      to: "c",
      output: undefined,
      outputOption: "--output",
      isNameChanged: false,
      port: 0,
      name: "Ben",
      from: "[fd00::7%eth0]:1235",
      any: true,
      wait: undefined,
      get: false,
      overwrite: true,
      limit: 1_500_000,
      "room-file": undefined,
      forget: false,
      "no-guests": false,
      json: true,
      quiet: true,
    });
  });

  test("takes words, content ids and every filter of find", () => {
    const line = `find red green root:${ROOT} --ext .pdf,odt --ext txt --type video/ --min 1kB --max 2MB --after 2026-01-02 --before 2026-03-04`;
    expect(parsePeerArguments(line.split(" "))).toMatchObject({
      command: "find",
      argument: undefined,
      wish: {
        words: ["red", "green"],
        group: true,
        root: ROOT,
        ext: ["pdf", "odt", "txt"],
        type: "video/",
        min: 1000,
        max: 2_000_000,
        after: "2026-01-02",
        before: "2026-03-04",
      },
    });
    expect(parsePeerArguments(["find", " red  green "])).toMatchObject({ wish: { words: ["red", "green"], group: true } });
    expect(parsePeerArguments(["lab:1234", "find", "red", "--", "-draft"])).toMatchObject({
      tracker: { address: "lab", port: 1234 },
      wish: { words: ["red", "-draft"] },
    });
  });

  test("gives the text of --help before that of --completions, and that before --version, whatever else is wrong", () => {
    expect(parsePeerArguments(["--port", "x", "--version", "--completions", "tcsh", "--help"])).toEqual({ text: PEER_HELP });
    expect(parsePeerArguments(["--port", "x", "--version", "--completions", "fish"])).toEqual({
      text: expect.stringContaining("complete -c ft-peer"),
    });
    expect(parsePeerArguments(["who", "who", "--version"])).toEqual({ text: expect.stringMatching(/^ft-peer \d+\.\d+\.\d+$/) });
  });

  test("takes several names, each once, for get, and paths for share", () => {
    expect(parsePeerArguments(["get", "a.txt", `root:${ROOT}`, "a.txt"])).toMatchObject({ names: ["a.txt", `root:${ROOT}`] });
    expect(parsePeerArguments(["share", "a", "b", "--share", "c"])).toMatchObject({
      command: "share",
      share: ["c"],
      paths: ["a", "b"],
    });
    expect(parsePeerArguments(["get", "a", "-q", "-o", "b/c.txt"])).toMatchObject({ quiet: true, output: "b/c.txt" });
    expect(parsePeerArguments(["get", "a", "--to", "-"])).toMatchObject({ to: "-" });
    expect(parsePeerArguments(["localhost", "who"])).toMatchObject({ tracker: { address: "localhost", port: 1234 } });
  });

  test("help, -h and -V are asked for like --help and --version", () => {
    for (const argv of [["help"], ["-h"], ["get", "-h"]]) expect(parsePeerArguments(argv)).toEqual({ text: PEER_HELP });
    expect(parsePeerArguments(["-V"])).toEqual({ text: expect.stringMatching(/^ft-peer \d/) });
  });

  const refused: [string, string][] = [
    [
      "lab:1234 frob",
      '"frob" is not a command. There are search, find, get, want, send, collect, list, holders, who, share, doctor, config. Try: ft-peer --help',
    ],
    ["10.0.0.1 serch x", '"serch" is not a command. Did you mean "search"? Try: ft-peer --help'],
    [
      "serch report.pdf",
      '"serch" is not a command. Did you mean "search"? If a tracker\'s host has this name, add the port: ft-peer serch:1234',
    ],
    ["gte", '"gte" is not a command. Did you mean "get"? If a tracker\'s host has this name, add the port: ft-peer gte:1234'],
    ["library", '"library" is not a command. If a tracker\'s host has this name, add the port: ft-peer library:1234'],
    ["my_pc", '"my_pc" is not a command. If a tracker\'s host has this name, add the port: ft-peer my_pc:1234'],
    ["sérch", '"sérch" is not a command. Did you mean "search"?'],
    ["été", '"été" is not a command. Try: ft-peer --help'],
    ["list --jsn", '"--jsn" is not an option. Did you mean "--json"? Try: ft-peer --help'],
    ["get a b -o c", "-o c takes one file. Give --to DIR for several."],
    ["get a b --output=c", "--output c takes one file. Give --to DIR for several."],
    ["get a b --to -", "--to - writes one file. Give --to DIR for several."],
    ["get a --to - --json", "--to - and --json both write to standard output. Leave one of them out."],
    ["get a -o b --to c", "-o names the whole path. Give either -o FILE or --to DIR."],
    ["get a --output b --to c", "--output names the whole path. Give either --output FILE or --to DIR."],
    ["find a -o b", "-o only works with get. Try: ft-peer get NAME -o ..."],
    ["a:b who", '"a:b" is not a tracker\'s address. Give one like 192.168.1.5, lab.local:1234 or [fe80::1]:1234.'],
    ["get", "get needs a file's name. Try: ft-peer get NAME"],
    ["search", "search needs a file's name. Try: ft-peer search NAME"],
    ["search my notes", 'Unexpected "notes". If a name contains spaces, put it in quotes.'],
    ["who me", 'Unexpected "me". If a name contains spaces, put it in quotes.'],
    ["doctor my cat", 'Unexpected "my". If a name contains spaces, put it in quotes.'],
    ["find", "find needs a word, or a filter such as --ext pdf. Try: ft-peer find report"],
    [`find root:${ROOT} root:${ROOT}`, "find takes one content id at a time."],
    ["find root:12", '"root:12" is not a content id: root: is followed by 64 hex digits.'],
    ["find --min big", '--min needs a size, such as 500kB or 10MB, not "big".'],
    ["find --after 2026-02-31x", '--after needs a day, such as 2026-11-22, not "2026-02-31x".'],
    ["list --wait", "--wait only works with get, send. Try: ft-peer get NAME --wait ..."],
    ["get a.pdf --wait 30", '--wait needs a duration such as 30m, 2h or 7d, not "30".'],
    ["get --wait 30 a.pdf", '--wait needs a duration such as 30m, 2h or 7d, not "30".'],
    ["get a.pdf --wait 1.5h", '--wait needs a duration such as 30m, 2h or 7d, not "1.5h".'],
    ["send a.pdf --to all --wait 5min", '--wait needs a duration such as 30m, 2h or 7d, not "5min".'],
    ["get x --say hi", "--say only works with send. Try: ft-peer send PATH --to NAME --say ..."],
    ["send a.pdf --to all --accept Ben", "--accept only works with share. Try: ft-peer share --accept ..."],
    ["send a.pdf", "send needs people. Give --to with a name, several names with commas, or all."],
    ["send a.pdf --to ,", "send needs people. Give --to with a name, several names with commas, or all."],
    ["send --to all", "send needs a file or a folder. Try: ft-peer send slides.pdf --to all"],
    ["send a.pdf --to all --share .", "send shares what it sends. Leave --share out."],
    [`send a.pdf --to all --say ${"é".repeat(101)}`, "--say takes 200 bytes at most."],
    ["share --accept all --to -", "--accept saves files. Give --to DIR."],
    ["want x --get --to -", "want --get saves files. Give --to DIR."],
    ["collect x --to -", "collect saves files. Give --to DIR."],
    ["collect", "collect needs a word, or a filter such as --ext pdf. Try: ft-peer collect report"],
    ["find a --get", "--get only works with want. Try: ft-peer want WORD --get"],
    ["want", "want needs a word, or a filter such as --ext pdf. Try: ft-peer want report"],
    ["holders", "holders needs a file's name. Try: ft-peer holders NAME"],
    ["list --max 5MB", "--max only works with find, want, collect. Try: ft-peer find WORD --max ..."],
    ["search a --any", "--any only works with get. Try: ft-peer get NAME --any"],
    ["--any", "--any only works with get. Try: ft-peer get NAME --any"],
    ["get a --ext pdf", "--ext only works with find, want, collect. Try: ft-peer find WORD --ext ..."],
    ["share --limit 10", '--limit needs bytes per second, at least 1kB, such as 500kB or 10MB, not "10".'],
    ["share --port 65536", '--port needs a whole number from 0 to 65535, not "65536".'],
    [
      "get a --from 192.168.1.7:0",
      '--from needs a holder as it is listed, such as 192.168.1.7:1235, [fd00::7]:1235 or Ben, not "192.168.1.7:0".',
    ],
    ["--completions tcsh", '--completions needs one of bash, zsh, fish, powershell, not "tcsh".'],
    ["--to", '"--to" needs a value. Try: ft-peer --help'],
    ["--json=1", '"--json" takes no value. Try: ft-peer --help'],
    ["--bogus", '"--bogus" is not an option. Try: ft-peer --help'],
  ];
  test("takes the people of send from each --to, and a folder from the last --to of any other command", () => {
    const parsed = (line: string[]) => parsePeerArguments(line);
    const outside = { path: undefined, text: 'to = "/tmp"', environment: {}, home: "" };
    expect(
      parsePeerArguments(["send", "a.pdf", "dir", "--to", "Ben,Chloe", "--to=Dan", "--say", " hi "], outside),
    ).toMatchObject({
      command: "send",
      paths: ["a.pdf", "dir"],
      share: [],
      recipients: ["Ben,Chloe", "Dan"],
      say: "hi",
      to: "/tmp",
    });
    expect(parsed(["get", "x", "--to", "one", "--to", "two"])).toMatchObject({ to: "two", recipients: [] });
    expect(parsed(["share", "--accept", "Ben,Chloe", "--accept", "Dan"])).toMatchObject({ accept: ["Ben,Chloe", "Dan"] });
    expect(parsed(["send", "a.pdf", "--to", "all", "--wait"])).toMatchObject({ recipients: ["all"], wait: 999 * 86_400 });
  });

  test.each(refused)("refuses %p in one sentence", (line, sentence) => {
    expect(() => parsePeerArguments(line.split(" "))).toThrow(new UsageError(sentence));
  });

  test("a word that a person has called a computer's name is the tracker's address", () => {
    const line = parsePeerArguments(["library", "who"], undefined, "library");
    expect(line).toMatchObject({ tracker: { address: "library", port: 1234 }, command: "who" });
  });
});

describe("--name", () => {
  test.each([
    ["Ben", "Ben", false],
    ["  Zoe\u0308 \n Smith\u202e ", "Zoë Smith", true],
    ["n".repeat(5_000), "n".repeat(64), true],
    ["Zoe\u0308  \u00a0S. ", "Zoë S.", false],
    ["", "", false],
  ])("%j is %j", (text, name, isNameChanged) => {
    expect(parsePeerArguments(["who", "--name", text])).toMatchObject({ name, isNameChanged });
  });

  test.each(["10.0.0.7", "\u200b\u202e", "\0", "   ", "\t"])("%j is refused, because nothing of it is a name", (text) => {
    expect(() => parsePeerArguments(["who", "--name", text])).toThrow("--name needs a name that people can read, such as Ben");
  });

  test.each([
    ["Bens-MacBook.local", "Bens-MacBook"],
    ["pc-12", "pc-12"],
    ["lab.school.example", "lab"],
    ["fe80::1", ""],
    ["", ""],
  ])("by default it is the host's name without its domain: of %j it is %j", (host, name) => {
    expect(defaultPeerName(host)).toBe(name);
  });
});

test("rootArgument gives the content id behind root:, and undefined for other text", () => {
  expect(rootArgument(`root:${ROOT}`)).toBe(ROOT);
  expect(rootArgument("root.txt")).toBeUndefined();
});

test("slashed takes a path in a shared folder with the separators of Windows, only there", () => {
  expect(slashed("Photos\\2026\\a.jpg", "win32")).toBe("Photos/2026/a.jpg");
  expect(slashed("Photos/2026", "win32")).toBe("Photos/2026");
  for (const platform of ["linux", "darwin"]) expect(slashed("a\\b.txt", platform)).toBe("a\\b.txt");
});
