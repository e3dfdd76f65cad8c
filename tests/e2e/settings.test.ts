// Settings in a file and in the environment, with the compiled programs.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PEER, Stage, TRACKER } from "../helpers/programs.ts";

const stage = new Stage();
afterAll(() => stage.close());

/** The environment of a user with this file of settings. */
function withFile(name: string, text: string): { XDG_CONFIG_HOME: string; file: string } {
  const config = stage.folder();
  mkdirSync(join(config, "filetracker"));
  const file = join(config, "filetracker", name);
  writeFileSync(file, text, { mode: 0o600 });
  return { XDG_CONFIG_HOME: config, file };
}

async function run(binary: string, args: string[], env: Record<string, string>, cwd = stage.folder()) {
  const program = stage.run(binary, args, { env, cwd });
  return { code: await program.exited, out: program.out, err: program.err };
}

describe("the file of settings", () => {
  test("is used: a tracker takes its name from it, a peer what it shares; a flag and a variable come before it", async () => {
    const { file: _, ...env } = withFile(
      "tracker.toml",
      'port = 0\nhost = "127.0.0.1"\nno-announce = true\nname = "Room 12"\n',
    );
    const tracker = stage.run(TRACKER, ["--json"], { env: { ...env, FT_MAX_FILES: "1" } });
    const [, port = ""] = await tracker.waitFor(/"event":"listening"[^\n]*"port":(\d+)/);
    const shared = stage.folder();
    writeFileSync(join(shared, "notes.txt"), "notes");
    const mine = withFile("peer.toml", `share = ["${shared}"]\nname = "Ann"\nport = 0\n`);
    const peerEnv = { XDG_CONFIG_HOME: mine.XDG_CONFIG_HOME };
    const { code, out } = await run(PEER, [`127.0.0.1:${port}`, "who", "--json"], peerEnv);
    expect({ code, who: JSON.parse(out) }).toMatchObject({ code: 0, who: { name: "Ann", files: 1 } });
    const other = await run(PEER, [`127.0.0.1:${port}`, "who", "--json", "--name", "Bo"], { ...peerEnv, FT_NAME: "Cy" });
    expect(JSON.parse(other.out)).toMatchObject({ name: "Bo" });
  });

  test("with a mistake is an error with the key and the file, exit code 2; help still comes", async () => {
    const { XDG_CONFIG_HOME, file } = withFile("tracker.toml", "max-file = 40\n");
    for (const args of [[], ["status"], ["config"]]) {
      const sentence = `Unknown key "max-file" in "${file}". Did you mean "max-files"?\n`;
      expect(await run(TRACKER, args, { XDG_CONFIG_HOME })).toEqual({ code: 2, out: "", err: sentence });
    }
    expect((await run(TRACKER, ["--help"], { XDG_CONFIG_HOME })).code).toBe(0);
  });

  test("is never that of the working folder", async () => {
    const cwd = stage.folder();
    for (const place of ["", "filetracker", ".config/filetracker"]) {
      mkdirSync(join(cwd, place), { recursive: true });
      for (const name of ["peer.toml", "tracker.toml", "bunfig.toml"]) writeFileSync(join(cwd, place, name), 'name = "trap"\n');
    }
    writeFileSync(join(cwd, ".env"), "FT_NAME=trap\n");
    for (const env of [{ XDG_CONFIG_HOME: "." }, { XDG_CONFIG_HOME: "filetracker" }, { XDG_CONFIG_HOME: "", HOME: "." }]) {
      for (const binary of [PEER, TRACKER]) {
        const { code, out } = await run(binary, ["config"], env, cwd);
        expect({ code, out }).toEqual({ code: 0, out: expect.not.stringContaining("trap") });
      }
    }
  });

  test("config says where each value comes from", async () => {
    const { XDG_CONFIG_HOME, file } = withFile("peer.toml", 'to = "/inbox"\n');
    const { code, out } = await run(PEER, ["config", "--quiet"], { XDG_CONFIG_HOME, FT_PORT: "4000" });
    expect(code).toBe(0);
    expect(out).toContain(`# from the file: ${file}\n`);
    expect(out).toMatch(/^port = 4000 +# from the environment: FT_PORT$/m);
    expect(out).toMatch(/^quiet = true +# from the command line$/m);
  });
});
