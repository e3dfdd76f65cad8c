// Which tracker gets the files of a peer: the compiled programs, with trackers that announce themselves and folders that are private.

import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { House, onLan } from "../helpers/house.ts";
import type { Host } from "../helpers/lan.ts";
import { PEER, type Program, Stage, TRACKER } from "../helpers/programs.ts";
import { KEY, Screen } from "../helpers/terminal.ts";

/** A tracker with a key of its own. */
async function track(house: House, host: Host, name = "Lab 3"): Promise<Program> {
  const [command, args] = host.command(TRACKER, "--json", "--name", name);
  const program = house.stage.run(command, args, { env: { XDG_STATE_HOME: house.stage.folder() } });
  await program.waitFor(/"event":"announced"/);
  return program;
}

/** Runs a command as it is typed: nothing is added to it. */
async function peer(house: House, host: Host, args: string[]) {
  const program = house.start(host, PEER, args, house.folderWith("mine.txt", "mine"));
  return { code: await program.exited, out: program.out, err: program.err };
}

describe("a tracker that announced itself", () => {
  onLan("and was never used gets nothing without a yes: in a script exit code 2 and what to do", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    const tracker = await track(house, a);
    const refused = await peer(house, b, ["who"]);
    expect([refused.code, refused.out]).toEqual([2, ""]);
    expect(refused.err).toContain(
      'The tracker "Lab 3" at 10.77.0.1 was found on this network, and was never used from here. ' +
        "To give it your files, name them with --share, or type its address: ft-peer 10.77.0.1",
    );
    expect(tracker.out).not.toContain('"event":"joined"');
    expect(refused.err).not.toContain("Sharing");
    // Naming the files is a yes. From then on the tracker is known, also after a restart.
    expect((await peer(house, b, ["who", "--share", "mine.txt"])).code).toBe(0);
    expect((await peer(house, b, ["who"])).code).toBe(0);
  });

  onLan("with a key that is kept is the same one after a restart; another key under its name is exit code 2", async () => {
    await using house = new House();
    const [a, b, c] = house.hosts();
    const first = await house.track(a);
    expect((await peer(house, c, ["10.77.0.1", "who"])).code).toBe(0);
    first.kill("SIGTERM");
    await first.exited;
    const again = await house.track(a);
    expect((await peer(house, c, ["who"])).code).toBe(0);
    again.kill("SIGTERM");
    await again.exited;
    const other = await track(house, b);
    const refused = await peer(house, c, ["who", "--share", "mine.txt"]);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('The tracker "Lab 3" at 10.77.0.2 is not the one of this name that was used before');
    expect(other.out).not.toContain('"event":"joined"');
    // A typed address is trusted, and remembered.
    expect((await peer(house, c, ["10.77.0.2", "who"])).code).toBe(0);
    expect((await peer(house, c, ["who"])).code).toBe(0);
  });

  onLan("is asked about on a terminal, with its name and the files; a no gives it nothing", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    const tracker = await track(house, a);
    const [command, words] = b.command(PEER, "who");
    const place = { cwd: house.folderWith("mine.txt", "mine"), env: { XDG_CACHE_HOME: house.stage.folder() } };
    for (const [label, code] of [
      ["No", 1],
      ["Yes", 0],
    ] as const) {
      const screen = new Screen([command, ...words], place);
      try {
        await screen.waitFor('"mine.txt"');
        await screen.waitFor('Share with "Lab 3" at 10.77.0.1?');
        expect(tracker.out).not.toContain('"event":"joined"');
        await screen.choose(label);
        expect(await screen.exited).toBe(code);
      } finally {
        await screen.close();
      }
    }
    await tracker.waitFor(/"event":"joined"/);
  });

  onLan("is not joined by the doctor, which says why", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    const tracker = await track(house, a);
    const { code, out } = await peer(house, b, ["doctor", "--json"]);
    expect(code).toBe(0);
    expect(out).toMatch(/"check":"tracker","status":"warning","detail":"The tracker .* was never used from here/);
    expect(tracker.out).not.toContain('"event":"joined"');
  });

  onLan("is named where the prompts ask for files", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    await track(house, a);
    const [command, words] = b.command(PEER);
    const env = { XDG_CACHE_HOME: house.stage.folder(), XDG_STATE_HOME: house.stage.folder() };
    const screen = new Screen([command, ...words, "--name", "Tester"], { cwd: house.folderWith("mine.txt", "mine"), env });
    try {
      await screen.waitFor('Which files do you want to share with "Lab 3" at 10.77.0.1? (up to 5)');
      await screen.waitFor("other folder");
      screen.press(KEY.enter);
      await screen.waitFor("Online at");
    } finally {
      await screen.close();
    }
  });
});

