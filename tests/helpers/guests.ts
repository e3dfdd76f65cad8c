// A running ft-tracker and everybody who is connected to it, who speak in bytes written from the protocol's text.

import { type Program, Stage } from "./programs.ts";
import { Raw } from "./raw.ts";

/** A list of records as a peer sends it. */
export function files(port: number, ...records: string[]): string {
  return listOf(`port=${port}`, records);
}

/** The same with other values in its first line. */
export function listOf(values: string, records: readonly string[]): string {
  return `FILES ${records.length} ${values}\n${records.map((record) => `${record}\n`).join("")}`;
}

/** The values of a line by their keys; its words without one by "". */
export function valuesOf(line: string): Map<string, string> {
  const pairs = line.split(" ").map((word): [string, string] => {
    const equals = word.indexOf("=");
    return equals < 0 ? ["", word] : [word.slice(0, equals), word.slice(equals + 1)];
  });
  return new Map(pairs);
}

/** An accepted FT/2 peer, with the values of its HI and of its WELCOME. */
export class Peer {
  readonly raw: Raw;
  readonly hi: Map<string, string>;
  welcome: Map<string, string>;

  constructor(raw: Raw, hi: Map<string, string>, welcome: Map<string, string>) {
    this.raw = raw;
    this.hi = hi;
    this.welcome = welcome;
  }

  get id(): string {
    return this.welcome.get("id") ?? "";
  }

  get session(): string {
    return this.welcome.get("session") ?? "";
  }

  /** Sends one request line and takes its reply, of all its lines. */
  async ask(request: string): Promise<string> {
    this.raw.send(`${request}\n`);
    return await this.raw.reply();
  }

  /** Sends another list. */
  async renew(port: number, ...records: string[]): Promise<void> {
    this.raw.send(files(port, ...records));
    this.welcome = valuesOf(await this.raw.reply());
  }
}

/** A running tracker and its guests; all gone at the end. */
export class Guests implements AsyncDisposable {
  readonly stage: Stage;
  readonly program: Program;
  readonly port: number;
  readonly #guests: Raw[] = [];

  /** Starts a tracker that tells its events as JSON. */
  static async started(...args: string[]): Promise<[Stage, Program, number]> {
    const stage = new Stage();
    try {
      const { program, port } = await stage.tracker("--json", ...args);
      return [stage, program, port];
    } catch (failure) {
      await stage.close();
      throw failure;
    }
  }

  constructor(stage: Stage, program: Program, port: number) {
    this.stage = stage;
    this.program = program;
    this.port = port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const guest of this.#guests) guest.close();
    await this.stage.close();
  }

  async connect(from?: string, to?: string): Promise<Raw> {
    const guest = await Raw.connect(this.port, to, from);
    this.#guests.push(guest);
    return guest;
  }

  /** What is answered, until the tracker closes, to who half-closes behind these bytes. */
  async say(bytes: string | Uint8Array, from?: string): Promise<string> {
    const guest = await this.connect(from);
    guest.send(bytes);
    guest.halfClose();
    const answer = (await guest.rest()).toString();
    guest.close();
    return answer;
  }
}
