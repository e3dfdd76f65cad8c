import { expect, test } from "bun:test";
import type { Offer } from "../../lib/protocol/messages.ts";
import { SessionInbox, TrackerInbox } from "../../lib/protocol/read.ts";
import { encodeFromTracker, encodeToTracker } from "../../lib/protocol/write.ts";
import { LIMITS } from "../../lib/tracker/limits.ts";

const ROOT = "ab".repeat(32);
const bytes = (text: string) => new TextEncoder().encode(text);

function read(line: string) {
  const inbox = new TrackerInbox(LIMITS, 2);
  inbox.push(bytes(line));
  return inbox.next();
}

function pushed(line: string) {
  const inbox = new SessionInbox();
  inbox.push(bytes(`${line}\n`));
  return inbox.next();
}

test.each<Offer>([
  { offer: "a-_9", root: ROOT, to: "all", say: "" },
  { offer: "a", root: ROOT, to: ["1a", "2b"], say: "for Monday; 100 % = all, <b>\u202e\n" },
  { offer: "a", root: ROOT, to: [], say: "é" },
])("an offer is read as it was written: %j", (offer) => {
  expect(read(encodeToTracker({ verb: "OFFER", ...offer }))).toEqual({ verb: "OFFER", ...offer });
});

test("words of an offer that are too long are cut; a list of receivers that fills a line is read", () => {
  expect(read(`OFFER offer=a root=${ROOT} to=all say=${"é".repeat(300)}\n`)).toMatchObject({ say: "é".repeat(100) });
  const to = Array.from({ length: 200 }, (_, i) => i.toString(16).padStart(16, "0"));
  const line = encodeToTracker({ verb: "OFFER", offer: "x".repeat(24), root: ROOT, to, say: "" });
  expect(line.length).toBeLessThan(4096);
  expect(read(line)).toMatchObject({ to });
});

test("what is offered is read with its token and words; a number, and a record that cannot be read, break nothing", () => {
  const record = `<a.pdf,application/pdf,5,22/11/26,10.0.0.1,1235;v=2;root=${ROOT};only=circle;by=Anna;offer=o1;say=for%20Monday>`;
  expect(pushed(`OFFERED ${record}`)).toMatchObject({
    verb: "OFFERED",
    record: { name: "a.pdf", only: "circle", by: "Anna", offer: "o1", say: "for Monday" },
  });
  expect(pushed("OFFERED more=7")).toEqual({ verb: "OFFERED", more: 7 });
  for (const line of ["OFFERED", "OFFERED more=x", "OFFERED <a,b>", `OFFERED ${record.replace("only=circle", "only=%20")}`]) {
    expect(pushed(line)).toMatchObject({ verb: "UNKNOWN" });
  }
});

test("a no to an offer is read as it was written, by the tracker and by the maker of the offer", () => {
  expect(read(encodeToTracker({ verb: "DECLINE", offer: "o1" }))).toEqual({ verb: "DECLINE", offer: "o1" });
  expect(() => read("DECLINE offer=a%20b\n")).toThrow("token");
  const line = encodeFromTracker({ verb: "DECLINED", offer: "o1", id: "1a" });
  expect(pushed(line.trimEnd())).toEqual({ verb: "DECLINED", offer: "o1", id: "1a" });
});

test("a peer cannot say in its own record that it is offered", () => {
  const record = `<a.pdf,application/pdf,5,22/11/26,10.0.0.1,1235;v=2;only=circle;offer=o1;say=x>`;
  const message = read(`ADD ${record}\n`);
  expect(message).toMatchObject({ verb: "ADD", record: { only: "circle" } });
  expect(message).not.toHaveProperty("record.offer");
  expect(message).not.toHaveProperty("record.say");
});
