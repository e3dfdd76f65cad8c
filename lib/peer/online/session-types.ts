// Defines the types of a session: the tools that its caller hands in, the places of its tracker, and the events that it reports.

import type { Clock } from "../../clock.ts";
import type { Dial } from "../../net/channel.ts";
import type { Address, Endpoint } from "../../protocol/address.ts";
import type { CallBack, Profile, Push } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import type { Addresses, Enter } from "../connect/dial-tracker.ts";
import type { Exclusion } from "./exclusion.ts";

export type SessionEvent =
  /** `name`: the tracker's; `you`: the name that this peer got. */
  | {
      event: "joined";
      profile: Profile;
      name: string;
      you?: string | undefined;
      peers: number;
      files: number;
      left: FileRecord[];
      /** The tracker is a private room. */
      room?: true;
      /** Browsers may download from this peer. */
      guests?: boolean | undefined;
    }
  | { event: "away"; reason: string }
  /** A private room does not let this peer back in. `words`: the sentence that says why. */
  | { event: "shut-out"; code: string; words: string }
  /** The tracker's operator keeps this peer out; `until`: ISO 8601 UTC. */
  | { event: "dismissed"; code: Exclusion["code"]; until?: string | undefined }
  | { event: "notice"; words: string }
  /** Entries of the tracker's answer could not be read, and are left out. Only the first answer with such entries is told. */
  | { event: "unread"; count: number }
  /** Whether the tracker could connect to this peer's port. */
  | { event: "reach"; reachable: boolean; reason: string; port: number };

/** The code of the error with which `approve` refuses a tracker. */
export const UNTRUSTED = "untrusted";

/** A tracker, with the facts that are known before joining. */
export interface TrackerPlace extends Addresses {
  /** The name that it announces; undefined for an address that was typed. */
  name?: string;
  /** Nobody typed this address: a program announced it on the network. */
  announced?: true;
  /** The key that the tracker there has to have: another one is another tracker. */
  key?: string;
  /** The group of trackers that it announces. */
  group?: string;
  /** The tracker that this peer trusts has told the key, which this one has to prove. */
  vouched?: true;
  /** It has spoken FT/2 before. Then its silence never makes it a basic tracker. */
  full?: boolean;
  /** It is a private room. */
  room?: true;
}

/** The identity that a tracker gives in its HI. */
export interface Introduced {
  place: TrackerPlace;
  /** The address at which it was reached. The place may have a host's name. */
  at: Address;
  name: string;
  key: string;
  /** It has the private key, too. Only a tracker that announced itself is asked to prove that. */
  proven: boolean;
}

/** How this peer and a tracker prove to each other which ones they are. */
interface Proofs {
  /** The key of this run: with it this peer proves that its session is its own. */
  sessionKey?: { readonly key: string; prove(nonce: string, session: string): string };
  /** A text that nobody can guess, of letters, digits, `-` and `_`. */
  challenge?(): string;
  /** Whether a tracker that was challenged has the private key to its key. */
  isProven?(key: string, challenge: string, proof: string): boolean;
  /** Throws a sentence when this peer's list may not be sent to the tracker. */
  approve?(tracker: Introduced): void;
}

/** The handlers of the messages that the tracker sends without a request. */
interface PushHandlers {
  /** The operator of the tracker has disconnected these peers. */
  revoked?(ids: string[]): void;
  /** Another peer cannot connect to this one and asks this one to connect to it. */
  callBack?(to: CallBack): void;
  /** Somebody offers this peer something. */
  offered?(message: Extract<Push, { verb: "OFFERED" }>): void;
  /** Somebody does not want what this peer offers. */
  declined?(message: Extract<Push, { verb: "DECLINED" }>): void;
  /** Something that this peer watches for has appeared. */
  appeared?(message: Extract<Push, { verb: "APPEARED" }>): void;
}

export interface SessionOptions extends Proofs, PushHandlers {
  dial: Dial;
  /** Only for a private room. */
  enter?: Enter | undefined;
  tracker: TrackerPlace;
  /** The places where the tracker may be now, when it cannot be reached any more, and those of other trackers of its group. */
  find?(group?: string): Promise<TrackerPlace[]>;
  /** Whether the tracker that was reached at this address has spoken FT/2 before, perhaps under a name. */
  wasFull?(at: Endpoint): boolean;
  agent: string;
  /** The name by which people know this peer, or "" for none. The tracker may put a number behind it. */
  name?: string | undefined;
  /** This peer serves guests, if the tracker has any. */
  guests?: boolean;
  /** The port on which this peer serves. */
  port: number;
  /** The records of this peer, with this address and port. The list holds whole files; each `part` is added by a request of its own. */
  records(own: Endpoint): FileRecord[];
  report(event: SessionEvent): void;
  clock: Clock;
  /** From 0 to 1. */
  random(): number;
}
