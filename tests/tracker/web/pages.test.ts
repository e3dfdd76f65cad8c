import { expect, test } from "bun:test";
import { html } from "../../../lib/html.ts";
import { Histogram } from "../../../lib/tracker/histogram.ts";
import { formatMetrics } from "../../../lib/tracker/web/metrics.ts";
import { curve, shares } from "../../../lib/tracker/web/plot.ts";

test("html escapes every value, and shows invisible characters", () => {
  const name = `<img src=x onerror="a('&')">\u202e\u200b`;
  expect(html`<b title="${name}">${name}</b>${[html`<i>1</i>`, " & ", 2, undefined]}`.text).toBe(
    `<b title="&lt;img src=x onerror=&quot;a(&#39;&amp;&#39;)&quot;&gt;\\u202e\\u200b">&lt;img src=x onerror=&quot;a(&#39;&amp;&#39;)&quot;&gt;\\u202e\\u200b</b><i>1</i> &amp; 2`,
  );
});

test("formatMetrics is this text", () => {
  const find = new Histogram([0.01, 0.1]);
  for (const seconds of [0.005, 0.05, 0.05, 5]) find.add(seconds);
  const text = formatMetrics({
    peers: 2,
    records: 3,
    bytesShared: 400,
    connections: 5,
    requests: { PING: 6, FIND: 4 },
    refused: { "no-files": 1, 'odd"one\n': 1 },
    find,
    program: { cpuSeconds: 1.5, residentBytes: 50_000_000, startedAt: 1_795_000_000 },
  });
  expect(text.split("\n").filter((line) => !line.startsWith("#"))).toEqual([
    "filetracker_peers 2",
    "filetracker_records 3",
    "filetracker_bytes_shared 400",
    "filetracker_connections 5",
    'filetracker_requests_total{verb="PING"} 6',
    'filetracker_requests_total{verb="FIND"} 4',
    'filetracker_refused_total{reason="no-files"} 1',
    'filetracker_refused_total{reason="odd_one_"} 1',
    'filetracker_find_seconds_bucket{le="0.01"} 1',
    'filetracker_find_seconds_bucket{le="0.1"} 3',
    'filetracker_find_seconds_bucket{le="+Inf"} 4',
    "filetracker_find_seconds_sum 5.105",
    "filetracker_find_seconds_count 4",
    "process_cpu_seconds_total 1.5",
    "process_resident_memory_bytes 50000000",
    "process_start_time_seconds 1795000000",
    "",
  ]);
});

test("curve draws the last hour from left to right, and says it in words", () => {
  const samples = [
    { at: -1, value: 9 },
    { at: 0, value: 1 },
    { at: 1800, value: 4 },
    { at: 3600, value: 2 },
  ];
  const { text } = curve("People online", samples, 3600, 3600);
  expect(text).toContain('aria-label="People online, last hour: now 2, at most 4"');
  expect(text).toContain('d="M0.0 87.5L300.0 5.0L600.0 60.0"');
  expect(curve("People online", [], 3600, 3600).text).toContain("now 0, at most 1");
});

test("shares divides one bar, also among nobody", () => {
  expect(shares({ have: 1, part: 1, none: 2 }).text).toContain(
    '<rect class="none" x="300.0" y="0" width="300.0" height="28"/>',
  );
  expect(shares({ have: 0, part: 0, none: 0 }).text).not.toContain("NaN");
});
