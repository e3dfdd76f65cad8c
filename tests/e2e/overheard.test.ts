// A private room on a LAN where somebody records every packet: a whole session, and not one word of it. The same session with an open
// tracker shows that the recording has everything.

import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { roomSecret } from "../../lib/program/room-key.ts";
import { House } from "../helpers/house.ts";
import { type Host, Lan } from "../helpers/lan.ts";
import { PEER, type Program, TRACKER } from "../helpers/programs.ts";

const noEar = Lan.possible() ?? (Bun.which("tshark") === null ? "there is no `tshark` command" : undefined);
if (noEar !== undefined) console.warn(`Not tried: what others hear of a private room, because ${noEar}.`);

const ROOM_KEY = "acid acorn acre acts afar affix";
/** Words of the session that an open tracker and its peers say aloud. */
const SAID = {
  "the tracker's name": "Quillwort",
  "the holder's name": "Zebedee-the-holder",
  "the fetcher's host name": "yolandas-laptop",
  "the name of a file": "plutonium-budget.txt",
  "what was searched for": "plutonium-bud",
  "the name of a folder": "wedding-pictures",
  "the name of a file in a folder": "bouquet-toss.jpg",
  "words of a file": "The committee met in secret",
  "words of a file in a folder": "A flash of teeth and lace",
};
/** Words that nobody may say, with whatever tracker. */
const NEVER_SAID = {
  "the key": ROOM_KEY,
  "a word of the key": "acorn",
  "the tracker's host name": "xanthippes-tower",
  "the holder's host name": "walpurgas-desktop",
};
const HASHES = ["md5", "sha1", "sha256", "sha384", "sha512"];
/** The first bytes of a hash that are looked for. Chance does not make them. */
const HASH_START = 8;

/** A recording of all that a host sends and receives. */
class Ear {
  readonly #house: House;
  readonly #host: Host;
  readonly #file: string;
  readonly #program: Program;

  constructor(house: House, host: Host) {
    this.#house = house;
    this.#host = host;
    this.#file = join(house.stage.folder(), "heard.pcap");
    this.#program = house.start(host, "tshark", ["-i", "eth0", "-w", this.#file, "-q"]);
  }

  /** Sends a word over the network until it is in the recording: then all that was sent before is there, too. */
  async mark(word: string): Promise<void> {
    const send = `const it = require("node:dgram").createSocket("udp4");
      setInterval(() => { for (const n of [1, 2]) it.send(${JSON.stringify(word)}, 9, "10.77.0." + n); }, 20);`;
    const sender = this.#house.start(this.#host, process.execPath, ["-e", send]);
    while (!this.bytes.includes(word)) await Bun.sleep(50);
    sender.kill();
    await sender.exited;
  }

