// Reads and writes the trackers of a group, as GROUP and HI say them.

import { type Endpoint, formatEndpoint, parseEndpoint } from "./address.ts";
import { escapeField, unescapeField } from "./record.ts";

/** Another tracker of the same group. */
export interface GroupTracker {
  /** Its public key. */
  key: string;
  /** Where it can be reached, the most likely place first. */
  at: Endpoint[];
  /**
   * The time in its passes minus the time in those of the tracker that says this. Seconds. Only a tracker that shares its index with
   * that tracker has it: its passes are good.
   */
  ahead?: number | undefined;
}

/** The most trackers in one GROUP, so that the line is shorter than 4096 bytes. */
const MOST_TRACKERS = 16;
/** The most places of one tracker. */
const MOST_PLACES = 3;
/** The longest name of a group. Bytes. */
export const GROUP_NAME_LIMIT = 64;

const WORD = /^([\w-]{43})@([^@]+)(?:@(-?\d{1,9}))?$/;

/** The words of GROUP: `KEY@ADDRESS:PORT,ADDRESS:PORT@AHEAD`, a space between. */
export function formatGroup(trackers: GroupTracker[]): string {
  const words = trackers.slice(0, MOST_TRACKERS).map(({ key, at, ahead }) => {
    const places = at.slice(0, MOST_PLACES).map((one) => escapeField(formatEndpoint(one)));
    return `${key}@${places.join(",")}${ahead === undefined ? "" : `@${Math.round(ahead)}`}`;
  });
  return words.join(" ");
}

/** The trackers of a GROUP. Words that cannot be read are left out: they are for later versions. */
export function parseGroup(rest: string): GroupTracker[] {
  return rest.split(" ").flatMap((word) => {
    const [, key, places = "", ahead] = WORD.exec(word) ?? [];
    if (key === undefined) return [];
    const at = places.split(",").flatMap((place) => parseEndpoint(unescapeField(place)) ?? []);
    return at.length === 0 ? [] : [{ key, at, ...(ahead === undefined ? {} : { ahead: Number(ahead) }) }];
  });
}
