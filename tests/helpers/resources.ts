// Finds the resources of a program for Windows, such as its icon, in the file ("PE Format" in Microsoft's documentation).

const IS_FOLDER = 0x80000000;

/** The kinds of resources that are used here, by their numbers. */
export const RESOURCE = { icon: 3, iconGroup: 14, version: 16 } as const;

/** A resource in a PE file: where its entry is in the file, where its bytes are, and their number. */
export interface Place {
  entry: number;
  offset: number;
  size: number;
}

/** Where the resources of one kind are, in every language. */
export function placesOf(bytes: Uint8Array, kind: number): Place[] {
  const view = viewOf(bytes);
  const header = view.getUint32(0x3c, true);
  const sections = header + 24 + view.getUint16(header + 20, true);
  for (let i = 0; i < view.getUint16(header + 6, true); i++) {
    const section = sections + 40 * i;
    const name = Buffer.from(view.buffer, view.byteOffset + section, 8)
      .toString("latin1")
      .replace(/\0+$/, "");
    if (name !== ".rsrc") continue;
    const [address, start] = [view.getUint32(section + 12, true), view.getUint32(section + 20, true)];
    const below = (folder: number): [id: number, at: number][] => {
      const count = view.getUint16(start + folder + 12, true) + view.getUint16(start + folder + 14, true);
      const entries = Array.from({ length: count }, (_, k) => start + folder + 16 + 8 * k);
      return entries.map((at) => [view.getUint32(at, true), view.getUint32(at + 4, true)]);
    };
    const leaves = (at: number): number[] =>
      at >= IS_FOLDER ? below(at - IS_FOLDER).flatMap(([, inner]) => leaves(inner)) : [start + at];
    return below(0)
      .filter(([id]) => id === kind)
      .flatMap(([, at]) => leaves(at))
      .map((entry) => ({
        entry,
        offset: view.getUint32(entry, true) - address + start,
        size: view.getUint32(entry + 4, true),
      }));
  }
  return [];
}

/** Writes other bytes in the place of a resource. Throws when there is no room. */
export function replaceResource(bytes: Uint8Array, { entry, offset, size }: Place, resource: Uint8Array, what: string): void {
  if (resource.length > size) throw new RangeError(`has ${size} bytes for ${what} of ${resource.length}`);
  bytes.fill(0, offset, offset + size);
  bytes.set(resource, offset);
  viewOf(bytes).setUint32(entry + 4, resource.length, true);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
