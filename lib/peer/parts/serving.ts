// Puts together the side of a peer that others connect to: its port, its admission of downloaders, and its server.

import { systemClock } from "../../clock.ts";
import { acceptBoth } from "../../net/http.ts";
import { isOfThisMachine } from "../../net/interfaces.ts";
import { type Listener, type ListenOptions, listen, listenNear } from "../../net/listen.ts";
import type { PeerOptions } from "../commands/types.ts";
import { sha256 } from "../content/hash.ts";
import { FolderLayout } from "../disk/folders/folder-layout.ts";
import type { PeerEvent } from "../events.ts";
import { DEFAULT_PORT } from "../options.ts";
import { RateLimit } from "../rate-limit.ts";
import { Admission } from "../serve/admission.ts";
import { Server } from "../serve/serve.ts";
import type { Contacts } from "./contacts.ts";
import type { OwnFiles } from "./own-files.ts";
import { secret } from "./secret.ts";

/** The most connections from one address at once. */
const MAX_PER_ADDRESS = 32;
/** Where guests are served, a connection must begin with its first word within this time. Milliseconds. */
const FIRST_WORD_MS = 10_000;

export interface Serving {
  readonly listener: Listener;
  readonly server: Server;
  readonly admission: Admission;
}

/** The parts that do not exist yet when serving begins, and the function that hears what happens. */
interface ServingTools {
  contacts(): Contacts;
  own(): OwnFiles;
  report(event: PeerEvent): void;
}

/** Opens the port. A connection is answered from now on. Throws a sentence when the port cannot be had. */
export function startServing(options: PeerOptions, tools: ServingTools): Serving {
  const { contacts } = tools;
  const admission = new Admission({
    standing: () => contacts().session.standing,
    signers: () => contacts().session.signers,
    askKnown: (address) => contacts().session.requests.known(address),
    isOfThisMachine,
    port: () => listener.port,
    nonce: secret,
    clock: systemClock,
  });
  const server = serverFor(options, admission, tools);
  const acceptGuests = acceptBoth(
    (exchange) => server.answer(exchange),
    (channel) => server.accept(channel),
    FIRST_WORD_MS,
  );
  const listener = listenFrom(options.port, {
    tls: options.room?.certificate,
    onConnection: (channel) => (contacts().session.standing?.guests ? acceptGuests(channel) : server.accept(channel)),
  });
  return { listener, server, admission };
}

function serverFor({ room, limit }: PeerOptions, admission: Admission, { contacts, own, report }: ServingTools): Server {
  return new Server({
    open: (asked) => own().holdings.open(asked),
    look: (root) => own().holdings.look(root),
    lookFolder: (root) => own().holdings.lookFolder(root),
    changed: () => own().watch.nudge(),
    readPass: (pass, from, keyed, fingerprint) => {
      const checked = admission.checkPass(pass, from, keyed, fingerprint);
      if ("id" in checked && !("nonce" in checked)) contacts().connector.proven(from);
      return checked;
    },
    refuseTicket: (ticket, root, from) => admission.refuseTicket(ticket, root, from),
    whenRevoked: (id, act) => admission.whenRevoked(id, act),
    arrived: (token, channel) => contacts().connector.arrived(token, channel),
    // A program without a pass is nobody in a private room.
    known: async (from) => room === undefined && (await admission.isKnown(from)),
    sha256,
    safePaths: (paths) => new FolderLayout(paths, false),
    limit: limit === undefined ? undefined : new RateLimit(limit, systemClock),
    report: (event) => {
      report(event);
      contacts().finishers.hear(event);
    },
  });
}

/** Listens on the given port; without one on 1235, or on a free port when that cannot be had. */
function listenFrom(port: number | undefined, how: Pick<ListenOptions, "tls" | "onConnection">): Listener {
  const options = { maxPerAddress: MAX_PER_ADDRESS, ...how };
  return port === undefined ? listenNear({ ...options, port: DEFAULT_PORT }) : listen({ ...options, port });
}
