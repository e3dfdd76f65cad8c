// The names of downloaders in the events of uploads.

import { expect, test } from "bun:test";
import type { PeerEvent } from "../../../lib/peer/events.ts";
import { DownloaderNames } from "../../../lib/peer/people/downloader-names.ts";
import { HandClock, settle } from "../../helpers/channel.ts";
import { anUpload } from "../../helpers/serving.ts";

function stage() {
  const clock = new HandClock();
  const asked: string[] = [];
  const answers: PromiseWithResolvers<string | undefined>[] = [];
  const events: PeerEvent[] = [];
  const ask = (id: string) => {
    asked.push(id);
    const answer = Promise.withResolvers<string | undefined>();
    answers.push(answer);
    return answer.promise;
  };
  return { clock, asked, answers, events, names: new DownloaderNames({ ask, clock, report: (event) => events.push(event) }) };
}

function started(id: string | undefined): Extract<PeerEvent, { event: "upload-started" }> {
  return { event: "upload-started", upload: anUpload({ id }) };
}

const notice = { event: "notice", words: "noon" } as const;
const kinds = (events: PeerEvent[]) =>
  events.map((event) => ("upload" in event ? (event.upload.by ?? "nameless") : event.event));

test("the tracker is asked once for each downloader, and events keep their order", async () => {
  const { names, asked, answers, events } = stage();
  names.report(notice);
  expect(events).toEqual([notice]);
  names.report(started("p1"));
  names.report(notice);
  names.report(started("p1"));
  names.report(started("p2"));
  await settle();
  expect([events.length, asked]).toEqual([1, ["p1", "p2"]]);
  answers[1]?.resolve(undefined);
  answers[0]?.resolve("Ben");
  await names.settled();
  expect(kinds(events)).toEqual(["notice", "Ben", "notice", "Ben", "nameless"]);
  names.report(notice);
  expect(events).toHaveLength(6);
});

test("an event waits a second at most, and an FT/1 downloader has no name to wait for", async () => {
  const { names, asked, answers, events, clock } = stage();
  names.report(started(undefined));
  expect([kinds(events), asked]).toEqual([["nameless"], []]);
  names.report(started("p1"));
  names.report(started("p2"));
  answers[1]?.reject(new Error("the tracker is away"));
  await clock.pass(1_000);
  await names.settled();
  expect(kinds(events)).toEqual(["nameless", "nameless", "nameless"]);
});
