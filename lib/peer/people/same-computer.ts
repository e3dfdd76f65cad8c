// Tells whether somebody who is back under another id is at the same computer. A name alone tells nothing: another person may have taken it.

import { type Address, isIPv6 } from "../../protocol/address.ts";

/** Whether a peer may be at the computer of another one. A computer may come by IPv4 one time, and by IPv6 the next time. */
export function mayBeSameComputer(was: Address, now: Address): boolean {
  return was === now || isIPv6(was) !== isIPv6(now);
}