describe("a tracker that lies about where it is", () => {
  /** Takes connections on a port, and says from where they come. */
  const LISTENER = `
    Bun.listen({ hostname: "::", port: 6379, socket: { data() {}, open: ({ remoteAddress }) => console.log("met " + remoteAddress) } });
    console.log("ready");`;

  /** Says that the peer has the tracker's own address, and then has it connect to all that it may not, and at last to the tracker. */
  const LIAR = `
    const targets = ["127.0.0.1", "127.0.0.53", "::1", "10.77.0.2", "fd77::2", "203.0.113.9", "0.0.0.0", "10.77.0.1"];
    Bun.listen({ hostname: "0.0.0.0", port: 6379, socket: { data() {}, open: ({ remoteAddress }) => console.log("met " + remoteAddress) } });
    Bun.listen({ hostname: "0.0.0.0", port: 1234, socket: { data: (socket, bytes) => {
      for (const line of bytes.toString().split("\\n")) {
        if (line.startsWith("HELLO FT/2")) socket.write("HI FT/2 name=liar max=5 key=AAAA you=10.77.0.1\\n");
        if (line.startsWith("KNOWN")) socket.write("NO\\n");
        if (line.startsWith("FILES")) socket.write("WELCOME id=p1 pass=a.b peers=1 files=1\\n");
        // The content id: the peer is online.
        if (!line.startsWith("ADD")) continue;
        socket.write("OK\\n");
        for (const address of targets) socket.write("CONNECT address=" + address + " port=6379 token=t\\n");
      }
    } } });
    console.log("ready");`;

  onLan("cannot have a peer connect to its own machine, nor to any host", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    const liar = house.start(a, process.execPath, ["-e", LIAR]);
    const victim = house.start(b, process.execPath, ["-e", LISTENER]);
    await Promise.all([liar.waitFor(/ready/), victim.waitFor(/ready/)]);
    const peer = house.start(b, PEER, ["10.77.0.1", "share", "--json"], house.folderWith("mine.txt", "mine"));
    await peer.waitFor(/"event":"joined"/);
    // The last address is on the peer's network: when it is dialled, all others were decided.
    await liar.waitFor(/met \S*10\.77\.0\.2/);
    peer.kill("SIGINT");
    await peer.exited;
    expect(victim.out.trim()).toBe("ready");
  });
});

describe("a folder that is private", () => {
  test("is not shared without --share, also with a typed address: exit code 2 before the tracker is met", async () => {
    const stage = new Stage();
    try {
      const { program, address } = await stage.tracker("--json");
      const home = stage.folder();
      writeFileSync(join(home, "diary.txt"), "mine");
      mkdirSync(join(home, "papers"));
      writeFileSync(join(home, "papers", "paper.txt"), "everybody's");
      const run = async (cwd: string, ...args: string[]) => {
        const peer = stage.run(PEER, [address, "who", ...args], { cwd, env: { HOME: home } });
        return { code: await peer.exited, err: peer.err };
      };
      const refused = await run(home);
      expect(refused.code).toBe(2);
      expect(refused.err).toContain(
        `The files of "${home}" are not shared without being named, because it is your home folder.`,
      );
      expect((await run("/")).code).toBe(2);
      if (process.platform === "linux") expect((await run("/etc")).err).toContain("it is a folder of the system");
      expect(program.out).not.toContain('"event":"joined"');
      expect((await run(home, "--share", "diary.txt")).code).toBe(0);
      expect((await run(join(home, "papers"))).code).toBe(0);
    } finally {
      await stage.close();
    }
  });
});
