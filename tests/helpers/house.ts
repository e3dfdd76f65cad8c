// The compiled programs on the hosts of a LAN.

import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, Lan, type Switch } from "./lan.ts";
import { PEER, type Program, Stage, TRACKER } from "./programs.ts";

const noLan = Lan.possible();
const noIPv6 = Lan.ipv6();
const noFirewall = Lan.firewalls();
if (noLan !== undefined) console.warn(`Not tried: several hosts, because ${noLan}.`);
if (noLan === undefined && noIPv6 !== undefined) console.warn(`Not tried: hosts with IPv6, because ${noIPv6}.`);
if (noLan === undefined && noFirewall !== undefined) console.warn(`Not tried: firewalls, because ${noFirewall}.`);

/** Tests that need several hosts, those that need IPv6 on them, and those that need firewalls. */
export const onLan = test.skipIf(noLan !== undefined);
export const onLanWithIPv6 = test.skipIf(noIPv6 !== undefined);
export const behindFirewall = test.skipIf(noFirewall !== undefined);

/** Where a peer serves when nothing else does. */
export const PORT = 1235;
export const NOTES = "Bring the cables.\n".repeat(5000);

export interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** One test's hosts, programs and folders; disposing of it ends and removes all. */
export class House implements AsyncDisposable {
  readonly lan = new Lan();
  readonly stage = new Stage();
  #outside: Switch | undefined;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage.close();
    this.lan.close();
  }

  /** The switch of the three hosts. */
  get outside(): Switch {
    this.#outside ??= this.lan.switch();
    return this.#outside;
  }

  /** Three hosts on one switch, 10.77.0.1 to .3, and where there is IPv6 fd77::1 to ::3. */
  hosts(): [Host, Host, Host] {
    const to = this.outside;
    const six = (n: number) => (noIPv6 === undefined ? [`fd77::${n}/64`] : []);
    const host = (n: number) => this.lan.host({ eth0: { to, addresses: [`10.77.0.${n}/24`, ...six(n)] } });
    return [host(1), host(2), host(3)];
  }

  start(host: Host, binary: string, args: string[], cwd = this.stage.folder(), env: Record<string, string> = {}): Program {
    const [command, words] = host.command(binary, ...args);
    return this.stage.run(command, words, { cwd, env });
  }

  /** A tracker that can be found. */
  async track(host: Host, ...args: string[]): Promise<Program> {
    const name = args.includes("--name") ? [] : ["--name", "Lab 3"];
    const program = this.start(host, TRACKER, ["--json", ...name, ...args]);
    await program.waitFor(/"event":"addresses"/);
    if (!args.includes("--no-announce")) await program.waitFor(/"event":"announced"/);
    return program;
  }

  /** A folder with a file in it. */
  folderWith(name: string, content: string | Uint8Array): string {
    const folder = this.stage.folder();
    writeFileSync(join(folder, name), content);
    return folder;
  }

  /** A peer that shares notes, online and with the content id computed; finds its tracker by itself unless an address is given. */
  async shareNotes(host: Host, ...args: string[]): Promise<Program> {
    return await this.share(host, this.folderWith("notes.txt", NOTES), ...args);
  }

  async share(host: Host, folder: string, ...args: string[]): Promise<Program> {
    const program = this.start(host, PEER, [...args, "share", "--json", "--share", folder], folder);
    await program.waitFor(/"event":"root"/);
    return program;
  }

  /** Runs a command to its end, in a folder with something to share. */
  async peer(host: Host, args: string[], cwd = this.folderWith("mine.txt", "mine")): Promise<Outcome> {
    // A tracker that was found gets only files that are named.
    const named = args.includes("--share") ? args : [...args, "--share", cwd];
    const program = this.start(host, PEER, named, cwd);
    const code = await program.exited;
    return { code, out: program.out, err: program.err };
  }

  /** Fetches the notes and compares every byte. */
  async fetchNotes(host: Host, ...args: string[]): Promise<void> {
    const folder = this.folderWith("mine.txt", "mine");
    const { code, out, err } = await this.peer(host, [...args, "get", "notes.txt", "--json"], folder);
    expect({ code, err: code === 0 ? "" : `${out}${err}` }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out.trim().split("\n").at(-1) ?? "")).toMatchObject({ event: "done", verified: true });
    expect(readFileSync(join(folder, "notes.txt"), "utf8")).toBe(NOTES);
  }
}

export async function end(program: Program): Promise<void> {
  program.kill("SIGINT");
  await program.exited;
}
