// Finds out whether a tracker is a private room, and has the key of it ready: from a file, from the environment, of last time, or from a
// person. A room that is known is never spoken to without encryption.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "../../clock.ts";
import { CancelledError, codeOf, FtError, UsageError } from "../../error.ts";
import { userFolder } from "../../files.ts";
import { type Certificate, newCertificate } from "../../net/certificate.ts";
import { type Dial, NOT_SECURED } from "../../net/channel.ts";
import { dial } from "../../net/dial.ts";
import { VERSION } from "../../program/cli.ts";
import { givenRoomKey, ROOM_VARIABLE, roomKey, roomSecretLater } from "../../program/room-key.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { plainName, printable } from "../../text.ts";
import { dialTracker, type Enter } from "../connect/dial-tracker.ts";
import { type Met, meetTracker } from "../online/meet-tracker.ts";
import { enterRoom, ROOM_KEY, type RoomKnown, RoomRefusal } from "../online/room.ts";
import type { TrackerPlace } from "../online/session-types.ts";
import { isAt, type KnownRoom, KnownRooms } from "./known-rooms.ts";
import type { PeerRoom } from "./types.ts";

/** The code of the error for a private room without a key. */
const NO_KEY = "no-room-key";

/** A tracker that may be joined. `place`: with the facts that are known since it has answered. */
interface Approached {
  place: TrackerPlace;
  /** Undefined when it was not spoken to yet. */
  met?: Met;
  room?: JoinedRoom;
}

/** A tracker that has answered. */
type Answered = Approached & { met: Met };

/** A private room to which this peer has the key. */
interface JoinedRoom extends PeerRoom {
  key: string;
  readonly known: RoomKnown;
}

interface RoomsOptions {
  /** The file of --room-file. */
  file: string | undefined;
  /** ft-peer forgets the rooms that it knows, and remembers none. */
  forget: boolean;
  signal: AbortSignal;
  /** Asks a person for a key; undefined when nobody can be asked. `why`: a sentence, when a key was wrong before. */
  ask: ((why: string | undefined) => Promise<string | undefined>) | undefined;
  memory?: KnownRooms;
}

export class Rooms {
  readonly #options: RoomsOptions;
  readonly #memory: KnownRooms;
  readonly #given: string | undefined;
  #certificate: Certificate | undefined;
  /** By key. They are computed as soon as a key may be needed, beside all that is done before the proof. */
  readonly #secrets = new Map<string, Promise<Uint8Array>>();
  /** The trackers that have answered in this run. */
  readonly #approached = new Map<string, Answered>();

  /** Throws a sentence about a key that was given and cannot be one. */
  constructor(options: RoomsOptions) {
    this.#options = options;
    this.#memory = options.memory ?? new KnownRooms(join(userFolder("state"), "rooms.json"));
    this.#given = givenRoomKey(options.file);
    if (this.#given !== undefined) void this.#secretOf(this.#given);
  }

  /** A key was given with the command or in the environment: only private rooms will do. */
  get hasKey(): boolean {
    return this.#given !== undefined;
  }

  /**
   * Gets ready to join a tracker: shows the key to a private room. To any other tracker nothing is said before this peer joins it. Throws a
   * sentence.
   */
  async approach(place: TrackerPlace): Promise<Approached> {
    const isDone = this.#before(place) !== undefined;
    if (isDone || this.#isRoom(place) || this.#mayBeRoom(place)) return await this.meet(place);
    this.checkName(place, "");
    return { place };
  }

  /** Speaks to a tracker before files are chosen for it, once in a run. Throws a sentence. */
  async meet(place: TrackerPlace): Promise<Answered> {
    return this.#before(place) ?? this.#keep(place, await this.#meetFirst(place));
  }

  /** Shows the key to a tracker that is a private room. Throws a sentence. */
  async enter(place: TrackerPlace): Promise<Approached> {
    return await this.#keep(place, await this.#enter(place));
  }

  /** Asks a person for the new key of the room at this place. Each proof from now on is with that. */
  async renewKey(place: TrackerPlace): Promise<void> {
    const room = this.#before(place)?.room;
    if (room === undefined) return;
    const key = await this.#askKey(place, undefined);
    room.known.secret = await this.#secretOf(key);
    room.key = key;
  }

  /** This peer is online in the room. `at`: the address at which its tracker was reached. */
  joined({ place, room }: Approached, name: string, at: string | undefined): void {
    if (room?.known.pin === undefined || this.#options.forget) return;
    const { address, port } = place;
    this.#memory.remember({ address, ...(at === address ? {} : { at }), port, pin: room.known.pin, key: room.key, name });
  }

  /** The tracker at this place, if it has answered in this run already. */
  #before(place: TrackerPlace): Answered | undefined {
    return this.#approached.get(formatEndpoint(place));
  }

  #keep(place: TrackerPlace, answered: Answered): Answered {
    this.#approached.set(formatEndpoint(place), answered);
    return answered;
  }

  /** Whether only a private room will do there. */
  #isRoom(place: TrackerPlace): boolean {
    return this.#given !== undefined || place.room === true || this.#known(place) !== undefined;
  }

  /**
   * Whether this peer could get into a room that it does not expect: a person types the key, or the room is a known one that has moved.
   * Then it asks first, by a HELLO without its name: somebody who listens on the way to a room must not hear the name.
   */
  #mayBeRoom(place: TrackerPlace): boolean {
    return !place.announced && (this.#options.ask !== undefined || this.#memory.find(() => true) !== undefined);
  }

