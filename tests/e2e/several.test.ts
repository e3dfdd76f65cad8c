// One name that means several contents, and what a liar can make of it, on the compiled programs.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { guidedStage } from "../helpers/guided-stage.ts";
import { contentId } from "../helpers/holder.ts";
import { DECEIVING, expectSentence } from "../helpers/peer-stage.ts";
import { PEER } from "../helpers/programs.ts";
import { Raw } from "../helpers/raw.ts";

const stage = guidedStage();

const HONEST = "what four people have";
const LIE = "what one liar says that six have";

/** Puts a record on the list, as a peer at another address of this machine that nobody can connect to. */
async function claim(tracker: number, from: string, fields: string, port: number): Promise<void> {
  const session = await Raw.connect(tracker, "127.0.0.1", from);
  stage.atEnd(() => session.close());
  session.send(`HELLO FT/2 agent=raw\nFILES 1 port=${port}\n<${fields.replace("@", `${from},${port}`)}>\n`);
  expect(await session.line()).toStartWith("HI FT/2 ");
  expect(await session.line()).toStartWith("WELCOME ");
}

/** A tracker where four hosts have the honest report.pdf, and six ids of one address another one, which is as old as the world will be. */
async function fooled(): Promise<string> {
  const { port, address } = await stage.tracker("--max-per-address", "100");
  await stage.sharing(address, stage.folderWith({ "report.pdf": HONEST }), 1);
  const honest = `report.pdf,application/pdf,${HONEST.length},22/11/26,@;v=2;root=${contentId(HONEST)}`;
  const lie = `report.pdf,application/pdf,${LIE.length},28/11/26,@;v=2;mtime=9999-01-01T00:00:00Z;root=${contentId(LIE)}`;
  for (const host of [2, 3, 4]) await claim(port, `127.0.0.${host}`, honest, 40_000);
  for (let i = 0; i < 6; i++) await claim(port, "127.0.0.9", lie, 41_000 + i);
  return address;
}

