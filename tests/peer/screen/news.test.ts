import { describe, expect, test } from "bun:test";
import type { PeerEvent } from "../../../lib/peer/events.ts";
import { News } from "../../../lib/peer/screen/news.ts";
import { withoutCommands } from "../../../lib/peer/screen/words.ts";

const at = () => new Date(2026, 10, 28, 17, 40);
const upload = { to: { address: "10.0.0.7", port: 1 }, id: "x", name: "a\x1b[2J.pdf", sent: 1000, wanted: 1000, seconds: 1 };
const started = { event: "upload-started", upload } as unknown as PeerEvent;

describe("the lines above the prompt", () => {
  test("are the last two events with the time, or one in a low terminal", () => {
    const news = new News(at);
    for (const event of [
      started,
      { event: "upload-ended", upload, complete: true, reason: "" } as unknown as PeerEvent,
      { event: "withdrawn", name: "b.pdf", reason: "there is no such file" } as PeerEvent,
    ])
      expect(news.hear(event)).toBeUndefined();
    expect(news.lines(40)).toEqual([
      '17:40  10.0.0.7:1 got 1.0 kB of "a\\x1b[2J.pdf".',
      expect.stringContaining('17:40  "b.pdf" is not shared any more'),
    ]);
    expect(news.lines(20)).toHaveLength(1);
  });

  test("say that the tracker is lost until it is back", () => {
    const news = new News(at);
    news.hear({ event: "away", reason: "it closed the connection" });
    news.hear(started);
    news.hear(started);
    expect(news.lines(40)[0]).toBe("Lost the tracker (it closed the connection). Reconnecting…");
    expect(news.lines(40)).toHaveLength(3);
    news.hear({ event: "joined", profile: 2, name: "Lab", peers: 1, files: 1, left: [] } as PeerEvent);
    expect(news.lines(40).join("\n")).not.toContain("Lost");
    expect(news.lines(40).at(-1)).toBe("17:40  Back at the tracker.");
  });

  test("do not have the operator's notices: these must not be missed", () => {
    const news = new News(at);
    expect(news.hear({ event: "notice", words: "Class ends." })).toContain("Class ends.");
    expect(news.lines(40)).toEqual([]);
    expect(news.hear({ event: "root", name: "a", size: 1, root: "00" })).toBeUndefined();
    expect(news.lines(40)).toEqual([]);
  });
});

test("sentences lose the options and commands that nobody can type in a prompt", () => {
  for (const sentence of [
    'Cannot save into "/x": there is no such folder. Make it, or choose another with --to.',
    'Cannot save into "/x": it is read-only. Choose another folder with --to.',
    'Cannot share "x": there is no such file. Check the path after --share.',
    'Cannot fetch "x": it left, after 1 B; what arrived is kept. Run the same command to go on.',
    'Cannot fetch "x": it left. Run the same command again.',
  ])
    expect(withoutCommands(sentence)).not.toMatch(/--|command/);
});
