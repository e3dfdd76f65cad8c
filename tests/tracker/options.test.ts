// The command line of ft-tracker: its help to the byte, what it gives, and what it refuses.

import { describe, expect, test } from "bun:test";
import { UsageError } from "../../lib/error.ts";
import type { Address } from "../../lib/protocol/address.ts";
import { LIMITS } from "../../lib/tracker/limits.ts";
import { defaultTrackerName, parseTrackerArguments, TRACKER_HELP } from "../../lib/tracker/options.ts";

test("TRACKER_HELP is this text", () => {
  expect(TRACKER_HELP).toBe(`ft-tracker: knows which peer on this network has which file.

Usage: ft-tracker [options]
       ft-tracker COMMAND [--port N]    to one that is running on this machine

  status               peers, files, rates, refusals, memory (or: SIGUSR1)
  peers                who is online, and how many files they share
  files                which files are shared, and how many people have each
  holders NAME         who has this file, who is fetching it, who has not
  kick PEER            disconnect it for a minute: a name, 10.1.0.9, 10.1.0.0/16
  ban PEER [REASON]    keep its address out, for good or --for a while
  unban PEER           let it in again
  bans                 which addresses are banned, and for how long
  mute [PEER]          pass none of its offers on; alone: who is muted
  unmute PEER          pass its offers on again
  notice WORDS         tell every peer
  room new             give the private room another key; everybody is out
  home                 send the peers of other trackers of the group back
  config               print each setting and where it comes from
  service              print what this system needs to run it as a service

  --port N             port to listen on (default 1234; 0 takes a free one)
  --host ADDRESS       address to listen on (default: all of this machine)
  --name NAME          this tracker's name (default: the host's name)
  --group NAME         trackers of one group take over each other's peers
  --redis URL          share one index with the group, such as redis://10.0.0.5
  --redis-file FILE    a file with that URL, because it may hold a password
  --no-announce        do not announce the tracker on the network
  --room               a private room: only people who know its key come in
  --room-file FILE     a private room with the key in this file (or: FT_ROOM)
  --web [guests]       show browsers a page; guests: they may download, too
  --for DURATION       how long a ban holds, such as 30m, 2h or 7d
  --bans FILE          where bans are kept (default: in the state folder)
  --json               one JSON object a line for each event
  -q, --quiet          print errors only
  --completions SHELL  completions for bash, zsh, fish or powershell
  -h, --help           this text
  -V, --version        the version

Limits:

  --max-files N        files a peer may share (default 5)
  --max-peers N        peers online at once (default no limit)
  --max-per-address N  connections from one address (default 32)
  --max-connections N  connections in all (default no limit)
  --max-line BYTES     a line of the protocol (default 4096)
  --max-name BYTES     a file's name (default 255)
  --accept-within S    seconds to send the first list (default 10)
  --rate N             requests per second and peer (default 50)
  --burst N            requests at once after a pause (default 200)
  --find-time MS       search time of one address, ms per second (default 250)
  --results N          results per reply, unless asked for more (default 200)
  --max-results N      most results per reply (default 2000)
  --max-unsent BYTES   unread reply data allowed per peer (default 1048576)
  --stall S            drop a peer that reads nothing for this long (default 30)

Peers then run:  ft-peer   or, if they cannot find the tracker:  ft-peer ADDRESS
with one of the addresses printed at the start.
Ctrl-C stops it; the peers come back by themselves when it is started again.
To run it in the background: nohup ft-tracker > tracker.log &
To run it at each start of this machine: ft-tracker service`);
});

test("no line of TRACKER_HELP is wider than 80 columns", () => {
  expect(TRACKER_HELP.split("\n").filter((line) => line.length > 80)).toEqual([]);
});

