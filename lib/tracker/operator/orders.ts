// Defines the orders of a tracker's operator, and their results.

export interface Order {
  order:
    | ("status" | "peers" | "files" | "holders" | "kick" | "ban" | "unban" | "bans" | "mute" | "unmute" | "notice")
    | ("home" | "room");
  /** An address, a network, or a peer that is online: its `address:port`, name or id. */
  address?: string;
  /** A file's name, or root: and its content id. */
  file?: string;
  /** How long a ban is valid; without it, the ban has no end. Seconds. */
  seconds?: number;
  /** The text of a notice, or the reason of a ban. */
  words?: string;
}

/** The result of an order: lines for a person, and the same for a script. */
export interface OrderResult {
  done: boolean;
  lines: string[];
  data?: unknown;
}
