// The numbers on which both programs agree: the tracker's port, times, and limits.

export const DEFAULT_TRACKER_PORT = 1234;
/** A SHA-256 hash. Bytes. */
export const HASH = 32;
/** The most files of one peer, unless the operator sets another number. */
export const DEFAULT_MAX_FILES = 5;
/** A tracker that does not answer `HELLO FT/2` for this long may be of FT/1. Milliseconds. */
export const PROFILE_WAIT_MS = 1000;
/** A peer pings after a silence of this length. Its tracker removes it after twice this time. Milliseconds. */
export const PING_MS = 45_000;
/** A pass is good for this long after it was issued. Seconds. */
export const PASS_LIFETIME_S = 600;
/** A pass of a tracker that does not say `now` is good for this long. Seconds. */
export const OLD_PASS_LIFETIME_S = 3600;
/** Records in an answer, unless the request gives another number. */
export const RESULTS_DEFAULT = 200;
/** The most records in an answer, whatever the request says. */
export const RESULTS_LIMIT = 2000;
