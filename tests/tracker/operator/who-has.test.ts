import { expect, test } from "bun:test";
import { LOOPBACK, MemoryTracker, NOTES, OLD_NOTES, REPORT, ROOT } from "../../helpers/tracker.ts";

/** The same report, of which its holder has a part. */
const PART = REPORT.replace(">", ";part=1;have=61>");

async function lesson() {
  const house = new MemoryTracker();
  await house.join([REPORT], { more: "name=Anna" });
  const ben = await house.join([NOTES], { more: "name=Ben", port: 40_124 });
  await ben.ask(`ADD ${PART}`);
  await house.join([NOTES], { more: "name=Chloe", port: 40_125 });
  return { house, ben, obey: house.tracker.obey.bind(house.tracker) };
}

test("holders says who has a file, who fetches it and how far, and who has not; a finished file beyond the limit counts", async () => {
  const { house, ben, obey } = await lesson();
  await using _ = house;
  const asked = obey({ order: "holders", file: "REPORT.pdf" });
  expect(asked).toMatchObject({
    done: true,
    lines: [
      '"report.pdf" (48 kB): 1 of 3 has it, 1 is fetching (61 %), 1 not yet',
      "  has all   Anna",
      "  fetching  Ben (61 %)",
      "  not yet   Chloe",
    ],
    data: [
      {
        name: "report.pdf",
        root: ROOT,
        people: [{ name: "Anna", state: "all" }, { name: "Ben", state: "part", percent: 61 }, { state: "none" }],
      },
    ],
  });
  await ben.ask(`ADD ${REPORT.replace(">", ";part=1;have=99>")}`);
  expect(obey({ order: "holders", file: `root:${ROOT}` }).lines[2]).toBe("  fetching  Ben (99 %)");
  await ben.ask(`ADD ${REPORT.replace(">", ";part=1;whole=1>")}`);
  expect(obey({ order: "holders", file: "report.pdf" }).lines[0]).toBe('"report.pdf" (48 kB): 2 of 3 have it, 1 not yet');
  expect(house.all("operator")).toEqual([]);
});

test("holders of a file that nobody has is a sentence, and has not been done", async () => {
  const { house, obey } = await lesson();
  await using _ = house;
  expect(obey({ order: "holders", file: "x\n.pdf" })).toEqual({
    done: false,
    lines: ['Nobody online has a file called "x\\n.pdf".'],
  });
});

test("peers and files are lists with columns, also of FT/1 peers, and objects for a script", async () => {
  const { house, obey } = await lesson();
  await using _ = house;
  await house.register(`${OLD_NOTES}\n`, { from: "10.0.0.77" });
  const peers = obey({ order: "peers" });
  expect(peers.lines).toContain(`${LOOPBACK}:40124  1 file  1.2 kB  1 fetching  Ben (firewalled)`);
  expect(peers.lines).toHaveLength(4);
  expect(peers.data).toContainEqual(expect.objectContaining({ name: "Ben", files: 1, fetching: 1, profile: "FT/2" }));
  const files = obey({ order: "files" });
  expect(files.lines).toEqual(["3 have it              1.2 kB  notes.txt", "1 has it   1 fetching  48 kB   report.pdf"]);
  expect(files.data).toContainEqual({ name: "report.pdf", size: 48_213, root: ROOT, holders: 1, fetching: 1 });
});

test("files counts a person with two copies of a file once", async () => {
  const { house, ben, obey } = await lesson();
  await using _ = house;
  for (const name of ["report.pdf", "copy.pdf"]) await ben.ask(`ADD ${REPORT.replace("report.pdf", name)}`);
  expect(obey({ order: "files" }).lines).toContain("2 have it    48 kB   report.pdf");
});

test("an empty tracker says so", async () => {
  await using house = new MemoryTracker();
  expect(house.tracker.obey({ order: "peers" })).toEqual({ done: true, lines: ["Nobody is online."], data: [] });
  expect(house.tracker.obey({ order: "files" })).toEqual({ done: true, lines: ["Nobody shares a file."], data: [] });
});

test("the per cent of a part is given to peers; it is not kept of a whole file, and nonsense is ignored", async () => {
  const { house, ben } = await lesson();
  await using _ = house;
  expect(await ben.ask("SEARCH: report.pdf")).toContain(";part=1;have=61");
  await ben.ask(`ADD ${REPORT.replace(">", ";part=1;have=62>")}`);
  expect(await ben.ask("SEARCH: report.pdf")).toContain(";part=1;have=62");
  for (const have of ["101", "-1", "x", ""]) {
    expect(await ben.ask(`ADD ${REPORT.replace(">", `;part=1;have=${have}>`)}`)).toBe("OK");
    expect(await ben.ask("SEARCH: report.pdf")).not.toContain("have=");
  }
  await ben.ask(`ADD ${NOTES.replace(">", ";have=5>")}`);
  expect(await ben.ask("SEARCH: notes.txt")).not.toContain("have=");
});
