// Greets a tracker with HELLO FT/2, and decides by its HI whether this peer may join it.

import { FtError } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { encodeToTracker } from "../../protocol/write.ts";
import { type SessionOptions, type TrackerPlace, UNTRUSTED } from "./session-types.ts";
import { type Standing, standingOn } from "./standing.ts";
import type { Reply } from "./tracker-connection.ts";

export type Hi = Extract<Reply, { verb: "HI" }>;

/** A tracker that was greeted, and the text that it has to sign. */
export interface Greeted {
  place: TrackerPlace;
  challenge: string | undefined;
}

type GreetingOptions = Pick<
  SessionOptions,
  "agent" | "name" | "guests" | "offered" | "challenge" | "sessionKey" | "isProven" | "approve"
>;

export class Greeting {
  readonly #options: GreetingOptions;
  /** The session of the last WELCOME. Only this peer and its tracker know it: with it, a new connection takes the place of a lost one. */
  session: string | undefined;

  constructor(options: GreetingOptions) {
    this.#options = options;
  }

  /** The text that a tracker has to sign, if it announced itself: anybody can say the key of another tracker. */
  challenge(place: TrackerPlace): string | undefined {
    return place.announced ? this.#options.challenge?.() : undefined;
  }

  /** The HELLO for a tracker. `home`: the key of this peer's own tracker, for another tracker of its group. */
  hello(challenge: string | undefined, home: string | undefined): string {
    const { agent, name, offered, sessionKey } = this.#options;
    return encodeToTracker({
      verb: "HELLO",
      profile: 2,
      agent,
      extras: true,
      offers: offered !== undefined,
      session: this.session,
      challenge,
      key: sessionKey?.key,
      name,
      home,
    });
  }

  /** The standing of this peer after the tracker's HI. Throws a sentence about another tracker, or one that this peer does not trust. */
  check(channel: Channel, hi: Hi, { place, challenge }: Greeted): Standing {
    const { you, max, key, announced, results, offers, name, proof = "" } = hi;
    const { isProven, approve } = this.#options;
    const guests = (hi.guests && this.#options.guests) || undefined;
    const proven = challenge !== undefined && isProven?.(key, challenge, proof) === true;
    if ((place.key ?? key) !== key) {
      const where = formatEndpoint(place);
      throw new FtError(UNTRUSTED, `The tracker at "${where}" is another one than was looked for: it has another key.`);
    }
    approve?.({ place, at: channel.remote.address, name, key, proven });
    return standingOn(channel, { profile: 2, you, max, key, announced, results, offers, guests });
  }

  /** The proof that the session of the last WELCOME is this peer's own. */
  prove({ nonce }: Hi): string | undefined {
    return nonce && this.session ? this.#options.sessionKey?.prove(nonce, this.session) : undefined;
  }
}
