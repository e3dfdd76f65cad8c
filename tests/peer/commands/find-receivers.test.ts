import { expect, test } from "bun:test";
import { findReceivers } from "../../../lib/peer/commands/find-receivers.ts";
import type { PeerLine } from "../../../lib/protocol/messages.ts";
import { addressOf } from "../../helpers/channel.ts";

const line = (id: string, port: number, name?: string) => ({ id, address: addressOf("10.0.0.1"), port, name }) as PeerLine;
const PEOPLE = [line("a", 1, "Anna"), line("b", 2, "Ben"), line("c", 3, "Doe, Jane"), line("d", 4), line("e", 5, "Ben (2)")];
const names = (typed: string[], people = PEOPLE) =>
  findReceivers(typed, people, "a")
    .map(({ id }) => id)
    .join("");

test("takes names with commas between, a name with a comma in it, ids and addresses, each person once", () => {
  expect(names(["ben", "Ben"])).toBe("b");
  expect(names(["Doe, Jane"])).toBe("c");
  expect(names(["Ben, 10.0.0.1:4 ,Ben (2)", "c"])).toBe("bdec");
});

test("says who is online about one who is not, about oneself, and about nobody", () => {
  const online = 'Online: "Ben", "Doe, Jane", 10.0.0.1:4, "Ben (2)".';
  expect(() => names(["Ben,Bne\u202e"])).toThrow(`No peer "Bne\\u202e" is online. ${online}`);
  expect(() => names(["Anna"])).toThrow(`"Anna" is you. ${online}`);
  expect(() => names(["Ben"], PEOPLE.slice(0, 1))).toThrow('No peer "Ben" is online. Nobody else is online.');
  expect(() => names(["10.0.0.1"])).toThrow(/^5 peers are at/);
});

test("an offer to some goes to as many people as their ids have room in a line", () => {
  const many = Array.from({ length: 201 }, (_, i) => line(`p${i}`, i + 10, `N${i}`));
  expect(() =>
    names(
      many.map(({ name }) => name ?? ""),
      many,
    ),
  ).toThrow("Give --to all.");
});