  get bytes(): Buffer {
    try {
      return readFileSync(this.#file);
    } catch {
      // The recording has not begun.
      return Buffer.alloc(0);
    }
  }

  async stop(): Promise<void> {
    this.#program.kill("SIGINT");
    await this.#program.exited;
  }

  /** Fields of the recorded packets that fit. */
  fields(filter: string, ...fields: string[]): string[][] {
    const args = ["-r", this.#file, "-Y", filter, "-T", "fields", ...fields.flatMap((field) => ["-e", field])];
    const { stdout, exitCode } = Bun.spawnSync(["tshark", ...args]);
    if (exitCode !== 0) throw new Error(`tshark ended with ${exitCode}`);
    return stdout
      .toString()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split("\t"));
  }
}

/** Every way in which a secret is looked for in a recording, each with its name. */
function formsOf(secret: string | Uint8Array): [form: string, bytes: Buffer][] {
  const bytes = Buffer.from(secret);
  const hashes = HASHES.map((name) => [name, createHash(name).update(bytes).digest().subarray(0, HASH_START)] as const);
  const plain = [["itself", bytes] as const, ...hashes];
  return plain.flatMap(([name, value]) => [
    [name, value],
    [`${name} in hex`, Buffer.from(value.toString("hex"))],
    [`${name} in base64`, Buffer.from(value.toString("base64").replace(/.=*$/, ""))],
    [`${name} in base64url`, Buffer.from(value.toString("base64url").slice(0, -1))],
    [`${name} in UTF-16`, Buffer.from(value.toString("latin1"), "utf16le")],
  ]);
}

/** The secrets that are in a recording, with the form in which they are there. */
function heardOf(bytes: Buffer, secrets: Record<string, string | Uint8Array>): string[] {
  const small = Buffer.from(bytes.toString("latin1").toLowerCase(), "latin1");
  return Object.entries(secrets).flatMap(([what, secret]) => {
    const lower = typeof secret === "string" ? formsOf(secret.toLowerCase()) : [];
    return [
      ...formsOf(secret).flatMap(([form, look]) => (bytes.includes(look) ? [`${what}: ${form}`] : [])),
      ...lower.flatMap(([form, look]) => (small.includes(look) ? [`${what}: ${form}, in small letters`] : [])),
    ];
  });
}

/** Joins, searches, looks, fetches a file and a folder, and leaves, while everything is recorded. */
async function session(house: House, env: Record<string, string>): Promise<{ ears: Ear[]; root: string }> {
  const hosts = house.hosts();
  const [a, b, c] = hosts;
  const ears = hosts.map((host) => new Ear(house, host));
  await Promise.all(ears.map((ear) => ear.mark("the-beginning")));
  const run = (host: Host, hostName: string, cwd: string, binary: string, ...args: string[]) => {
    // A host name of its own, for this program alone.
    const named = ["--uts", "sh", "-c", 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"', hostName, binary, ...args];
    return house.start(host, "unshare", named, cwd, { XDG_STATE_HOME: house.stage.folder(), ...env });
  };
  const tracker = run(
    a,
    NEVER_SAID["the tracker's host name"],
    house.stage.folder(),
    TRACKER,
    "--json",
    "--name",
    SAID["the tracker's name"],
  );
  await tracker.waitFor(/"event":"announced"/);

  const shared = house.folderWith(SAID["the name of a file"], `${SAID["words of a file"]}.\n`.repeat(4000));
  const folder = join(shared, SAID["the name of a folder"]);
  mkdirSync(folder);
  writeFileSync(join(folder, SAID["the name of a file in a folder"]), `${SAID["words of a file in a folder"]}.\n`.repeat(4000));
  writeFileSync(join(folder, "empty.txt"), "");
  const both = [SAID["the name of a file"], SAID["the name of a folder"]];
  const name = ["--name", SAID["the holder's name"]];
  const holder = run(b, NEVER_SAID["the holder's host name"], shared, PEER, "share", ...both, "--json", ...name);
  const [, root = ""] = await holder.waitFor(/"event":"root"[^\n]*"root":"([0-9a-f]{64})"/);
  await holder.waitFor(/"event":"folder"/);

  const own = house.folderWith("mine.txt", "mine");
  for (const args of [["who"], ["find", SAID["what was searched for"]], ["get", ...both]]) {
    const peer = run(c, SAID["the fetcher's host name"], own, PEER, ...args, "--json", "--share", "mine.txt");
    expect({ code: await peer.exited, args, out: peer.out }).toMatchObject({ code: 0 });
  }
  expect(readFileSync(join(own, SAID["the name of a file"]), "utf8")).toContain(SAID["words of a file"]);
  expect(readFileSync(join(own, SAID["the name of a folder"], SAID["the name of a file in a folder"]), "utf8")).toContain(
    "lace",
  );
  holder.kill("SIGINT");
  await holder.exited;
  await tracker.waitFor(/"event":"left"[^\n]*"reason":"left"/);
  tracker.kill("SIGTERM");
  await tracker.exited;
  await Promise.all(ears.map((ear) => ear.mark("the-end")));
  await Promise.all(ears.map((ear) => ear.stop()));
  return { ears, root };
}

describe.skipIf(noEar !== undefined)("a person who records every packet", () => {
  test("reads all of a session with an open tracker", async () => {
    await using house = new House();
    const { ears, root } = await session(house, {});
    const heard = Buffer.concat(ears.map((ear) => ear.bytes));
    const all = heardOf(heard, { ...SAID, "a content id": root });
    for (const what of Object.keys({ ...SAID, "a content id": root })) expect(all).toContain(`${what}: itself`);
    expect(heardOf(heard, NEVER_SAID)).toEqual([]);
  });

  test("hears no word of a session in a private room, and no hash of one", async () => {
    await using house = new House();
    const { ears, root } = await session(house, { FT_ROOM: ROOM_KEY });
    const secrets = {
      ...SAID,
      ...NEVER_SAID,
      "a content id": root,
      "the bytes of a content id": Buffer.from(root, "hex"),
      "the secret that comes of the key": roomSecret(ROOM_KEY),
      "a word of the protocol": "DOWNLOAD ",
      "another word of the protocol": "WELCOME ",
      "the program": "ft-peer",
    };
    expect(heardOf(Buffer.concat(ears.map((ear) => ear.bytes)), secrets)).toEqual([]);
    for (const ear of ears) {
      const sent = ear.fields("tcp.len > 0 && not tcp.analysis.retransmission", "tcp.stream", "ip.src", "tcp.payload");
      expect(sent.length).toBeGreaterThan(0);
      const first = new Map<string, string>();
      for (const [stream, from, payload = ""] of sent)
        if (!first.has(`${stream} ${from}`)) first.set(`${stream} ${from}`, payload);
      // Both sides of every connection begin with a handshake of TLS (RFC 8446, section 5.1).
      for (const payload of first.values()) expect(payload).toStartWith("1603");
      expect(ear.fields("tls.handshake.extensions_server_name || tls.handshake.certificate", "frame.number")).toEqual([]);
      const names = ear.fields("mdns", "dns.qry.name", "dns.resp.name", "dns.srv.target", "dns.txt").flat();
      const all = new Set(names.flatMap((text) => text.split(",")).filter((text) => text !== ""));
      for (const text of all) {
        expect(text).toMatch(
          /^(?:Private room\.)?_filetracker\._tcp\.local$|^_services\._dns-sd\._udp\.local$|^filetracker-[0-9a-f]{12}\.local$|^version=[\d.]+$|^id=[0-9a-f]{12}$|^room=1$/,
        );
      }
      expect(all).toContain("room=1");
    }
  });
});
