// The processor time of the tracker for one page, with 20,000 peers of five files each. Run by hand: bun tests/bench/page.ts
//
// A client in another process asks for each page a hundred times; the time is that of this process, which is the tracker.

import { parseAddress } from "../../lib/protocol/address.ts";
import { parseFileName, parseRecord } from "../../lib/protocol/record.ts";
import { parseTrackerArguments } from "../../lib/tracker/options.ts";
import { startTracker } from "../../tracker.ts";

const PEERS = 20_000;
const FILES = 5;
/** Different contents: each is shared by five peers or so. */
const CONTENTS = 20_000;
const PAGES = 100;

const args = "--port 0 --host 127.0.0.1 --no-announce --web guests --find-time 1000 --rate 100000 --burst 100000".split(" ");
const parsed = parseTrackerArguments(args);
if ("text" in parsed) throw new Error(parsed.text);
const tracker = startTracker({ ...parsed.options, bans: undefined, report: () => undefined });

function rootOf(content: number): string {
  return new Bun.CryptoHasher("sha256").update(String(content)).digest("hex");
}

for (let peer = 0; peer < PEERS; peer++) {
  const address = parseAddress(`10.${peer >> 16}.${(peer >> 8) & 255}.${peer & 255}`);
  if (address === undefined) throw new Error("no address");
  const records = Array.from({ length: FILES }, (_, file) => {
    const content = (peer * 7919 + file * 104_729) % CONTENTS;
    const name = parseFileName(`report ${content} of ${peer % 97}.pdf`);
    return parseRecord(
      `<${name},application/pdf,${content * 100},22/11/26,${address},1235;v=2;root=${rootOf(content)}>`,
      "peer",
    );
  });
  const member = {
    id: String(peer),
    profile: 2 as const,
    address,
    agent: "bench/1",
    name: `Peer ${peer}`,
    since: Date.now(),
    port: 1235,
  };
  tracker.catalog.put({ ...member, guests: true }, records);
}

const client = `
  const [address, pages] = process.argv.slice(-2);
  for (let i = 0; i < Number(pages); i++) { const got = await fetch(address); if (!got.ok) throw new Error(String(got.status)); await got.text(); }
`;

for (const path of [
  "/",
  "/?q=report",
  "/?q=e",
  "/?q=report+777",
  "/peers",
  "/peer/77",
  `/content/${rootOf(77)}`,
  "/metrics",
  "/stats.json",
]) {
  const ask = async (pages: number) => {
    const before = process.cpuUsage();
    const run = Bun.spawn([process.execPath, "-e", client, "--", `http://127.0.0.1:${tracker.port}${path}`, String(pages)], {
      stdout: "inherit",
      stderr: "inherit",
    });
    if ((await run.exited) !== 0) process.exit(1);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  await ask(10);
  // What the start of the client costs this process is in both.
  const none = await ask(0);
  const all = await ask(PAGES);
  console.log(`${path.padEnd(75)} ${((all - none) / PAGES).toFixed(2)} ms`);
}
await tracker.stop();
process.exit(0);
