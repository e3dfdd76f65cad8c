// Gathers a file whose bytes come in order, from its start: hashes and writes them, and at the end compares all of it with the content id.
// It knows no connections. The pieces of other fetches come in any order, and are proven one by one (arrivals.ts).

import { concatBytes } from "../../bytes.ts";
import type { Clock } from "../../clock.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { pieceSizeOf, rootOf } from "../content/merkle.ts";
import { Landing, type RangeBuffer } from "./landing.ts";
import type { FetchTools, WantedFile } from "./types.ts";

/** The length in which bytes are hashed and written, unless one piece is longer. Bytes. */
const STEP = 4 * 1024 * 1024;

interface WholeFileEvents {
  /** There is room again. */
  room(): void;
  /** The disk, or hashing, failed. */
  failed(error: Error): void;
}

/** The part of a file that has come. */
export class WholeFile {
  /** The holders whose bytes are in the file. */
  readonly contributors = new Set<FileRecord>();
  readonly #wanted: WantedFile;
  readonly #tools: FetchTools;
  readonly #clock: Clock;
  readonly #landing: Landing;
  readonly #step: number;
  /** Several holders together gave a wrong file: from now on each has to give all of it. */
  apart = false;
  /** Bytes that have come, from the start of the file. */
  received = 0;
  /** The range that the next bytes belong to. */
  #filling: RangeBuffer | undefined;
  #layers: Uint8Array[] = [];
  /** The error of the disk, or of hashing. */
  failure: Error | undefined;

  constructor(wanted: WantedFile, tools: FetchTools, clock: Clock, { room, failed }: WholeFileEvents) {
    this.#wanted = wanted;
    this.#tools = tools;
    this.#clock = clock;
    this.#step = Math.max(STEP, pieceSizeOf(wanted.size));
    this.#landing = new Landing({
      write: (offset, bytes) => tools.target.write(offset, bytes),
      layer: tools.layer,
      room,
      failed: (error) => {
        this.failure ??= error;
        failed(error);
      },
    });
  }

  /** Holders must not send until `room` is called. */
  get full(): boolean {
    return this.#landing.full;
  }

  /** Takes the next bytes, which this holder has sent. */
  take(holder: FileRecord, bytes: Uint8Array): void {
    this.contributors.add(holder);
    this.#land(bytes);
    this.#landing.throttle(bytes.length, this.#tools.limit, this.#clock);
  }

  /** Gathers bytes in ranges of whole pieces; each range is hashed and written when it is full. */
  #land(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const index = Math.floor(this.received / this.#step);
      const offset = index * this.#step;
      const length = Math.min(this.#step, this.#wanted.size - offset);
      this.#filling ??= this.#landing.open({ offset, length });
      const buffer = this.#filling;
      const part = bytes.subarray(at, at + length - buffer.filled);
      this.#landing.fill(buffer, part);
      this.received += part.length;
      at += part.length;
      if (buffer.filled < length) return;
      this.#filling = undefined;
      const judge = (layer: Uint8Array) => {
        this.#layers[index] = layer;
        return [buffer.range];
      };
      this.#landing.land(buffer, length, judge, () => undefined);
    }
  }

  /** The content id of what has arrived. */
  get arrived(): string {
    return rootOf(concatBytes(this.#layers), this.#wanted.size, this.#tools.sha256).toHex();
  }

  /** Waits until all that has come is written. Throws the error of the disk. */
  async #landed(): Promise<void> {
    await this.#landing.settled();
    if (this.failure !== undefined) throw this.failure;
  }

  /** Undefined when the file is right, or has no content id. Else the holders whose bytes are in it. */
  async verify(): Promise<FileRecord[] | undefined> {
    await this.#landed();
    if (this.#wanted.root === undefined) return undefined;
    this.#tools.report({ event: "verifying" });
    if (this.arrived === this.#wanted.root) return undefined;
    const suspects = [...this.contributors];
    this.apart ||= suspects.length > 1;
    await this.restart();
    return suspects;
  }

  /** Throws away what has come. */
  async restart(): Promise<void> {
    this.received = 0;
    this.contributors.clear();
    await this.#landed();
    if (this.#filling !== undefined) this.#landing.drop(this.#filling);
    this.#filling = undefined;
    this.#layers = [];
    await this.#tools.target.restart();
  }
}
