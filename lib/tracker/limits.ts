// Lists the limits that a tracker's operator may change, one row each: option, meaning, default and bounds. Any other limit is a constant
// in the file that applies it. README.md and the head of protocol/messages.ts name defaults, too.

import { LINE_LIMIT } from "../protocol/lines.ts";
import { DEFAULT_MAX_FILES, RESULTS_DEFAULT, RESULTS_LIMIT } from "../protocol/numbers.ts";
import { NAME_LIMIT } from "../protocol/record.ts";

/** The value of a limit that the tracker does not set: more than any system allows. */
const UNLIMITED = 1_000_000;

/** A row is: option, its value in `--help`, its meaning in `--help`, default, least, most. */
export const LIMIT_TABLE = {
  files: limit("max-files", "N", "files a peer may share", DEFAULT_MAX_FILES, 1, 10_000),
  peers: limit("max-peers", "N", "peers online at once", UNLIMITED, 1, UNLIMITED),
  perAddress: limit("max-per-address", "N", "connections from one address", 32, 1, UNLIMITED),
  connections: limit("max-connections", "N", "connections in all", UNLIMITED, 1, UNLIMITED),
  /** The longest line, with its end. Bytes. */
  line: limit("max-line", "BYTES", "a line of the protocol", LINE_LIMIT, 256, 65_536),
  /** The longest file name. Bytes of UTF-8. */
  name: limit("max-name", "BYTES", "a file's name", NAME_LIMIT, 1, NAME_LIMIT),
  /** For an FT/1 program, the time until the end of its first request. Seconds. */
  acceptance: limit("accept-within", "S", "seconds to send the first list", 10, 1, 3600),
  rate: limit("rate", "N", "requests per second and peer", 50, 1, UNLIMITED),
  burst: limit("burst", "N", "requests at once after a pause", 200, 1, UNLIMITED),
  findTime: limit("find-time", "MS", "search time of one address, ms per second", 250, 1, 1000),
  results: limit("results", "N", "results per reply, unless asked for more", RESULTS_DEFAULT, 1, RESULTS_LIMIT),
  mostResults: limit("max-results", "N", "most results per reply", RESULTS_LIMIT, 1, RESULTS_LIMIT),
  unsent: limit("max-unsent", "BYTES", "unread reply data allowed per peer", 1024 * 1024, 4096, 1024 ** 3),
  /** Seconds for which a peer may leave its answers unread. */
  stall: limit("stall", "S", "drop a peer that reads nothing for this long", 30, 1, 3600),
};

export type Limits = Record<keyof typeof LIMIT_TABLE, number>;

/** The default of every limit. */
export const LIMITS = Object.fromEntries(
  Object.entries(LIMIT_TABLE).map(([limit, { standard }]) => [limit, standard]),
) as Limits;

function limit(option: string, label: string, meaning: string, standard: number, least: number, most: number) {
  const shown = standard === UNLIMITED ? "no limit" : standard;
  return { option, label, about: `${meaning} (default ${shown})`, standard, least, most };
}
