// Describes the group of a tracker for its operator.

import { formatEndpoint } from "../../protocol/address.ts";
import { formatDuration, plural, printable } from "../../text.ts";
import type { Group } from "./group.ts";
import type { SharedIndex } from "./shared-index.ts";

/** The group: its name, the other trackers that are known, and the shared index if there is one. */
export function summaryOf(group: Group, shared: SharedIndex | undefined) {
  return { name: group.name, known: group.trackers.length, ...(shared === undefined ? {} : { shared: shared.summary }) };
}

/** The group as lines for a person; none without a group. */
export function describeGroup(group: ReturnType<typeof summaryOf> | undefined): string[] {
  if (group === undefined) return [];
  const { name, known, shared } = group;
  const head = `group        "${printable(name)}"`;
  if (shared === undefined) return [`${head}, ${plural(known, "other tracker")} known; no index is shared`];
  const { redis, connected, seconds, reason, trackers } = shared;
  const state = connected
    ? `connected for ${formatDuration(seconds)}`
    : `away for ${formatDuration(seconds)}: ${printable(reason)}`;
  const others = trackers.map(({ name: called, at: [place], peers, files, age }) => {
    const where = place === undefined ? "" : ` at ${formatEndpoint(place)}`;
    const known = age === 0 ? "" : `, as known ${formatDuration(age)} ago`;
    return `  tracker    "${printable(called)}"${where}: ${plural(peers, "peer")}, ${plural(files, "file")}${known}`;
  });
  return [
    `${head}, Redis at ${printable(redis)} ${state}`,
    `  this one   ${plural(shared.own.peers, "peer")}, ${plural(shared.own.files, "file")}`,
    ...others,
  ];
}
