import { expect, test } from "bun:test";
import { LOOPBACK, MemoryTracker, NOTES, REPORT, REPORT_SEEN, ROOT } from "../helpers/tracker.ts";

const LESSON = REPORT.replace("report.pdf", "Lesson 7, Élan.pdf".replace(",", "%2C"));

/** A watcher, and another peer that adds records. */
async function room(...watches: string[]) {
  const house = new MemoryTracker();
  const watcher = await house.join([NOTES]);
  const other = await house.join([NOTES], { from: "127.0.0.2", port: 40_124 });
  for (const [i, watch] of watches.entries()) expect(await watcher.ask(`WATCH watch=w${i} ${watch}`)).toBe("OK");
  return { house, watcher, other, appeared: () => watcher.raw.pushes.filter((line) => line.startsWith("APPEARED ")) };
}

test.each([
  ["lesson"],
  ["ESSO elan"],
  ["e*7 -draft"],
  ["les 7"],
  ["7"],
  ["ext=odt,pdf"],
  ["type=application/"],
  [`root=${ROOT}`],
  ["name=Lesson%207%2C%20%C3%89lan.pdf"],
  ["lesson min=48213 max=48213 after=2026-11-22 before=2026-11-22"],
])("a watch for %j is told of a file that fits, once, with the record as this peer gets it", async (watch) => {
  const { house, watcher, other, appeared } = await room(watch);
  await using _ = house;
  expect(await other.ask(`ADD ${LESSON}`)).toBe("OK");
  expect(await other.ask(`ADD ${LESSON.replace("mtime=2026-11-22T10:04:05Z", "mtime=2026-11-22T10:04:06Z")}`)).toBe("OK");
  expect(await watcher.ask("PING")).toBe("PONG");
  expect(appeared()).toEqual([`APPEARED w0 ${LESSON.replace("192.168.1.17,40123", "127.0.0.2,40124")}`]);
});

test.each([
  ["homework"],
  ["lesson -7"],
  ["ext=odt"],
  ["ext=df"],
  ["lesson min=50000"],
  ["name=lesson"],
  ["type=video/"],
  ["lesson type=video/"],
])("a watch for %j is not told of another file", async (watch) => {
  const { house, watcher, other, appeared } = await room(watch);
  await using _ = house;
  await other.ask(`ADD ${LESSON}`);
  expect(await watcher.ask("PING")).toBe("PONG");
  expect(appeared()).toEqual([]);
});

test.each([["ext=tar.gz"], ["ext=odt,TAR.GZ"], ["home ext=tar.gz"]])(
  "a watch for %j is told of the files that FIND finds by it",
  async (watch) => {
    const { house, watcher, other, appeared } = await room(watch);
    await using _ = house;
    for (const [at, name] of ["home.tar.gz", "home.gz", "hometar.gz"].entries()) {
      await other.ask(`ADD ${REPORT.replace("report.pdf", name).replace(ROOT, ROOT.slice(0, -1) + at)}`);
    }
    expect(await watcher.ask("PING")).toBe("PONG");
    expect(appeared().map((line) => /<([^,]*)/.exec(line)?.[1])).toEqual(["home.tar.gz"]);
    expect(await watcher.ask(`FIND ${watch}`)).toStartWith("FOUND: 1\n<home.tar.gz,");
  },
);

test("a watch whose only extension is empty is refused, because it fits nothing", async () => {
  const house = new MemoryTracker();
  await using _ = house;
  const watcher = await house.join([NOTES]);
  expect(await watcher.ask("WATCH watch=w ext=")).toStartWith("ERROR bad-find");
});

test("own files, parts, and records of FT/2 peers without a content id are not told; of an FT/1 peer they are", async () => {
  const { house, watcher, other, appeared } = await room("report");
  await using _ = house;
  await watcher.ask(`ADD ${REPORT}`);
  await other.ask(`ADD ${REPORT.replace(">", ";part=1>")}`);
  await other.ask(`ADD ${REPORT.replace(/root=\w+/, "x=1").replace("report", "my report")}`);
  expect(await watcher.ask("PING")).toBe("PONG");
  expect(appeared()).toEqual([]);
  await house.register("<old report.txt,data,5,01/01/26,10.0.0.1,5001>\n", { from: "10.0.0.77" });
  expect(await watcher.ask("PING")).toBe("PONG");
  expect(appeared()).toEqual(["APPEARED w0 <old report.txt,data,5,01/01/26,10.0.0.77,5001>"]);
});

