// Makes a tracker share its index with the others of its group.

import type { Endpoint } from "../../protocol/address.ts";
import type { TrackerState } from "../state.ts";
import type { Group } from "./group.ts";
import { addBan, hear, removeBan } from "./heard.ts";
import { SharedIndex } from "./shared-index.ts";
import type { OpenStore } from "./store.ts";

export interface Sharing {
  group: Group;
  /** Where Redis is, without its password. */
  redis: string;
  open: OpenStore;
  /** An id that no other tracker has. */
  self: string;
  /** Where this tracker can be reached. */
  places(): Promise<Endpoint[]>;
  random(): number;
}

/** Shares from now on. Nothing waits for Redis. */
export function startSharing(state: TrackerState, { group, redis, open, self, places, random }: Sharing): SharedIndex {
  const { name, credentials, bans, report } = state.setup;
  const shared = new SharedIndex({
    group: group.name,
    self,
    redis,
    open,
    clock: state.clock,
    random,
    state,
    places,
    name,
    key: credentials.key,
    passTime: () => credentials.now,
    bans: {
      list: () => bans.list,
      add: (network, until, reason) => addBan(network, until, reason, state),
      remove: (network) => removeBan(network, state),
    },
    report,
    changed: () => group.changed(state),
    heard: (event) => hear(event, state, shared),
  });
  state.shared = shared;
  group.add(shared);
  void shared.run();
  return shared;
}
