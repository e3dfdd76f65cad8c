// Knows which other trackers are in this tracker's group, and tells the peers.

import type { GroupTracker } from "../../protocol/group.ts";
import type { Connection } from "../connection.ts";

/** Where a group hears of its trackers. Of a tracker that several know, it counts that its passes are good. */
interface GroupSource {
  readonly trackers: GroupTracker[];
}

export class Group {
  readonly name: string;
  readonly #sources: GroupSource[] = [];
  #told = "";

  constructor(name: string) {
    this.name = name;
  }

  add(source: GroupSource): void {
    this.#sources.push(source);
  }

  /** The other trackers of the group. */
  get trackers(): GroupTracker[] {
    const all = new Map<string, GroupTracker>();
    for (const one of this.#sources.flatMap(({ trackers }) => trackers)) {
      if (all.get(one.key)?.ahead === undefined) all.set(one.key, one);
    }
    return [...all.values()];
  }

  /** Tells a peer that has just joined. */
  tell(connection: Connection): void {
    if (connection.extras && this.trackers.length > 0) connection.reply({ verb: "GROUP", trackers: this.trackers });
  }

  /** Tells every peer, if there are other trackers than before. */
  changed({ connections }: { connections: Iterable<Connection> }): void {
    const { trackers } = this;
    const told = JSON.stringify(trackers);
    if (told === this.#told) return;
    this.#told = told;
    for (const connection of connections) {
      if (connection.isPresent && connection.extras) connection.reply({ verb: "GROUP", trackers });
    }
  }
}
