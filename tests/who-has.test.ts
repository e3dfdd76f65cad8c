import { expect, test } from "bun:test";
import { type Holding, whoHas as whoHasBy, whoHasLines } from "../lib/who-has.ts";

const lesson = { name: "Lesson 7.pdf", size: 4_200_000, root: "a" };
const whoHas = <Person>(people: Person[], holdings: { person: Person; record: Holding }[]) =>
  whoHasBy(people, holdings, ({ root }) => root);
const EVERYBODY = ["Chloe", "Ben", "Dan", "Anna"];

test("whoHas divides the people of each content: all, a part with its per cent, nothing yet", () => {
  const [content, ...others] = whoHas(EVERYBODY, [
    { person: "Anna", record: lesson },
    { person: "Ben", record: { ...lesson, name: "copy.pdf", part: true, have: 61 } },
    { person: "Dan", record: { ...lesson, part: true } },
  ]);
  expect(others).toEqual([]);
  expect(content).toMatchObject({ name: "Lesson 7.pdf", root: "a" });
  expect(content === undefined ? [] : whoHasLines(content, (person) => person)).toEqual([
    '"Lesson 7.pdf" (4.2 MB): 1 of 4 has it, 2 are fetching (61 %), 1 not yet',
    "  has all   Anna",
    "  fetching  Ben (61 %)",
    "  fetching  Dan",
    "  not yet   Chloe",
  ]);
});

test("whoHas keeps contents of one name apart, and counts a record without an id as the content of its name and size", () => {
  const contents = whoHas(EVERYBODY, [
    { person: "Ben", record: { ...lesson, root: undefined } },
    { person: "Anna", record: lesson },
    { person: "Dan", record: { ...lesson, root: "b", size: 1 } },
  ]);
  expect(contents.map(({ people }) => people.flatMap(({ person, state }) => (state === "all" ? person : [])))).toEqual([
    ["Ben", "Anna"],
    ["Dan"],
  ]);
  expect(contents.map(({ root }) => root)).toEqual(["a", "b"]);
});

test("a person who has the file twice is one person, and one who has a whole and a part has all", () => {
  const [content] = whoHas(
    ["Anna"],
    [
      { person: "Anna", record: { ...lesson, part: true, have: 3 } },
      { person: "Anna", record: lesson },
    ],
  );
  expect(content?.people).toEqual([{ person: "Anna", state: "all" }]);
});

test("names of others cannot mislead a terminal", () => {
  const [content] = whoHas(["An\x1b[2Jna"], [{ person: "An\x1b[2Jna", record: { ...lesson, name: "a\nb" } }]);
  const text = content === undefined ? "" : whoHasLines(content, (person) => person).join("");
  expect(text).not.toMatch(/\p{Cc}/u);
});
