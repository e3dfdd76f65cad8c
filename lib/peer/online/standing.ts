// The facts that a peer has from its tracker while it is online.

import type { Channel } from "../../net/channel.ts";
import type { Profile } from "../../protocol/messages.ts";
import { OLD_PASS_LIFETIME_S, PASS_LIFETIME_S } from "../../protocol/numbers.ts";
import type { TrackerEnds } from "./own-address.ts";

/** The tracker's words to this peer, and the ends of their connection. */
export interface Standing extends TrackerEnds {
  profile: Profile;
  max: number;
  key: string;
  pass: string;
  /** The pass that is good from every address; "" when the tracker gives none. */
  keyed: string;
  id: string;
  /** This peer's own name, as the tracker tells it to others. */
  name?: string | undefined;
  /** The time in the tracker's passes minus `elapsed` of our clock, so that setting either clock changes nothing. Milliseconds. */
  ahead: number;
  /** A new pass is good for this time. Seconds. */
  lifetime: number;
  /** Whether the tracker could connect to this peer's port; undefined until it has said so. */
  reach?: boolean;
  /** Whether the tracker announces itself on the network (DNS-SD); undefined when it does not say. */
  announced?: boolean | undefined;
  /** Whether the tracker passes offers on, and keeps records with a token from everybody else. */
  offers?: boolean | undefined;
  /** The tracker's web page sends guests to this peer. */
  guests?: boolean | undefined;
  /** The most records in one answer, when the tracker gives fewer than the protocol allows. */
  results?: number | undefined;
}

/** The first state of a connection to the tracker: there is no pass yet. */
export function standingOn(
  { local, remote }: Channel,
  hi: Omit<Standing, "tracker" | "local" | "pass" | "keyed" | "id" | "ahead" | "lifetime">,
): Standing {
  return {
    ...hi,
    tracker: remote.address,
    local: local.address,
    pass: "",
    keyed: "",
    id: "",
    ahead: 0,
    lifetime: PASS_LIFETIME_S,
  };
}

/** The tracker's time minus `elapsed`, in milliseconds. An old tracker does not say it: its new pass expires a known time after it was made. */
export function aheadOf(pass: string, now: number | undefined, elapsed: number): number {
  if (now !== undefined) return now * 1000 - elapsed;
  const [payload = ""] = pass.split(".");
  try {
    const expires = Number(atob(payload.replaceAll("-", "+").replaceAll("_", "/")).split(" ")[2]);
    return Number.isFinite(expires) ? (expires - OLD_PASS_LIFETIME_S) * 1000 - elapsed : 0;
  } catch {
    return 0;
  }
}
