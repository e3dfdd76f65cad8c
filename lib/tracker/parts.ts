// What the conversations of one tracker share, and the list of those that are open. tracker.ts makes the parts.

import type { Clock } from "../clock.ts";
import type { Channel } from "../net/channel.ts";
import type { Address } from "../protocol/address.ts";
import type { Push } from "../protocol/messages.ts";
import type { TrackerInbox } from "../protocol/read.ts";
import type { Catalog } from "./catalog.ts";
import type { Credentials } from "./credentials.ts";
import type { Limits } from "./limits.ts";
import type { Members } from "./members.ts";
import type { Activity } from "./meter.ts";
import type { SearchTimes } from "./turns.ts";

export interface TrackerParts {
  /** The tracker's name, and whether peers can find it by DNS-SD. */
  readonly about: { readonly name: string; readonly announced: boolean };
  readonly limits: Limits;
  readonly clock: Clock;
  readonly catalog: Catalog;
  readonly members: Members;
  readonly credentials: Credentials;
  readonly conversations: OpenConversations;
  readonly activity: Activity;
  readonly searchTimes: SearchTimes;
  /** Why the operator refuses an address, as a sentence; undefined if it is not refused. */
  whyRefused(address: Address): string | undefined;
}

/** A conversation as the tracker and its operator see it. */
export interface OpenConversation {
  readonly channel: Channel;
  readonly address: Address;
  /** It is with an FT/2 peer that is online. */
  readonly isPresent: boolean;
  reply(push: Push): void;
  /** Ends it; an accepted FT/2 peer is told the words. */
  dismiss(words: string): void;
}

export class OpenConversations {
  /** Empty inboxes of FT/2. Most peers are silent most of the time, so a few inboxes serve all of them. */
  readonly spareInboxes: TrackerInbox[] = [];
  readonly #open = new Set<OpenConversation>();
  #onLastClosed: (() => void) | undefined;

  get size(): number {
    return this.#open.size;
  }

  add(conversation: OpenConversation): void {
    this.#open.add(conversation);
  }

  delete(conversation: OpenConversation): void {
    this.#open.delete(conversation);
    if (this.#open.size === 0) this.#onLastClosed?.();
  }

  /** Sends a notice to all FT/2 peers. Gives the number of peers. */
  notify(words: string): number {
    const present = [...this.#open].filter(({ isPresent }) => isPresent);
    for (const conversation of present) conversation.reply({ verb: "NOTICE", words });
    return present.length;
  }

  /** Ends all conversations, or those with one address. Gives their number. */
  dismiss(words: string, address?: Address): number {
    const chosen = [...this.#open].filter((conversation) => address === undefined || conversation.address === address);
    for (const conversation of chosen) conversation.dismiss(words);
    return chosen.length;
  }

  /** Resolves when all conversations are closed. */
  async allClosed(): Promise<void> {
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onLastClosed = resolve;
    });
  }

  /** Closes all connections at once. */
  destroy(): void {
    for (const { channel } of [...this.#open]) channel.destroy();
  }
}
