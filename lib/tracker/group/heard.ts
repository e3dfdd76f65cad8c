// Carries out the events that another tracker of the group has sent, such as a notice, a kick, a ban, or a request to one peer.

import { parseAddress, parsePort } from "../../protocol/address.ts";
import { parseNetwork } from "../operator/networks.ts";
import { disconnect, notify, sendHome } from "../operator/operator.ts";
import type { TrackerState } from "../state.ts";
import type { SharedIndex } from "./shared-index.ts";
import { type GroupEvent, timeIn } from "./wire.ts";

/** The most ids in one event. */
const MOST_IDS = 1_000;
/** A token as a peer makes it up. */
const TOKEN = /^[\w-]{1,64}$/;

/** Everything in the event was written by a tracker of the group, or by another program that may write to its Redis. */
export function hear(event: GroupEvent, state: TrackerState, shared: SharedIndex): void {
  const { bans } = state.setup;
  switch (event.what) {
    case "notice":
      if (typeof event.words === "string") notify(event.words, state);
      return;
    case "home":
      sendHome(state, String(event.key));
      return;
    case "revoked":
      if (Array.isArray(event.ids)) state.revoke(event.ids.slice(0, MOST_IDS).map(String).filter(isId));
      return;
    case "kick": {
      const [network, end] = [parseNetwork(String(event.network)), timeIn(event.until)];
      if (network === undefined || end === undefined) return;
      const until = shared.ownTime(end);
      const peer = event.id === undefined ? undefined : state.catalog.member(event.id);
      bans.kick(network, until);
      if (event.id === undefined || peer !== undefined)
        disconnect({ code: "kicked", until }, { network, ...(peer && { peer }) }, state);
      return;
    }
    case "ban": {
      const end = timeIn(event.until);
      if (event.until !== undefined && end === undefined) return;
      addBan(String(event.network), end === undefined ? undefined : shared.ownTime(end), String(event.reason), state);
      return;
    }
    case "unban":
      removeBan(String(event.network), state);
      return;
    case "connect": {
      const [address, port] = [parseAddress(String(event.address)), parsePort(String(event.port))];
      if (address === undefined || port === undefined || !TOKEN.test(String(event.token))) return;
      state.catalog.member(String(event.id))?.presence?.ask({ address, port, token: event.token });
      return;
    }
    case "bye": {
      const member = state.catalog.member(String(event.id));
      if (member?.profile === 1 && member.tracker === undefined)
        state.remove(member.id, "left by another tracker of the group");
      return;
    }
    default:
      // A tracker of a later version told something that this one does not know.
      event satisfies never;
  }
}

function isId(text: string): boolean {
  return /^[\w-]{1,64}$/.test(text);
}

/** A ban of another tracker counts here. */
export function addBan(text: string, until: number | undefined, reason: string, state: TrackerState): void {
  const network = parseNetwork(text);
  if (network === undefined) return;
  const { fault } = state.setup.bans.add(network, until, reason);
  disconnect({ code: "banned", until }, { network }, state);
  reportFault(fault, state);
}

/** A ban that was ended at another tracker is over here. */
export function removeBan(text: string, state: TrackerState): void {
  const network = parseNetwork(text);
  if (network !== undefined) reportFault(state.setup.bans.remove(network).fault, state);
}

function reportFault(fault: string | undefined, { setup }: TrackerState): void {
  if (fault !== undefined) setup.report({ event: "operator", order: "ban", words: fault });
}
