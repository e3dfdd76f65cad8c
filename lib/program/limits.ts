// What a tracker lets others do: every limit, with its default and what it is called on the command line.

import { LINE_LIMIT } from "../protocol/lines.ts";
import { DEFAULT_MAX_FILES, RESULTS_DEFAULT, RESULTS_LIMIT } from "../protocol/messages.ts";
import { NAME_LIMIT } from "../protocol/record.ts";

export interface Limits {
  /** Files that a peer may share. */
  files: number;
  /** Peers online at once. */
  peers: number;
  /** Connections from one address, and in all. */
  perAddress: number;
  connections: number;
  /** Bytes of a line with its end, and of a file's name in UTF-8. */
  line: number;
  name: number;
  /** Seconds from connecting to the end of the first request (FT/2: to being accepted). */
  acceptance: number;
  /** Requests a second of one peer, and how many at once after a pause. */
  rate: number;
  burst: number;
  /** Milliseconds a second that the FINDs of one address may take. */
  findTime: number;
  /** Records in an answer unless asked, and at most. */
  results: number;
  mostResults: number;
  /** Bytes of answers that wait to be read, and seconds in which none of them is. */
  unsent: number;
  stall: number;
}

/** A limit on the command line: `--OPTION LABEL`, between two bounds. */
export interface LimitOption {
  limit: keyof Limits;
  option: string;
  label: string;
  about: string;
  standard: number;
  least: number;
  most: number;
}

const MANY = 1_000_000;

export const LIMIT_OPTIONS: readonly LimitOption[] = [
  option("files", "max-files", "N", "files a peer may share", DEFAULT_MAX_FILES, 1, 10_000),
  option("peers", "max-peers", "N", "peers online at once", MANY, 1, MANY),
  option("perAddress", "max-per-address", "N", "connections from one address", 32, 1, MANY),
  option("connections", "max-connections", "N", "connections in all", MANY, 1, MANY),
  option("line", "max-line", "BYTES", "a line of the protocol", LINE_LIMIT, 256, 65_536),
  option("name", "max-name", "BYTES", "a file's name", NAME_LIMIT, 1, NAME_LIMIT),
  option("acceptance", "accept-within", "S", "seconds from connecting to being accepted", 10, 1, 3600),
  option("rate", "rate", "N", "requests a second of one peer", 50, 1, MANY),
  option("burst", "burst", "N", "requests at once after a pause", 200, 1, MANY),
  option("findTime", "find-time", "MS", "milliseconds a second that one address's FINDs take", 250, 1, 1000),
  option("results", "results", "N", "records in an answer unless asked", RESULTS_DEFAULT, 1, RESULTS_LIMIT),
  option("mostResults", "max-results", "N", "records in an answer at most", RESULTS_LIMIT, 1, RESULTS_LIMIT),
  option("unsent", "max-unsent", "BYTES", "answers that wait to be read", 1024 * 1024, 4096, 1024 ** 3),
  option("stall", "stall", "S", "seconds in which none of them is read", 30, 1, 3600),
];

export const LIMITS = Object.fromEntries(LIMIT_OPTIONS.map(({ limit, standard }) => [limit, standard])) as unknown as Limits;

function option(
  limit: keyof Limits,
  name: string,
  label: string,
  about: string,
  standard: number,
  least: number,
  most: number,
): LimitOption {
  const shown = standard === MANY ? "as many as the system allows" : standard;
  return { limit, option: name, label, about: `${about} (default ${shown})`, standard, least, most };
}
