// Defines a connection to the tracker as its peer, the operator and the tracker see it. conversation.ts serves it.

import type { Placed } from "../crowd.ts";
import type { Channel } from "../net/channel.ts";
import type { Dismissal } from "../protocol/messages.ts";
import type { encodeFromTracker } from "../protocol/write.ts";
import type { Seer } from "./shelf.ts";
import type { Host } from "./work/hosts.ts";

/** A message to a peer. A list of records is given as lines. */
export type TrackerReply = Parameters<typeof encodeFromTracker>[0];

export interface Connection extends Seer, Placed {
  readonly channel: Channel;
  readonly host: Host;
  /** It is with an FT/2 peer that is online. */
  readonly isPresent: boolean;
  /** The id of that peer. */
  readonly peerId: string | undefined;
  /** It wants to be told of offers. */
  readonly hearsOffers: boolean;
  /** It knows what REVOKED means. */
  readonly hearsRevoked: boolean;
  /** The key of the tracker whose peer it is, when it is a guest here. */
  readonly home: string | undefined;
  reply(message: TrackerReply): void;
  /** Ends it; an accepted FT/2 peer is told why. `log`: why, as a clause for the operator, where it is not what DISMISSED says. */
  dismiss(why: Dismissal, log?: string): void;
}

/** Why a peer is dismissed: for the person of a peer that does not know DISMISSED, and as a clause for the operator. */
export const DISMISSED = {
  kicked: { notice: "The tracker's operator has disconnected you.", log: "disconnected by the operator" },
  banned: { notice: "The tracker's operator has banned you.", log: "banned by the operator" },
  stopping: { notice: "The tracker stops.", log: "the tracker is stopping" },
} as const satisfies Record<Dismissal["code"], { notice: string; log: string }>;
