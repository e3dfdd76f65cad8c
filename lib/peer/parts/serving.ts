// Puts together the side of a peer that others connect to: its port, its admission of downloaders, and its server.

import { systemClock } from "../../clock.ts";
import { acceptBoth } from "../../net/http.ts";
import { isOfThisMachine } from "../../net/interfaces.ts";
import { type Listener, type ListenOptions, listen, listenNear } from "../../net/listen.ts";
import type { PeerOptions } from "../commands/types.ts";
import type { Connector } from "../connect/connect.ts";
import { sha256 } from "../content/hash.ts";
import { FolderLayout } from "../disk/folders/folder-layout.ts";
import type { PeerEvent } from "../events.ts";
import type { Session } from "../online/session.ts";
import { DEFAULT_PORT } from "../options.ts";
import type { Finishers } from "../people/finishers.ts";
import { RateLimit } from "../rate-limit.ts";
import { Admission } from "../serve/admission.ts";
import { Server } from "../serve/serve.ts";
import type { Holdings } from "../share/holdings.ts";
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

/** The functions give parts of the peer that do not exist yet when serving begins. */
interface ServingTools {
  session(): Session;
  connector(): Connector;
  finishers(): Finishers;
  holdings(): Holdings;
  /** A shared file is not as its record says any more. */
  fileChanged(): void;
  report(event: PeerEvent): void;
}

/** Opens the port. A connection is answered from now on. Throws a sentence when the port cannot be had. */
export function startServing(options: PeerOptions, tools: ServingTools): Serving {
  const { session } = tools;
  const admission = new Admission({
    standing: () => session().standing,
    signers: () => session().signers,
    askKnown: (address) => session().requests.known(address),
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
    onConnection: (channel) => (session().standing?.guests ? acceptGuests(channel) : server.accept(channel)),
  });
  return { listener, server, admission };
}

function serverFor({ room, limit }: PeerOptions, admission: Admission, tools: ServingTools): Server {
  const { connector, finishers, holdings, fileChanged, report } = tools;
  return new Server({
    open: (asked) => holdings().open(asked),
    look: (root) => holdings().look(root),
    lookFolder: (root) => holdings().lookFolder(root),
    changed: fileChanged,
    readPass: (pass, from, keyed, fingerprint) => {
      const checked = admission.checkPass(pass, from, keyed, fingerprint);
      if ("id" in checked && !("nonce" in checked)) connector().proven(from);
      return checked;
    },
    refuseTicket: (ticket, root, from) => admission.refuseTicket(ticket, root, from),
    whenRevoked: (id, act) => admission.whenRevoked(id, act),
    arrived: (token, channel) => connector().arrived(token, channel),
    // A program without a pass is nobody in a private room.
    known: async (from) => room === undefined && (await admission.isKnown(from)),
    sha256,
    safePaths: (paths) => new FolderLayout(paths, false),
    limit: limit === undefined ? undefined : new RateLimit(limit, systemClock),
    report: (event) => {
      report(event);
      finishers().hear(event);
    },
  });
}

/** Listens on the given port; without one on 1235, or on a free port when that cannot be had. */
function listenFrom(port: number | undefined, how: Pick<ListenOptions, "tls" | "onConnection">): Listener {
  const options = { maxPerAddress: MAX_PER_ADDRESS, ...how };
  return port === undefined ? listenNear({ ...options, port: DEFAULT_PORT }) : listen({ ...options, port });
}