  /** The room that was at this place in an earlier run. */
  #known(place: TrackerPlace): KnownRoom | undefined {
    if (this.#options.forget) this.#memory.forget(isAt(place));
    return this.#memory.find(isAt(place));
  }

  async #meetFirst(place: TrackerPlace): Promise<Answered> {
    if (this.#isRoom(place)) return await this.#enter(place);
    const met = await meetTracker(place, { ...this.#tools, dial });
    if (met.room) return await this.#enter(place);
    this.checkName(place, met.name);
    return { place, met };
  }

  async #enter(place: TrackerPlace): Promise<Answered> {
    const known = this.#known(place);
    const roomPlace = { ...place, room: true as const, full: true };
    try {
      return await this.#approachRoom(roomPlace, known?.pin);
    } catch (error) {
      if (codeOf(error) !== NOT_SECURED) throw error;
      throw new FtError("not-a-room", whyOpen(place, known !== undefined));
    }
  }

  async #approachRoom(place: TrackerPlace, pin: string | undefined): Promise<Answered> {
    const { ask } = this.#options;
    const keptHere = this.#memory.find((one) => one.pin === pin);
    if (this.#given === undefined && keptHere !== undefined) void this.#secretOf(keptHere.key);
    const own = this.#ownCertificate();
    const secured: Dial = (to, how) => dial(to, { ...how, tls: own });
    const remembered = keptHere ?? (await this.#recognise(place, secured, pin));
    let key = this.#given ?? remembered?.key;
    let why: string | undefined;
    for (;;) {
      key ??= await this.#askKey(place, why);
      const secret = await this.#secretOf(key);
      const known: RoomKnown = { secret, pin: remembered?.pin ?? pin, proven: key === remembered?.key };
      const enter: Enter = (channel, signal) => {
        return enterRoom(channel, known, place, { random: () => randomBytes(32), clock: systemClock, signal });
      };
      try {
        const met = await meetTracker(place, { ...this.#tools, dial: secured, enter });
        return { place, met, room: { key, known, certificate: own, enter } };
      } catch (error) {
        const isWrong = error instanceof RoomRefusal && error.code === ROOM_KEY;
        if (!isWrong || this.#given !== undefined || ask === undefined) throw error;
        why = error.message;
        key = undefined;
      }
    }
  }

  /** The room with the certificate that is shown there, if it is a known one that has moved. */
  async #recognise(place: TrackerPlace, secured: Dial, pin: string | undefined) {
    if (this.#given !== undefined || pin !== undefined || this.#options.forget) return undefined;
    const channel = await dialTracker(place, { dial: secured, clock: systemClock, signal: this.#options.signal });
    const shown = channel.secured?.fingerprint;
    channel.finish();
    return this.#memory.find((one) => one.pin === shown);
  }

  async #askKey(place: TrackerPlace, why: string | undefined): Promise<string> {
    const { ask } = this.#options;
    const where = `The tracker at "${printable(formatEndpoint(place))}" is a private room.`;
    if (ask === undefined) {
      throw new FtError(NO_KEY, `${where} Give its key in a file with --room-file FILE, or in the variable ${ROOM_VARIABLE}.`);
    }
    let remark = why;
    for (;;) {
      const typed = await ask(remark);
      if (typed === undefined) throw new CancelledError();
      try {
        return roomKey(typed);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        remark = error.message;
      }
    }
  }

  /** Throws a sentence about an open tracker that has the name of a private room. */
  checkName(place: TrackerPlace, name: string): void {
    const names = [name, place.name ?? ""].map(plainName).filter((one) => one !== "");
    const isCalledSo = (one: { name: string }) => names.includes(plainName(one.name));
    if (this.#options.forget) this.#memory.forget(isCalledSo);
    const room = this.#memory.find(isCalledSo);
    if (room === undefined) return;
    const then = "Your files were not told to it. If it is right that the room is open now, run this once with --forget.";
    const which = `The tracker "${printable(room.name)}" at "${printable(formatEndpoint(place))}"`;
    throw new FtError(
      "not-a-room",
      `${which} is open to everybody, and has the name of a private room that you were in. ${then}`,
    );
  }

  #secretOf(key: string): Promise<Uint8Array> {
    const secret = this.#secrets.get(key) ?? roomSecretLater(key);
    this.#secrets.set(key, secret);
    return secret;
  }

  #ownCertificate(): Certificate {
    this.#certificate ??= newCertificate();
    return this.#certificate;
  }

  get #tools() {
    return { clock: systemClock, agent: `ft-peer/${VERSION}`, signal: this.#options.signal };
  }
}

function whyOpen(place: TrackerPlace, isKnown: boolean): string {
  const where = `"${printable(formatEndpoint(place))}"`;
  if (!isKnown) {
    const then = `Nothing was sent to it. To join it as it is, leave the key out (--room-file, ${ROOM_VARIABLE}).`;
    return `The tracker at ${where} is not a private room: it does not encrypt. ${then}`;
  }
  const then = "Nothing was sent to it. If it is right that it is open now, run this once with --forget.";
  return `The tracker at ${where} was a private room, and now a program answers there that does not encrypt. ${then}`;
}
