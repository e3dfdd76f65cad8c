// Turns offers, and how far a hand-out is, into lines for a person and objects for a script. Words and names of offers are strangers' text.

import { formatEndpoint } from "../../protocol/address.ts";
import { FOLDER_TYPE } from "../../protocol/folder.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, plural, printable, printableName } from "../../text.ts";
import { holderName, peerLabel } from "../people/holder-name.ts";
import type { Handed, HandOut, Receiver } from "../share/hand-out.ts";
import { recordObjects } from "./view.ts";

/** Offers of one person with the same words: `Anna offers "slides.pdf" (4.0 MB), "for Monday"`. Without a full stop. */
export function describeOffers(records: [FileRecord, ...FileRecord[]]): string {
  const [{ by, say = "", ...first }] = records;
  const who = holderName({ by, ...first });
  const size = formatSize(records.reduce((sum, one) => sum + one.size, 0));
  const words = say === "" ? "" : `, "${printable(say)}"`;
  if (records.length > 1) return `${who} offers ${plural(records.length, "file")} (${size})${words}`;
  const isFolder = first.type === FOLDER_TYPE;
  const files = isFolder && first.files !== undefined ? `${plural(first.files, "file")}, ` : "";
  return `${who} offers ${isFolder ? "the folder " : ""}"${printableName(first.name)}" (${files}${size})${words}`;
}

/** Divides offers into those of one person with the same words, in the order in which they came. */
export function groupOffers(records: FileRecord[]): [FileRecord, ...FileRecord[]][] {
  const groups = Map.groupBy(records, (one) => `${formatEndpoint(one)} ${one.by ?? ""} ${one.say ?? ""}`);
  return [...groups.values()] as [FileRecord, ...FileRecord[]][];
}

/** An offer as an object for a script. */
export function offerObject(record: FileRecord): object {
  const { holders: _, ...file } = recordObjects([record])[0] as { holders: unknown };
  return { event: "offer", offer: record.offer, ...file, say: record.say ?? "" };
}

/** `"a.pdf" (4.0 MB)`, `3 files (12 MB)` */
export function describeHanded(files: readonly Handed[]): string {
  return `${nameHanded(files)} (${formatSize(files.reduce((sum, one) => sum + one.size, 0))})`;
}

/** `"a.pdf"`, `3 files` */
export function nameHanded(files: readonly Handed[]): string {
  const [first] = files;
  return first !== undefined && files.length === 1 ? `"${printableName(first.name)}"` : plural(files.length, "file");
}

export function receiverLabel({ person }: Receiver): string {
  return peerLabel(person);
}

/** `14 of 30 have it, 3 are fetching (61 %), 13 not yet` */
export function describeProgress(handOut: HandOut): string {
  const { counted } = handOut;
  const has = counted.filter(({ state }) => state === "has").length;
  const fetching = counted.filter(({ state }) => state === "fetching");
  const known = fetching.flatMap(({ percent = [] }) => percent);
  const mean = known.length === 0 ? "" : ` (${Math.floor(known.reduce((sum, one) => sum + one, 0) / known.length)} %)`;
  const not = counted.length - has - fetching.length;
  return [
    `${has} of ${counted.length} ${has === 1 ? "has" : "have"} ${handOut.files.length === 1 ? "it" : "all"}`,
    ...(fetching.length === 0 ? [] : [`${fetching.length} ${fetching.length === 1 ? "is" : "are"} fetching${mean}`]),
    ...(not === 0 ? [] : [`${not} not yet`]),
  ].join(", ");
}

/** Those who do not have all, each with the reason, as sentences; "" when there are none. */
export function describeMissing({ receivers }: HandOut): string {
  const label = (one: Receiver) => {
    const percent = one.percent === undefined ? "" : ` ${one.percent} %`;
    const notes = [...(one.state === "fetching" ? [`fetching${percent}`] : []), ...(one.isOnline ? [] : ["has left"])];
    return receiverLabel(one) + (notes.length === 0 ? "" : ` (${notes.join(", ")})`);
  };
  const not = receivers.filter(({ state }) => state === "not" || state === "fetching").map(label);
  const cannot = receivers.filter(({ state, isOnline }) => state === "cannot" && isOnline).map(label);
  const declined = receivers.filter(({ state }) => state === "declined").map(receiverLabel);
  return [
    ...(not.length === 0 ? [] : [`Not yet: ${not.join(", ")}.`]),
    ...(declined.length === 0 ? [] : [`Said no: ${declined.join(", ")}.`]),
    ...(cannot.length === 0 ? [] : [cannotSentence(cannot)]),
  ].join(" ");
}

/** `Ben does not want "a.pdf".` */
export function declinedSentence(receiver: Receiver, { files }: HandOut): string {
  return `${receiverLabel(receiver)} does not want ${nameHanded(files)}.`;
}

/** The sentence about people who take no offers. */
export function cannotSentence(labels: string[]): string {
  return `Cannot be asked, because the program there is an older version, does not take offers now, or is at another tracker of the group: ${labels.join(", ")}.`;
}

/** A receiver as an object for a script. */
export function receiverObject({ person, state, percent, isOnline }: Receiver): object {
  const { id, name: by, address, port } = person;
  return {
    id,
    ...(by !== undefined && { by }),
    address,
    port,
    state,
    ...(percent !== undefined && { percent }),
    online: isOnline,
  };
}
