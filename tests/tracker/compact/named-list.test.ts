import { describe, expect, test } from "bun:test";
import { NamedList } from "../../../lib/tracker/compact/named-list.ts";

describe("NamedList", () => {
  for (const count of [1, 8, 9, 100]) {
    test(`keeps ${count} by name, in the order in which they came`, () => {
      const things = Array.from({ length: count }, (_, i) => ({ name: `file ${i}` }));
      const list = new NamedList<{ name: string }>();
      for (const thing of things) list.add(thing);
      expect([...list.values()]).toEqual(things);
      expect(list.size).toBe(count);
      for (const thing of things) expect(list.get(thing.name)).toBe(thing);
      expect(list.get("another")).toBeUndefined();
      list.delete("another");
      list.delete("file 0");
      expect([...list.values()]).toEqual(things.slice(1));
      list.add({ name: "file 0" });
      expect([...list.values()].map(({ name }) => name)).toEqual([...things.slice(1).map(({ name }) => name), "file 0"]);
    });

    test(`forgets all of ${count} while the caller goes through them`, () => {
      const list = new NamedList<{ name: string }>();
      for (let i = 0; i < count; i++) list.add({ name: `file ${i}` });
      for (const { name } of list.values()) list.delete(name);
      expect(list.size).toBe(0);
      expect([...list.values()]).toEqual([]);
    });
  }
});
