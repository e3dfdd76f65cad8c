// The lines above the prompts' question: why the peer is offline, and who downloads.

import { describe, expect, test } from "bun:test";
import type { PeerEvent } from "../../../lib/peer/events.ts";
import { News } from "../../../lib/peer/screen/news.ts";
import { addressOf } from "../../helpers/channel.ts";

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

  test("a downloader is called by its name, else by its address", () => {
    const news = new News(() => new Date(2026, 10, 28, 12));
    const to = { address: addressOf("10.0.0.7"), port: 5 };
    const upload = { to, id: "p7", name: "a.txt", root: undefined, wanted: 9, sent: 0, since: 0, seconds: 0 };
    news.hear({ event: "upload-started", upload: { ...upload, by: "Zoë" } });
    news.hear({ event: "upload-started", upload });
    expect(news.lines(24)).toEqual([
      '12:00  Zoë started downloading "a.txt".',
      '12:00  10.0.0.7:5 started downloading "a.txt".',
    ]);
  });
});
