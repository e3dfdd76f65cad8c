// Puts together a peer's side of the conversation with others: the tracker first, and through it the peers.

import { quietClock, systemClock } from "../../clock.ts";
import type { Dial } from "../../net/channel.ts";
import { dial } from "../../net/dial.ts";
import { dialableFrom, interfaces, isOfThisMachine } from "../../net/interfaces.ts";
import { VERSION } from "../../program/cli.ts";
import { parseAddress } from "../../protocol/address.ts";
import { isProven, SessionKey } from "../../protocol/pass.ts";
import type { FileRecord } from "../../protocol/record.ts";
import type { PeerOptions } from "../commands/types.ts";
import { mayCallBack } from "../connect/call-backs.ts";
import { Connector } from "../connect/connect.ts";
import { isOnNetwork } from "../connect/on-network.ts";
import type { PeerEvent } from "../events.ts";
import { Offers } from "../online/offers.ts";
import { isDialable, isTrackerHere } from "../online/own-address.ts";
import { ROOM_KEY } from "../online/room.ts";
import { Session } from "../online/session.ts";
import { Wants } from "../online/wants.ts";
import { Finishers } from "../people/finishers.ts";
import { HandOuts } from "../share/hand-out.ts";
import type { Holdings } from "../share/holdings.ts";
import { secret } from "./secret.ts";
import type { Serving } from "./serving.ts";

export interface Contacts {
  /** The conversation with the tracker. */
  readonly session: Session;
  /** Proves that this peer's pass is its own. */
  readonly sessionKey: SessionKey;
  readonly connector: Connector;
  readonly wants: Wants;
  readonly offers: Offers;
  readonly handOuts: HandOuts;
  readonly finishers: Finishers;
}

/** The files of this peer, as far as its contacts need them. own-files.ts makes them. */
interface FilesOfContacts {
  /** All of it, as others ask for it. */
  readonly holdings: Holdings;
  /** Whether this peer shares the content of a record, whoever the record is of. */
  isMine(record: FileRecord): boolean;
  /** Whether a content is arriving. */
  isFetching(root: string): boolean;
  /** Shows a content that is only for some to the circle of another token; without one to everybody. */
  showTo(root: string, only: string | undefined): void;
}

interface ContactTools {
  serving: Serving;
  /** They do not exist yet when the contacts are made. */
  own(): FilesOfContacts;
  report(event: PeerEvent): void;
}

/** Connects to nobody yet: the session joins the tracker when it is told to. */
export function makeContacts(options: PeerOptions, tools: ContactTools): Contacts {
  const { serving, own, report } = tools;
  const { room } = options;
  const dialHere: Dial = (to, how) => dial(to, { ...how, tls: room?.certificate });
  const sessionKey = new SessionKey();
  const session = new Session({
    dial: dialHere,
    enter: room?.enter,
    tracker: options.tracker,
    ...(options.find === undefined ? {} : { find: options.find }),
    ...(options.approve === undefined ? {} : { approve: options.approve }),
    ...(options.wasFull === undefined ? {} : { wasFull: options.wasFull }),
    isProven,
    challenge: secret,
    agent: `ft-peer/${VERSION}`,
    name: options.name,
    guests: options.guests !== false,
    port: serving.listener.port,
    records: (at) => own().holdings.records(at),
    sessionKey,
    revoked: (ids) => serving.admission.revoke(ids),
    callBack: (to) => void connector.callBack(to),
    appeared: (message) => wants.appeared(message),
    declined: ({ offer, id }) => handOuts.declined(offer, id),
    ...(options.takesOffers ? { offered: (message: { record?: FileRecord }) => offers.offered(message) } : {}),
    report: (event) => {
      report(event);
      if (event.event === "shut-out" && event.code === ROOM_KEY) serving.admission.shutOut();
      if (event.event !== "joined") return;
      serving.admission.joined();
      wants.joined();
      offers.joined();
    },
    clock: systemClock,
    random: Math.random,
  });
  const connector = connectorFor(session, dialHere, serving);
  const wants = new Wants({
    watch: (watch) => session.requests.watch(watch),
    unwatch: (token) => session.requests.unwatch(token),
    look: (wanted) => session.requests.wanted(wanted),
    isOwn: (record) => own().isMine(record),
    clock: quietClock,
  });
  const { offers, handOuts } = giversFor(session, tools);
  const finishers = new Finishers({
    holders: (root) => session.requests.holders(root),
    who: () => session.requests.who(),
    isFetching: (root) => own().isFetching(root),
    report,
    clock: quietClock,
  });
  return { session, sessionKey, connector, wants, offers, handOuts, finishers };
}

function connectorFor(session: Session, dialHere: Dial, { server, listener }: Serving): Connector {
  /** A link-local address is good on one link: a peer with such an address is on the link to the tracker. */
  function onTrackersLink(address: string): string {
    const local = session.standing?.local;
    const parsed = parseAddress(address);
    return local === undefined || parsed === undefined ? address : dialableFrom(local, parsed);
  }

  return new Connector({
    dial: ({ address, port }, how) => dialHere({ address: onTrackersLink(address), port }, how),
    ask: (call, id) => session.requests.connect(call, id),
    serve: (channel) => server.accept(channel),
    isDialable: (at) => isDialable(at, session.standing),
    mayCallBack: (to) =>
      mayCallBack(to, {
        isTrackerHere: isTrackerHere(session.standing),
        isOfThisMachine,
        isOnNetwork: (address) => isOnNetwork(address, interfaces()),
        known: (address) => session.requests.known(address),
        who: () => session.requests.who(),
      }),
    // A keyed pass is good from every address, and on the tracker's own machine every pass from every address of that machine.
    local: () => (session.standing?.keyed || isTrackerHere(session.standing) ? undefined : session.standing?.local),
    closed: () =>
      session.standing?.reach === false ? `nobody can connect to port ${listener.port} of this machine either` : "",
    token: secret,
    clock: systemClock,
  });
}

/** What this peer gives to certain people, and what is offered to it. */
function giversFor(session: Session, { own, report }: ContactTools): { offers: Offers; handOuts: HandOuts } {
  const offers = new Offers({
    make: (offer) => session.requests.offer(offer),
    look: () => session.requests.offered(),
    has: ({ root = "", only }) => {
      own().showTo(root, only);
      return own().holdings.look(root) !== undefined;
    },
    told: (record) => report({ event: "offer", record }),
    clock: systemClock,
  });
  const handOuts = new HandOuts({
    who: () => session.requests.who(),
    holders: (root) => session.requests.holders(root),
    offer: (offer) => offers.make(offer),
    endOffer: (token) => offers.end(token),
    self: () => session.standing?.id,
    tracker: () => session.standing?.key,
    token: secret,
    clock: quietClock,
  });
  return { offers, handOuts };
}
