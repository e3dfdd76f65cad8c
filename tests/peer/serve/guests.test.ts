import { describe, expect, test } from "bun:test";
import { unzipSync } from "fflate";
import type { Channel } from "../../../lib/net/channel.ts";
import type { Body, Exchange } from "../../../lib/net/exchange.ts";
import { FolderLayout } from "../../../lib/peer/disk/folders/folder-layout.ts";
import type { ServeOptions } from "../../../lib/peer/serve/types.ts";
import { EMPTY_ROOT } from "../../../lib/protocol/folder.ts";
import { Side, settle } from "../../helpers/channel.ts";
import { folderList } from "../../helpers/folder-list.ts";
import { bytesOf, DOWNLOADER, Hall, OTHER_ROOT, ROOT } from "../../helpers/serving.ts";

/** A request of a browser, and what it got. */
class Browser implements Exchange {
  readonly method: "GET" | "HEAD";
  readonly target: string;
  readonly channel: Channel;
  readonly #headers: Record<string, string>;
  status = 0;
  headers: Record<string, string> = {};
  broken = false;
  ended = false;
  #parts: Uint8Array[] = [];
  #over: () => void = () => {};

  constructor(target: string, headers: Record<string, string> = {}, method: "GET" | "HEAD" = "GET", from = DOWNLOADER) {
    this.method = method;
    this.target = target;
    this.#headers = headers;
    [this.channel] = Side.pair({ ...DOWNLOADER, port: 1235 }, from);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  header(name: string): string | undefined {
    return this.#headers[name];
  }

  reply(status: number, headers: Record<string, string>, body: string | Uint8Array): void {
    void this.begin(status, headers).write(body);
    this.ended = true;
  }

  begin(status: number, headers: Record<string, string>): Body {
    this.status = status;
    this.headers = headers;
    return {
      write: async (part) => {
        this.#parts.push(Buffer.from(part));
        return true;
      },
      end: () => {
        this.ended = true;
        this.#over();
      },
      break: () => {
        this.broken = true;
        this.#over();
      },
      whenOver: (act) => {
        this.#over = act;
      },
    };
  }
}

const FOLDER = "c".repeat(64);
const BIG = bytesOf(1_500_000);
const NOTES = new TextEncoder().encode("Remember the milk");
const ENTRIES = [
  { path: "big.bin", size: BIG.length, root: OTHER_ROOT },
  { path: "empty/", size: 0, root: EMPTY_ROOT },
  { path: "nothing.txt", size: 0, root: EMPTY_ROOT },
  { path: "notes/ü.txt", size: NOTES.length, root: ROOT },
];
const DATES = new TextEncoder().encode("1704067200000 big.bin\n1704067260000 notes/ü.txt\n1704067260000 empty/\n");

/** A peer that serves guests with the ticket "good": hello.txt, and a folder. */
function hall(more: Partial<ServeOptions> = {}): Hall {
  const made: Hall = new Hall((self) => ({
    refuseTicket: (ticket) => (ticket === "good" ? undefined : "This link is not from this computer's tracker."),
    lookFolder: (root) => (root === FOLDER ? { hashes: new Uint8Array(), dates: () => DATES } : undefined),
    open: (asked) =>
      self.disk.open(asked.folder === FOLDER ? { name: "bytes" } : asked.root === FOLDER ? { name: "list" } : asked),
    safePaths: (paths) => new FolderLayout(paths, false),
    ...more,
  }));
  made.disk.files.set("list", { bytes: folderList(ENTRIES), root: FOLDER });
  // The small files come first.
  made.disk.files.set("bytes", { bytes: Buffer.concat([NOTES, BIG]) });
  return made;
}

async function ask(server: Hall["server"], browser: Browser): Promise<Browser> {
  server.answer(browser);
  while (!browser.ended && !browser.broken) await settle();
  return browser;
}

describe("a guest", () => {
  test("gets a file whole, with its tag and its name in both forms", async () => {
    const place = hall();
    const got = await ask(place.server, new Browser(`/get/${ROOT}/hello.txt?t=good`));
    expect([got.status, got.bytes.toString()]).toEqual([200, "Hello, world"]);
    expect(got.headers).toMatchObject({
      "content-length": "12",
      "content-type": "application/octet-stream",
      "content-disposition": "attachment; filename=\"hello.txt\"; filename*=UTF-8''hello.txt",
      "x-content-type-options": "nosniff",
      etag: `"${ROOT}"`,
      "accept-ranges": "bytes",
    });
    expect(place.events.map(({ event }) => event)).toEqual(["upload-started", "upload-ended"]);
    await place.expectTidy();
  });

  test.each([
    ["bytes=7-", 206, "world", "bytes 7-11/12"],
    ["bytes=0-4", 206, "Hello", "bytes 0-4/12"],
    ["bytes=0-99", 206, "Hello, world", "bytes 0-11/12"],
    ["bytes=-5", 206, "world", "bytes 7-11/12"],
    ["bytes=12-", 416, undefined, "bytes */12"],
    ["bytes=-0", 416, undefined, "bytes */12"],
    ["bytes=4-2", 200, "Hello, world", undefined],
    ["bytes=0-1,3-4", 200, "Hello, world", undefined],
    ["lines=1-2", 200, "Hello, world", undefined],
    ["bytes=", 200, "Hello, world", undefined],
  ])("Range: %s", async (range, status, text, contentRange) => {
    const place = hall();
    const got = await ask(place.server, new Browser(`/get/${ROOT}/hello.txt?t=good`, { range }));
    expect([got.status, got.headers["content-range"]]).toEqual([status, contentRange]);
    if (text !== undefined) expect([got.bytes.toString(), got.headers["content-length"]]).toEqual([text, String(text.length)]);
    await place.expectTidy();
  });

  test("with a part of another version gets the whole file", async () => {
    const old = new Browser(`/get/${ROOT}/hello.txt?t=good`, { range: "bytes=7-", "if-range": '"other"' });
    expect((await ask(hall().server, old)).status).toBe(200);
    const same = new Browser(`/get/${ROOT}/hello.txt?t=good`, { range: "bytes=7-", "if-range": `"${ROOT}"` });
    expect((await ask(hall().server, same)).status).toBe(206);
  });

  test("HEAD gets the headers and takes no slot", async () => {
    const place = hall({ slots: 1 });
    const got = await ask(place.server, new Browser(`/get/${ROOT}/hello.txt?t=good`, {}, "HEAD"));
    expect([got.status, got.headers["content-length"], got.bytes.length]).toEqual([200, "12", 0]);
    await place.expectTidy();
  });

  test("without a good ticket gets a sentence, and the person here is told", async () => {
    const place = hall();
    const got = await ask(place.server, new Browser(`/get/${ROOT}/hello.txt?t=bad`));
    expect(got.status).toBe(403);
    expect(got.bytes.toString()).toContain("not from this computer&#39;s tracker");
    expect(place.events).toEqual([
      { event: "download-refused", address: DOWNLOADER.address, reason: "This link is not from this computer's tracker." },
    ]);
  });

  test.each([
    "/",
    "/get",
    "/get/",
    `/get/${ROOT}`,
    `/get/${ROOT}/`,
    "/get/00/a?t=good",
    "/get/../x",
    "/%",
    `/get/${OTHER_ROOT}/x?t=good`,
  ])("%s is not here", async (target) => {
    const place = hall();
    expect((await ask(place.server, new Browser(target))).status).toBe(404);
    await place.expectTidy();
  });

  test("waits in the queue with others, and is told its place", async () => {
    const place = hall({ slots: 1 });
    place.disk.onRead = () => new Promise(() => {});
    place.server.answer(new Browser(`/get/${ROOT}/hello.txt?t=good`));
    await settle();
    const second = new Browser(`/get/${ROOT}/hello.txt?t=good`, {}, "GET", { ...DOWNLOADER, port: 52_000 });
    const got = await ask(place.server, second);
    expect([got.status, got.headers["retry-after"]]).toEqual([503, "5"]);
    expect(got.bytes.toString()).toContain("You are number 1 in the queue");
  });

  test("sees that its copy is not whole when the file changes", async () => {
    const place = hall();
    place.disk.stale = true;
    const got = await ask(place.server, new Browser(`/get/${ROOT}/hello.txt?t=good`));
    expect([got.broken, got.ended]).toEqual([true, false]);
    await place.expectTidy();
  });

  test("is not served where no tickets are known", async () => {
    const place = new Hall();
    expect((await ask(place.server, new Browser(`/get/${ROOT}/hello.txt?t=good`))).status).toBe(404);
  });
});

describe("a folder", () => {
  test("is shown with links to its files and to its zip", async () => {
    const got = await ask(hall().server, new Browser(`/get/${FOLDER}/Lesson?t=good`));
    const text = got.bytes.toString();
    expect(text).toContain("3 files, 1.5 MB");
    expect(text).toContain(`<a href="/get/${FOLDER}/list/notes/%C3%BC.txt?t=good">notes/ü.txt</a> 17 B`);
    expect(text).toContain(`<a href="/get/${FOLDER}/list?zip=1&amp;t=good">`);
  });

  test("gives one of its files, also a part of it", async () => {
    const place = hall();
    const notes = await ask(place.server, new Browser(`/get/${FOLDER}/Lesson/notes/%C3%BC.txt?t=good`));
    expect(notes.bytes.toString()).toBe("Remember the milk");
    expect(notes.headers["content-disposition"]).toBe("attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt");
    const part = new Browser(`/get/${FOLDER}/Lesson/big.bin?t=good`, { range: "bytes=1000000-1000009" });
    expect((await ask(place.server, part)).bytes).toEqual(Buffer.from(BIG.subarray(1_000_000, 1_000_010)));
    const whole = { name: "list", size: BIG.length + NOTES.length };
    expect(place.events[0]).toMatchObject({ event: "upload-started", upload: { name: "ü.txt", whole } });
    for (const path of ["no.txt", "empty/", "empty", "notes", "notes/ü.txt/", "..%2Flist"]) {
      expect((await ask(place.server, new Browser(`/get/${FOLDER}/Lesson/${path}?t=good`))).status).toBe(404);
    }
    await place.expectTidy();
  });

  test("comes as a zip with everything in it, as long as it says", async () => {
    const place = hall();
    const got = await ask(place.server, new Browser(`/get/${FOLDER}/Lesson?zip=1&t=good`));
    expect(got.headers["content-length"]).toBe(String(got.bytes.length));
    expect(got.headers["accept-ranges"]).toBeUndefined();
    const files = unzipSync(new Uint8Array(got.bytes));
    expect(Object.keys(files).sort()).toEqual(["list/big.bin", "list/empty/", "list/notes/ü.txt", "list/nothing.txt"]);
    expect(Buffer.from(files["list/big.bin"] ?? [])).toEqual(Buffer.from(BIG));
    await place.expectTidy();
  });

  test("in a zip has names that are safe everywhere, whatever the link and the folder say", async () => {
    const place = hall();
    const paths = ["..\\..\\evil.txt", "C:\\x.txt", "a*b.txt", "a:b.txt", "desktop.ini", "nul.txt", "sub/con", "\u202egpj.exe"];
    const entries = paths.map((path) => ({ path, size: 1, root: ROOT }));
    place.disk.files.clear();
    place.disk.files.set("list", { bytes: folderList(entries), root: FOLDER });
    place.disk.files.set("bytes", { bytes: bytesOf(paths.length) });
    const got = await ask(place.server, new Browser(`/get/${FOLDER}/..%2F..%2F.ssh?zip=1&t=good`));
    expect(got.headers["content-disposition"]).toStartWith('attachment; filename="list.zip"');
    const names = Object.keys(unzipSync(new Uint8Array(got.bytes)));
    expect(names.sort()).toEqual(
      [
        "list/__.._evil.txt",
        "list/C__x.txt",
        "list/_gpj.exe",
        "list/_nul.txt",
        "list/a_b (1).txt",
        "list/a_b.txt",
        "list/desktop.ini.download",
        "list/sub/_con",
      ].sort(),
    );
    const page = await ask(place.server, new Browser(`/get/${FOLDER}/..%2F..%2F.ssh?t=good`));
    expect(page.bytes.toString()).not.toContain(".ssh");
    await place.expectTidy();
  });

  test("has its list read once, however often it is asked for", async () => {
    const place = hall();
    for (const path of ["Lesson", "Lesson?zip=1", "Lesson/notes/%C3%BC.txt", "Lesson"]) {
      const sign = path.includes("?") ? "&" : "?";
      expect((await ask(place.server, new Browser(`/get/${FOLDER}/${path}${sign}t=good`, {}, "HEAD"))).status).toBe(200);
    }
    expect(place.disk.reads).toEqual([0]);
    place.disk.files.delete("list");
    expect((await ask(place.server, new Browser(`/get/${FOLDER}/Lesson?t=good`))).status).toBe(404);
    await place.expectTidy();
  });

  test("whose bytes change in the middle is no whole zip", async () => {
    const place = hall();
    place.disk.onRead = (name) => {
      if (name === "bytes") place.disk.stale = true;
      return undefined;
    };
    expect((await ask(place.server, new Browser(`/get/${FOLDER}/Lesson?zip=1&t=good`))).broken).toBe(true);
    await place.expectTidy();
  });
});
