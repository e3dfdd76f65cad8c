// The lines above the prompts' question: why the peer is offline, and who downloads.

import { describe, expect, test } from "bun:test";
import type { PeerEvent } from "../../../../lib/peer/events.ts";
import { News } from "../../../../lib/peer/screen/prompts/news.ts";
import { withoutCommands } from "../../../../lib/peer/screen/without-commands.ts";
import { addressOf } from "../../../helpers/channel.ts";
import { anUpload } from "../../../helpers/serving.ts";
import { record } from "../../../helpers/session-room.ts";

const joined: PeerEvent = { event: "joined", profile: 2, name: "Lab 3", you: "Ben", peers: 1, files: 1, left: [] };

describe("News", () => {
  test.each<[PeerEvent, RegExp]>([
    [{ event: "away", reason: "it was stopped" }, /^Lost the tracker \(it was stopped\)\. Reconnecting…$/],
    [
      { event: "dismissed", code: "banned" },
      /^You are banned from this tracker\. This computer asks again every 10 minutes\.$/,
    ],
    [
      { event: "dismissed", code: "kicked", until: new Date().toISOString() },
      /^The tracker's operator has disconnected you until /,
    ],
    [{ event: "offline", reason: "no-files" }, /^You share no file any more, so you are offline\. Share one\.$/],
  ])("%j is shown until the peer is back", (event, words) => {
    const news = new News(() => new Date(2026, 10, 28, 12));
    news.hear(event);
    expect(news.lines(24)).toEqual([expect.stringMatching(words)]);
    news.hear(joined);
    expect(news.lines(24)).toEqual(["12:00  Back at the tracker."]);
  });

  test("a tracker that was started again with a lower limit: the files that it does not take any more are named", () => {
    const news = new News(() => new Date(2026, 10, 28, 12));
    news.hear({ event: "away", reason: "it was stopped" });
    news.hear({ ...joined, left: ["a", "b", "c", "d", "e", "f"].map((name) => record(name)) });
    expect(news.lines(24)).toEqual([
      "12:00  Back at the tracker.",
      '12:00  This tracker takes no more files from one person; not shared: "a", "b", "c", "d", "e" and 1 more.',
    ]);
  });

  test("a downloader is called by its name, else by its address", () => {
    const news = new News(() => new Date(2026, 10, 28, 12));
    const upload = anUpload({ to: { address: addressOf("10.0.0.7"), port: 5 } });
    news.hear({ event: "upload-started", upload });
    news.hear({ event: "has-all", upload: { ...upload, by: "Zoë" }, has: 2, online: 3 });
    news.hear({ event: "has-all", upload });
    expect(news.lines(24)).toEqual(['12:00  Zoë has all of "a.txt" (2 of 3).', '12:00  10.0.0.7:5 has all of "a.txt".']);
  });
});

const at = () => new Date(2026, 10, 28, 17, 40);
const upload = { to: { address: "10.0.0.7", port: 1 }, id: "x", name: "a\x1b[2J.pdf", sent: 1000, wanted: 1000, seconds: 1 };
const whole = { event: "has-all", upload } as unknown as PeerEvent;

describe("the lines above the prompt", () => {
  test("are the last two events with the time, or one in a low terminal", () => {
    const news = new News(at);
    for (const event of [
      whole,
      whole,
      { event: "upload-ended", upload, complete: true, reason: "" } as unknown as PeerEvent,
      { event: "withdrawn", name: "b.pdf", reason: "there is no such file" } as PeerEvent,
    ])
      expect(news.hear(event)).toBeUndefined();
    expect(news.lines(40)).toEqual([
      '17:40  10.0.0.7:1 has all of "a\\x1b[2J.pdf".',
      expect.stringContaining('17:40  "b.pdf" is not shared any more'),
    ]);
    expect(news.lines(20)).toHaveLength(1);
  });

  test("say that the tracker is lost until it is back", () => {
    const news = new News(at);
    news.hear({ event: "away", reason: "it closed the connection" });
    news.hear(whole);
    news.hear(whole);
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
    'Cannot share "x": there is no such file. Try: ft-peer share FILE',
    'Cannot fetch "x": the disk reports an error. Your progress is saved. Try another folder with --to.',
    "The files are not shared. Start ft-peer in another folder, or give --share FILE or --share FOLDER.",
    'Cannot fetch "x": it disconnected. Your progress is saved; run the same command to resume.',
    'Cannot fetch "x": it disconnected. Run the same command again.',
    'Cannot save "x": its part file in "/x" is gone. Run the same command to fetch it again.',
    'Cannot save "x" into "/x": another program has it open. Close that program and run the same command again. Your progress is saved.',
  ])
    expect(withoutCommands(sentence)).not.toMatch(/--|command/);
});