describe("the options of ft-tracker", () => {
  test("have the defaults of the contract", () => {
    const parsed = parseTrackerArguments([]);
    if ("text" in parsed) throw new Error(parsed.text);
    const { name, bans, ...options } = parsed.options;
    expect(options).toEqual({ port: 1234, host: undefined, limits: {}, announce: true });
    expect(bans).toEndWith("bans.txt");
    expect(name).not.toBe("");
    expect(LIMITS).toMatchObject({ files: 5, perAddress: 32, line: 4096, name: 255, acceptance: 10, rate: 50, burst: 200 });
    expect(LIMITS).toMatchObject({ results: 200, mostResults: 2000, unsent: 1024 * 1024, stall: 30 });
    expect([parsed.json, parsed.quiet]).toEqual([false, false]);
  });

  test("are all taken", () => {
    const parsed = parseTrackerArguments(
      "--port 4321 --host ::1 --name Lab --max-files 9 --max-peers 8 --max-per-address 7 --bans kept-out --no-announce --json --quiet".split(
        " ",
      ),
    );
    if ("text" in parsed) throw new Error(parsed.text);
    expect(parsed).toEqual({
      options: {
        port: 4321,
        host: "::1" as Address,
        name: "Lab",
        limits: { files: 9, peers: 8, perAddress: 7 },
        bans: "kept-out",
        announce: false,
      },
      room: { room: false, file: undefined },
      json: true,
      quiet: true,
    });
  });

  test("ask for the help or the version", () => {
    expect(parseTrackerArguments(["--help"])).toEqual({ text: TRACKER_HELP });
    expect(parseTrackerArguments(["--port", "1", "--version"])).toEqual({
      text: expect.stringMatching(/^ft-tracker \d+\.\d+\.\d+/),
    });
    for (const shell of ["bash", "zsh", "fish", "powershell"]) {
      expect(parseTrackerArguments(["--completions", shell])).toEqual({ text: expect.stringContaining("ft-tracker") });
    }
  });

  test("belong to their command", () => {
    expect(parseTrackerArguments("ban 10.0.0.9 too loud --for 2h".split(" "))).toMatchObject({
      order: { order: "ban", address: "10.0.0.9", words: "too loud", seconds: 7200 },
    });
    const misplaced = "--for only works with ban. Try: ft-tracker ban 192.168.1.7 --for 2h";
    expect(() => parseTrackerArguments(["--for", "2h"])).toThrow(misplaced);
    expect(() => parseTrackerArguments(["kick", "10.0.0.9", "--for", "2h"])).toThrow(misplaced);
    expect(() => parseTrackerArguments(["ban", "10.0.0.9", "--for", "long"])).toThrow(
      '--for needs a duration such as 30m, 2h or 7d, not "long".',
    );
  });

  test("the orders take a peer as it is printed: its name, address and port, address or network", () => {
    for (const order of ["kick", "ban", "unban", "mute", "unmute"] as const) {
      for (const address of ["Ben (2)", "10.0.0.9:1235", "[fd00::7]:1235", "10.0.0.9", "10.0.0.0/8", "a1b2c3d4e5f60718"]) {
        expect(parseTrackerArguments([order, address])).toMatchObject({ order: { order, address } });
      }
    }
  });

  test.each([
    ["kick", "kick needs a peer's name or address. Try: ft-tracker kick 192.168.1.7"],
    ["kick Ben Smith", 'Unexpected "Smith". If a name contains spaces, put it in quotes.'],
    ["status now", '"status" takes no arguments. Try: ft-tracker status'],
    ["ban Ben 10m too loud", "A ban ends after a time that is given with --for. Try: ft-tracker ban Ben --for 10m too loud"],
    ["--web foo", '--web needs page or guests, not "foo".'],
    ["bans now", '"bans" takes no arguments. Try: ft-tracker bans'],
    ["notice", 'notice needs a message. Example: ft-tracker notice "Class ends in 5 minutes"'],
  ])("%p is refused in one sentence", (line, sentence) => {
    expect(() => parseTrackerArguments(line.split(" "))).toThrow(new UsageError(sentence));
  });

  const wrong: [string[], string][] = [
    [["--port", "x"], '"x"'],
    [["--port", "65536"], '"65536"'],
    [["--port", "1e3"], '"1e3"'],
    [["--port", "0x10"], '"0x10"'],
    [["--port="], '""'],
    [["--port"], '"--port"'],
    [["--port", "-1"], '"--port"'],
    [["--max-files", "0"], '"0"'],
    [["--name", ""], "--name"],
    [["--name", "x".repeat(256)], "--name"],
    [["--max-peers", "1.5"], '"1.5"'],
    [["--max-per-address", "many"], '"many"'],
    [["--host", "localhost"], '"localhost"'],
    [["--host", "127.0.0.1:80"], '"127.0.0.1:80"'],
    [["--host", ""], '""'],
    [["--host"], '"--host"'],
    [["--completions", "tcsh"], '"tcsh"'],
    [["--completions", "\x1b[2J"], '"\\x1b[2J"'],
    [["--completions"], '"--completions"'],
    [["--no-announce=no"], '"--no-announce"'],
    [["--host", "\x1b[2J"], '"\\x1b[2J"'],
    [["--bogus"], '"--bogus"'],
    [["--bogus=1"], '"--bogus"'],
    [["-p", "1"], '"-p"'],
    [["--quiet=yes"], '"--quiet"'],
    [["127.0.0.1"], '"127.0.0.1"'],
    [["--", "--port"], '"--port"'],
  ];
  for (const [argv, quoted] of wrong) {
    test(`${JSON.stringify(argv.join(" "))} is refused in one sentence that quotes it`, () => {
      let said: unknown;
      try {
        parseTrackerArguments(argv);
      } catch (error) {
        said = error;
      }
      if (!(said instanceof UsageError)) throw new Error(`not refused: ${said}`);
      expect(said.message).toContain(quoted);
      expect(said.message).toMatch(/^[^\u0000-\u001f]+(?:\.|--help)$/);
    });
  }
});

test("a mistyped command or option of ft-tracker brings the nearest one; help, -h and -V work", () => {
  const refused: [string[], string][] = [
    [["kcik", "10.0.0.9"], '"kcik" is not a command. Did you mean "kick"? Try: ft-tracker --help'],
    [["frobnicate"], '"frobnicate" is not a command. Try: ft-tracker --help'],
    [["--jsn"], '"--jsn" is not an option. Did you mean "--json"? Try: ft-tracker --help'],
    [["--max-file", "3"], '"--max-file" is not an option. Did you mean "--max-files"? Try: ft-tracker --help'],
  ];
  for (const [argv, words] of refused) expect(() => parseTrackerArguments(argv)).toThrow(new UsageError(words));
  for (const argv of [["help"], ["-h"]]) expect(parseTrackerArguments(argv)).toEqual({ text: TRACKER_HELP });
  expect(parseTrackerArguments(["-V"])).toEqual({ text: expect.stringMatching(/^ft-tracker \d/) });
});

test("a tracker without a name has the host's name without its domain, which macOS writes behind it", () => {
  expect(defaultTrackerName("Mac.local")).toBe("Mac");
  expect(defaultTrackerName("lab-pc")).toBe("lab-pc");
  expect(defaultTrackerName("room12.school.example")).toBe("room12");
  expect(defaultTrackerName("")).toBe("tracker");
});