test("of more than five records a second the others come as a number, and later ones are told again", async () => {
  const { house, watcher, other, appeared } = await room("report");
  await using _ = house;
  for (let i = 0; i < 12; i++) {
    const root = ROOT.slice(0, -2) + String(10 + i);
    await other.ask(`ADD ${REPORT.replace(ROOT, root)}`);
  }
  await watcher.ask("PING");
  expect(appeared()).toHaveLength(5);
  await house.pass(1_000);
  await watcher.ask("PING");
  expect(appeared().slice(5)).toEqual(["APPEARED w0 more=7"]);
  await house.pass(2_000);
  await other.ask(`ADD ${REPORT.replace(ROOT, `${ROOT.slice(0, -2)}77`)}`);
  await watcher.ask("PING");
  expect(appeared()).toHaveLength(7);
});

test("sixteen watches a peer; a token again replaces its watch; UNWATCH and leaving end them", async () => {
  const { house, watcher, other, appeared } = await room();
  await using _ = house;
  for (let i = 0; i < 16; i++) expect(await watcher.ask(`WATCH watch=w${i} word${i}`)).toBe("OK");
  expect(await watcher.ask("WATCH watch=x word")).toStartWith("ERROR too-many-watches ");
  expect(await watcher.ask("WATCH watch=w3 report")).toBe("OK");
  expect(await watcher.ask("UNWATCH watch=x")).toBe("NOT FOUND");
  expect(await watcher.ask("UNWATCH watch=w4")).toBe("OK");
  expect(await watcher.ask("WATCH watch=x word")).toBe("OK");
  await other.ask(`ADD ${REPORT.replace("report.pdf", "word3.pdf")}`);
  await watcher.ask("PING");
  expect(appeared()).toEqual([expect.stringContaining("APPEARED x ")]);
  watcher.raw.close();
  await house.event("left");
  expect(await other.ask(`ADD ${REPORT}`)).toBe("OK");
});

test.each([["x"], ["watch=%20 a"], ["watch=a"], ["watch=a min=5"], ["watch=a -b"], ["watch=a *"]])(
  "WATCH %s is refused with a sentence",
  async (rest) => {
    const { house, watcher } = await room();
    await using _ = house;
    expect(await watcher.ask(`WATCH ${rest}`)).toMatch(/^ERROR [\w-]+ \S.*\.$/);
  },
);

test("the tracker's own machine is told as the watcher sees it", async () => {
  const { house, watcher } = await room("report");
  await using _ = house;
  await house.join([REPORT], { from: LOOPBACK, port: 40_125 });
  await watcher.ask("PING");
  expect(watcher.raw.pushes.at(-1)).toBe(`APPEARED w0 ${REPORT_SEEN.replace("40123", "40125")}`);
});

test("slow watches are compared for as long as their host may cause work; those of others are told, and later these again", async () => {
  const house = new MemoryTracker(["--max-files", "200"]);
  await using _ = house;
  const slow = await house.join([NOTES], { from: "127.0.0.66" });
  for (let i = 0; i < 15; i++) expect(await slow.ask(`WATCH watch=slow${i} ${"e".repeat(100)}?x`)).toBe("OK");
  expect(await slow.ask("WATCH watch=report report")).toBe("OK");
  const quick = await house.join([NOTES], { from: "127.0.0.2", port: 40_124 });
  expect(await quick.ask("WATCH watch=report report")).toBe("OK");
  const other = await house.join([NOTES], { from: "127.0.0.3", port: 40_125 });
  for (let i = 0; i < 60; i++) expect(await other.ask(`ADD ${LESSON.replace("Lesson", `${"e".repeat(220)}${i}`)}`)).toBe("OK");
  const told = async (peer: typeof slow) => {
    await peer.ask("PING");
    return peer.raw.pushes.filter((line) => line.startsWith("APPEARED ")).length;
  };
  await other.ask(`ADD ${REPORT}`);
  expect([await told(slow), await told(quick)]).toEqual([0, 1]);
  await house.clock.pass(20_000);
  await other.ask(`ADD ${REPORT.replace(/root=\w+/, `root=${"b".repeat(64)}`)}`);
  expect([await told(slow), await told(quick)]).toEqual([1, 2]);
});
