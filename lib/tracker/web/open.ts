// Opens the tracker's web page on the port of its peers: tells browsers from FT programs by their first word, and gives the site what it
// needs of this machine.

import { hostname } from "node:os";
import type { Channel } from "../../net/channel.ts";
import { acceptBoth } from "../../net/http.ts";
import { Conversation } from "../conversation.ts";
import type { TrackerState } from "../state.ts";
import { qrPicture } from "./qr.ts";
import { Site, type SiteTools } from "./site.ts";

interface OpenSite {
  /** Takes over a new connection, of a browser or of an FT program. */
  accept(channel: Channel): void;
  stop(): void;
}

/** `tools.names`: the host names that the tracker has announced. */
export function openSite(state: TrackerState, tools: Pick<SiteTools, "guests" | "names" | "summary">): OpenSite {
  const startedAt = Date.now() / 1000;
  const site = new Site({
    ...tools,
    state,
    names: () => [`${hostname().toLowerCase()}.local`, ...tools.names()],
    usage: () => {
      const { user, system } = process.cpuUsage();
      return { cpuSeconds: (user + system) / 1e6, startedAt };
    },
    qr: qrPicture,
    random: Math.random,
  });
  const talk = (channel: Channel) => new Conversation(state, channel).start();
  const sort = acceptBoth((exchange) => void site.answer(exchange), talk, state.limits.acceptance * 1000);
  return {
    accept: (channel) => {
      // An address that the operator keeps out is told so at once.
      if (state.setup.bans.whyRefused(channel.remote.address) !== undefined) talk(channel);
      else sort(channel);
    },
    stop: () => site.stop(),
  };
}
