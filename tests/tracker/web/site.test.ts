import { describe, expect, test } from "bun:test";
import { readTicket } from "../../../lib/protocol/pass.ts";
import { hear } from "../../helpers/browsers.ts";
import { MemoryTracker, NOTES, REPORT, ROOT } from "../../helpers/tracker.ts";

/** A tracker with a page, Anna, whom browsers may ask for report.pdf, and Ben, who is fetching it. */
async function room(...args: string[]) {
  const house = new MemoryTracker(["--web", ...args]);
  const door = house.door();
  const anna = await house.join([REPORT], {
    more: "name=Anna extras=1",
    port: door.port,
    from: "192.168.1.7",
    list: " guests=yes",
  });
  await house.event("joined");
  const ben = await house.join([NOTES], { more: "name=Ben extras=1", from: "192.168.1.8" });
  await ben.ask(`ADD ${REPORT.replace(">", ";part=1;have=61>")}`);
  await house.clock.pass(1000);
  return { house, anna, ben };
}

describe("the page", () => {
  test("is silent without --web: GET is no word of FT", async () => {
    await using house = new MemoryTracker();
    expect(await house.exchangeAndShut("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).toBe("");
  });

  test("shows each content once with those who have it, and what a search finds", async () => {
    const { house } = await room();
    await using _ = house;
    const page = await hear(house, "/");
    expect(page.status).toBe(200);
    expect(page.text).toContain("2 people online, 2 files.");
    expect(page.text).toContain(`<a href="/content/${ROOT}">report.pdf</a></td><td class="number">48 kB</td>`);
    expect(page.text).toContain("notes.txt");
    const found = await hear(house, "/?q=rep*");
    expect(found.text).toContain("report.pdf");
    expect(found.text).not.toContain("notes.txt");
    expect((await hear(house, "/?q=nothing")).text).toContain("No file fits these words.");
  });

  test("names nobody's file as anything but text", async () => {
    await using house = new MemoryTracker(["--web"]);
    const name = `<script>alert("1")&amp;\u202egpj.exe`;
    const record = NOTES.replace(
      "notes.txt",
      name.replace(/[<>&;"]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`),
    );
    await house.join([record.replace(/&/g, "%26")], { more: `name=${encodeURIComponent("<b>Eve</b>")}` });
    const { text } = await hear(house, "/");
    expect(text).toContain("&lt;script&gt;alert(&quot;1&quot;)&amp;amp;\\u202egpj.exe");
    expect(text).not.toContain("<script>alert");
    expect((await hear(house, "/peers")).text).toContain("&lt;b&gt;Eve&lt;/b&gt;");
  });

  test("of a content says how many have it, who is fetching how much, and who has nothing", async () => {
    const { house } = await room();
    await using _ = house;
    await house.join([NOTES], { more: "name=Chloe", from: "192.168.1.9" });
    const { text } = await hear(house, `/content/${ROOT}`);
    expect(text).toContain("1 of 3 has it");
    expect(text).toContain("1 is fetching it. 1 not yet.");
    expect(text).toMatch(/Anna<\/td>.*all of it.*Ben<\/td>.*61 %.*Chloe<\/td>.*nothing yet/s);
    // Without "guests" there is no way to download.
    expect(text).not.toContain("/get/");
    expect((await hear(house, `/get/${ROOT}/report.pdf`)).status).toBe(403);
  });

  test("of a person lists the files; what is not here has a page that says so", async () => {
    const { house } = await room();
    await using _ = house;
    const people = await hear(house, "/peers");
    expect(people.text).toContain("2 people online");
    const [, id] = /href="\/peer\/([0-9a-f]+)">Ben/.exec(people.text) ?? [];
    expect((await hear(house, `/peer/${id}`)).text).toMatch(/notes\.txt.*has it.*report\.pdf.*61 %/s);
    for (const path of ["/peer/0123", "/content/00", `/content/${"0".repeat(64)}`, "/nothing", "/peer/a/b", "//", "/%zz"]) {
      const { status, text } = await hear(house, path);
      expect([path, status]).toEqual([path, 404]);
      expect(text).toContain("<h1>");
    }
  });

  test("lets a browser run nothing but its own script, and embed nothing", async () => {
    await using house = new MemoryTracker(["--web"]);
    const { headers, text } = await hear(house, "/");
    const policy = headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    const [, script = ""] = /<script>([\s\S]*?)<\/script>/.exec(text) ?? [];
    const [, style = ""] = /<style>([\s\S]*?)<\/style>/.exec(text) ?? [];
    for (const inline of [script, style]) {
      expect(policy).toContain(`'sha256-${new Bun.CryptoHasher("sha256").update(inline).digest("base64")}'`);
    }
    expect(policy).not.toContain("unsafe");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("access-control-allow-origin")).toBeNull();
    expect(headers.get("set-cookie")).toBeNull();
  });

  test("is shown only under an IP address, localhost, or this machine's own .local name", async () => {
    await using house = new MemoryTracker(["--web"]);
    const own = `${(await import("node:os")).hostname().toLowerCase()}.local`;
    for (const host of [
      "192.168.1.5",
      "192.168.1.5:1234",
      "[fd00::1]:1234",
      "localhost:1234",
      own,
      `${own.toUpperCase()}:1234`,
    ]) {
      expect([host, (await hear(house, "/", { host })).status]).toEqual([host, 200]);
    }
    for (const host of ["evil.example", "evil.example:1234", "192.168.1.5.evil.example", "other.local", ""]) {
      expect([host, (await hear(house, "/", { host })).status]).toEqual([host, 421]);
    }
  });
});

describe("a guest's download", () => {
  test("leads to a holder that agrees, with a ticket for this content and this address", async () => {
    const { house, anna } = await room("guests");
    await using _ = house;
    expect(anna.hi.get("guests")).toBe("yes");
    expect((await hear(house, `/content/${ROOT}`)).text).toContain(`href="/get/${ROOT}/report.pdf"`);
    const { status, headers } = await hear(house, `/get/${ROOT}/report.pdf`, { from: "192.168.1.50" });
    expect(status).toBe(302);
    const to = new URL(headers.get("location") ?? "");
    expect([to.hostname, to.pathname]).toEqual(["192.168.1.7", `/get/${ROOT}/report.pdf`]);
    const ticket = readTicket(to.searchParams.get("t") ?? "", anna.hi.get("key") ?? "");
    expect(ticket).toMatchObject({ address: "192.168.1.50", root: ROOT });
    expect((ticket?.expires ?? 0) - house.clock.at() / 1000).toBeWithin(598, 601);
  });

  test("is not offered for what only peers have that do not agree, or that cannot be reached", async () => {
    await using house = new MemoryTracker(["--web", "guests"]);
    await house.join([REPORT], { more: "extras=1", from: "192.168.1.7" });
    // Nothing listens on this one's port.
    await house.join([REPORT], { more: "extras=1", from: "192.168.1.8", list: " guests=yes" });
    await house.event("unreachable", 2);
    expect((await hear(house, `/content/${ROOT}`)).text).not.toContain("/get/");
    const { status, text } = await hear(house, `/get/${ROOT}/report.pdf`);
    expect([status, text.includes("Nobody who serves guests has this file")]).toEqual([404, true]);
  });

  test("a tracker without guests says nothing of them in its HI", async () => {
    const { house, anna } = await room();
    await using _ = house;
    expect(anna.hi.has("guests")).toBe(false);
  });
});

describe("numbers", () => {
  test("/stats.json is what status prints, /metrics the text of Prometheus without names and addresses", async () => {
    const { house } = await room();
    await using _ = house;
    const stats = JSON.parse((await hear(house, "/stats.json")).text);
    expect(stats).toMatchObject({ event: "status", done: true, data: { peers: 2, files: 2, name: "Lab 3" } });
    const { text, headers } = await hear(house, "/metrics");
    expect(headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(text).toContain("# TYPE filetracker_peers gauge\nfiletracker_peers 2\n");
    expect(text).toContain('filetracker_requests_total{verb="ADD"} 1\n');
    expect(text).toContain('filetracker_find_seconds_bucket{le="+Inf"} ');
    for (const word of ["Anna", "report", "192.168", "Lab 3"]) expect(text).not.toContain(word);
  });
});

describe("guards", () => {
  test("a browser that asks too much is told to wait, and other hosts are answered", async () => {
    await using house = new MemoryTracker(["--web", "--rate", "1", "--burst", "1", "--max-per-address", "4"]);
    const asked = Promise.all([1, 2, 3, 4].map(() => hear(house, "/", { from: "192.168.1.66" })));
    for (let i = 0; i < 4; i++) await house.clock.pass(0);
    // A refusal comes late, so that a flood of requests is a slow one.
    await house.clock.pass(1_000);
    const answers = await asked;
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get("retry-after")).toBe("2");
    expect((await hear(house, "/", { from: "192.168.1.67" })).status).toBe(200);
  });

  test("an FT program on the same port is served as ever, also byte by byte", async () => {
    await using house = new MemoryTracker(["--web"]);
    const guest = await house.connect();
    for (const byte of "HELLO") guest.send(byte);
    expect((await guest.take(2)).toString()).toBe("HI");
    await house.join([REPORT], { from: "192.168.1.7" });
    expect(house.tracker.catalog.peers).toBe(1);
    // It begins like HEAD, and ends.
    expect(await house.exchangeAndShut("HE")).toBe("");
  });

  test("a request that does not end, and a connection that says nothing, are closed", async () => {
    await using house = new MemoryTracker(["--web"]);
    for (const beginning of ["", "G", "GET / HTTP/1.1\r\nHost: a\r\n"]) {
      const guest = await house.connect();
      guest.send(beginning);
      await house.clock.pass(21_000);
      expect([beginning, guest.closed]).toEqual([beginning, true]);
    }
  });

  test("a browser that expects something is answered as any other, and leaves no connection behind", async () => {
    await using house = new MemoryTracker(["--web"]);
    for (const expected of ["100-continue", "a cup of tea"]) {
      const guest = await house.connect();
      guest.send(`GET /icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: ${expected}\r\n\r\n`);
      for (let i = 0; i < 5; i++) await house.clock.pass(0);
      expect([
        expected,
        guest.waiting
          .toString()
          .match(/(?<=HTTP\/1\.1 )\d+/g)
          ?.at(-1),
      ]).toEqual([expected, "200"]);
      await house.clock.pass(61_000);
      expect([expected, guest.closed]).toEqual([expected, true]);
    }
  });

  test("too long headers, bytes that are no HTTP, and data are refused", async () => {
    await using house = new MemoryTracker(["--web"]);
    const long = `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${"x".repeat(9000)}\r\n\r\n`;
    expect(await house.exchangeAndShut(long)).toStartWith("HTTP/1.1 400 ");
    expect(await house.exchangeAndShut("GET / NONSENSE\r\n\r\n")).toStartWith("HTTP/1.1 400 ");
    const data = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc";
    expect(await house.exchangeAndShut(data)).toStartWith("HTTP/1.1 413 ");
  });

  test("requests one behind the other are answered in order, the next one when the last one is answered", async () => {
    await using house = new MemoryTracker(["--web"]);
    const guest = await house.connect();
    const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    guest.send(`${request("/icon.svg")}\r\n${request("/nothing")}${request("/stats.json")}GET /peers HTTP/1.1\r\n`);
    guest.send("Host: 127.0.0.1\r\nConnection: close\r\n\r\n");
    const statuses = (await guest.rest()).toString().match(/(?<=HTTP\/1\.1 )\d+/g);
    expect(statuses).toEqual(["200", "404", "200", "200"]);
  });

  test.each([
    ["POST", 405, "GET /icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nPOST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
    ["two names", 400, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n"],
    ["another site's URL", 421, "GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
    ["another protocol", 421, "GET ftp://127.0.0.1/stats.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
    ["no name", 421, "GET / HTTP/1.1\r\n\r\n"],
    [
      "data with a request in it",
      413,
      "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 49\r\n\r\nGET /stats.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n\r\n",
    ],
    ["a long line", 400, `GET /${"x".repeat(9000)}`],
  ])("%s: %d, and nothing behind it", async (_, status, bytes) => {
    await using house = new MemoryTracker(["--web"]);
    const guest = await house.connect();
    guest.send(bytes);
    if (status === 421) guest.halfClose();
    const answer = (await guest.rest()).toString();
    expect(answer.match(/(?<=HTTP\/1\.1 )\d+/g)?.at(-1)).toBe(String(status));
    expect(answer).not.toContain('"event":"status"');
  });

  test.each(["/live//", "/live//[", "/live/nothing", "/live/live/"])("%s is an open page that is not there", async (path) => {
    await using house = new MemoryTracker(["--web"]);
    const reader = await house.connect();
    reader.send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    expect(await reader.line()).toBe("HTTP/1.1 200 OK\r");
    expect((await nextEvent(reader, house)).text).toContain("No such page");
    reader.close();
  });

  test("the open pages of one host are eight", async () => {
    await using house = new MemoryTracker(["--web"]);
    const open = async (from: string) => {
      const reader = await house.connect({ from });
      reader.send("GET /live/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
      while (!reader.waiting.includes("\r\n\r\n")) await house.clock.pass(0);
      return reader;
    };
    const many = [];
    for (let i = 0; i < 9; i++) many.push(await open("192.168.1.66"));
    many.push(await open("192.168.1.67"));
    await house.clock.pass(0);
    // An answer that has its end.
    expect(many.map(({ waiting }) => waiting.includes("\r\n0\r\n"))).toEqual([...Array(8).fill(false), true, false]);
  });

  test("a flood from one of its readers does not keep an open page from the others", async () => {
    await using house = new MemoryTracker(["--web", "--rate", "1", "--burst", "1"]);
    const open = async (from: string) => {
      const reader = await house.connect({ from });
      reader.send("GET /live/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
      expect((await nextEvent(reader, house)).text).toContain("0 people online");
      return reader;
    };
    await open("192.168.1.66");
    const other = await open("192.168.1.67");
    await house.join([NOTES], { from: "192.168.1.7" });
    const flood = Array.from({ length: 20 }, () => hear(house, "/", { from: "192.168.1.66" }));
    await house.clock.pass(0);
    expect((await nextEvent(other, house)).text).toContain("1 person online");
    await house.clock.pass(2_000);
    await Promise.all(flood);
  });

  test("HEAD has the headers of GET and no body", async () => {
    await using house = new MemoryTracker(["--web"]);
    const answer = await house.exchangeAndShut("HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    expect(answer).toStartWith("HTTP/1.1 200 ");
    expect(answer).toEndWith("\r\n\r\n");
  });

  test("an address that is banned is told so as ever", async () => {
    await using house = new MemoryTracker(["--web"]);
    house.tracker.obey({ order: "ban", address: "192.168.1.66" });
    expect(await house.exchangeAndShut("GET / HTTP/1.1\r\n\r\n", { from: "192.168.1.66" })).toStartWith("ERROR banned ");
  });
});

test("an open page is sent again when something has changed, and only then", async () => {
  const { house } = await room();
  await using _ = house;
  const reader = await house.connect();
  reader.send(`GET /live/content/${ROOT} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  const { text: first } = await nextEvent(reader, house);
  expect(first).toContain("1 of 2 has it");
  await house.join([NOTES], { more: "name=Chloe", from: "192.168.1.9" });
  const { text: second } = await nextEvent(reader, house);
  expect(second).toContain("1 of 3 has it");
  await house.clock.pass(10_000);
  expect(reader.waiting.toString()).not.toContain("data:");
});

async function nextEvent(reader: Awaited<ReturnType<MemoryTracker["connect"]>>, house: MemoryTracker) {
  for (;;) {
    const line = await Promise.race([reader.line(), house.clock.pass(2_000).then(() => "")]);
    if (line.startsWith("data: ")) return { text: JSON.parse(line.slice(6)) as string };
  }
}