describe("get of a name that means several contents", () => {
  test("in a script is exit code 2, the list, best first, and for each a command that fetches it", async () => {
    const address = await fooled();
    const to = stage.folder();
    const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "get", "report.pdf", "--to", to, "--quiet");
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).not.toMatch(DECEIVING);
    const [sentence = "", ...lines] = err.trimEnd().split("\n");
    expectSentence(`${sentence}\n`);
    expect(sentence).toStartWith('2 different files are called "report.pdf".');
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      ["SIZE", "DATE", "HOLDERS", "CONTENT", "TYPE"],
      ["21 B", expect.any(String), "4", contentId(HONEST).slice(0, 8), "application/pdf"],
      [`ft-peer ${address} get root:${contentId(HONEST)}`],
      ["32 B", "?", "1", contentId(LIE).slice(0, 8), "application/pdf"],
      [`ft-peer ${address} get root:${contentId(LIE)}`],
    ]);
    expect(readdirSync(to)).toEqual([]);
    const command = (lines[2] ?? "").trim().split(" ").slice(1);
    expect((await stage.ft(stage.visitorFolder(), ...(command as [string]), "--to", to)).code).toBe(0);
    expect(readFileSync(join(to, "report.pdf"), "utf8")).toBe(HONEST);
  });

  test("with --json is an error object with the choices", async () => {
    const { code, program } = await stage.ft(stage.visitorFolder(), await fooled(), "get", "report.pdf", "--json");
    expect(code).toBe(2);
    expect(program.objects()).toMatchObject([
      {
        event: "error",
        code: "ambiguous",
        choices: [
          { root: contentId(HONEST), size: HONEST.length, holders: 4 },
          { root: contentId(LIE), size: LIE.length, holders: 1, modified: null },
        ],
      },
    ]);
  });

  test("with --any takes the best, and says which", async () => {
    const to = stage.folder();
    const { code, err } = await stage.ft(stage.visitorFolder(), await fooled(), "get", "report.pdf", "--any", "--to", to);
    expect(code).toBe(0);
    expect(err).toContain('2 different files are called "report.pdf". Taking this one:\n');
    expect(err).toContain(contentId(HONEST).slice(0, 8));
    expect(readFileSync(join(to, "report.pdf"), "utf8")).toBe(HONEST);
  });

  test("is narrowed by --from first", async () => {
    const { port, address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "report.pdf": HONEST }), 1);
    const other = await stage.holder(Buffer.from(LIE));
    await claim(port, "127.0.0.1", `report.pdf,text/plain,${LIE.length},22/11/26,@;v=2;root=${contentId(LIE)}`, other.port);
    const to = stage.folder();
    const from = `127.0.0.1:${other.port}`;
    const { code } = await stage.ft(stage.visitorFolder(), address, "get", "report.pdf", "--from", from, "--to", to);
    expect(code).toBe(0);
    expect(readFileSync(join(to, "report.pdf"), "utf8")).toBe(LIE);
  });

  test("is not asked when records without a content id have the size of the one that has an id", async () => {
    const { port, address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "report.pdf": HONEST }), 1);
    for (const host of [2, 3, 4]) {
      await claim(port, `127.0.0.${host}`, `report.pdf,application/pdf,${HONEST.length},28/11/26,@`, 40_000);
    }
    const to = stage.folder();
    const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "get", "report.pdf", "--to", to);
    expect(code).toBe(0);
    expect(out).toEndWith("  verified\n");
    expect(err).toContain('3 hosts have a "report.pdf" of the same size without a content id; it may be another file.\n');
    expect(readFileSync(join(to, "report.pdf"), "utf8")).toBe(HONEST);
  });

  test("by its content id is not stopped by those that claim another size of it", async () => {
    const { port, address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "report.pdf": HONEST }), 1);
    const root = contentId(HONEST);
    const liar = await stage.holder(Buffer.from(LIE));
    await claim(port, "127.0.0.1", `report.pdf,text/plain,${LIE.length},27/11/26,@;v=2;root=${root}`, liar.port);
    for (const host of [2, 3]) {
      await claim(port, `127.0.0.${host}`, `report.pdf,text/plain,${2 ** 52},27/11/26,@;v=2;root=${root}`, 40_000);
    }
    const to = stage.folder();
    const { code } = await stage.ft(stage.visitorFolder(), address, "get", `root:${root}`, "--to", to);
    expect(code).toBe(0);
    expect(readFileSync(join(to, "report.pdf"), "utf8")).toBe(HONEST);
    expect(readdirSync(to)).toEqual(["report.pdf"]);
  });

  test("on a terminal is a question, and going back fetches nothing", async () => {
    const address = await fooled();
    const to = stage.folder();
    const ask = () => {
      const command = [PEER, address, "get", "report.pdf", "--port", "0", "--to", to];
      return stage.onTerminal(command, { cwd: stage.visitorFolder() });
    };
    const screen = ask();
    await screen.waitFor('2 different files are called "report.pdf". Which one?');
    await screen.waitFor(/SIZE +DATE +HOLDERS +CONTENT/);
    expect(await screen.choose("21 B")).toContain(`4  ${contentId(HONEST).slice(0, 8)}`);
    expect(await screen.exited).toBe(0);
    expect(readFileSync(join(to, "report.pdf"), "utf8")).toBe(HONEST);
    const back = ask();
    await back.waitFor("Which one?");
    await back.choose("Back");
    expect(await back.exited).toBe(130);
    expect(existsSync(join(to, "report (1).pdf"))).toBe(false);
  });
});

test("search and find show which contents there are, where a name has several", async () => {
  const address = await fooled();
  for (const command of ["search", "find"]) {
    const { out } = await stage.ft(stage.visitorFolder(), address, command, "report.pdf");
    for (const content of [HONEST, LIE]) expect(out).toContain(`\t${contentId(content)}\n`);
  }
});

test("a file that a system acts upon by itself arrives under a harmless name, and the reason is told", async () => {
  const { address } = await stage.tracker();
  const folder = stage.folderWith({ "desktop.ini": "[.ShellClassInfo]", "x\u3164y.txt": "filler" });
  // Such a file is shared only by its name.
  await stage.sharing(address, folder, 2, "--share", "desktop.ini", "--share", "x\u3164y.txt");
  const to = stage.folder();
  const { code, err } = await stage.ft(stage.visitorFolder(), address, "get", "desktop.ini", "--to", to);
  expect(code).toBe(0);
  expect(err).toContain(
    '"desktop.ini" is stored as "desktop.ini.download", because a computer may act by itself on a file of that name.\n',
  );
  const { program } = await stage.ft(stage.visitorFolder(), address, "get", "x\u3164y.txt", "--to", to, "--json");
  expect(program.objects().at(-1)).toMatchObject({
    name: "x\u3164y.txt",
    path: join(to, "x_y.txt"),
    renamed: expect.any(String),
  });
  expect(readdirSync(to).sort()).toEqual(["desktop.ini.download", "x_y.txt"]);
});
