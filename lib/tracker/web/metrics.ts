// Writes the tracker's numbers in the text format of Prometheus (version 0.0.4). No name and no address is a label. Pure.

import type { Histogram } from "../histogram.ts";

interface Numbers {
  peers: number;
  records: number;
  bytesShared: number;
  connections: number;
  /** The number of requests of each verb. */
  requests: Readonly<Record<string, number>>;
  /** The number of refusals of each code. */
  refused: Readonly<Record<string, number>>;
  find: Histogram;
  /** Of the program: seconds of processor time, bytes of memory, and when it was started, in seconds since 1970. */
  program: { cpuSeconds: number; residentBytes: number; startedAt: number };
}

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function formatMetrics(numbers: Numbers): string {
  const { program } = numbers;
  return [
    metric("filetracker_peers", "gauge", "Peers online.", numbers.peers),
    metric("filetracker_records", "gauge", "Records of whole files.", numbers.records),
    metric("filetracker_bytes_shared", "gauge", "Bytes of whole files, each as often as it is shared.", numbers.bytesShared),
    metric("filetracker_connections", "gauge", "Connections of peers.", numbers.connections),
    labelled("filetracker_requests_total", "Requests of peers.", "verb", numbers.requests),
    labelled("filetracker_refused_total", "Refused requests and connections.", "reason", numbers.refused),
    histogram("filetracker_find_seconds", "Time of a search by words, from its turn to its answer.", numbers.find),
    metric("process_cpu_seconds_total", "counter", "Processor time of this program.", program.cpuSeconds),
    metric("process_resident_memory_bytes", "gauge", "Resident memory of this program.", program.residentBytes),
    metric("process_start_time_seconds", "gauge", "When this program was started, since 1970.", program.startedAt),
  ].join("");
}

function head(name: string, type: string, about: string): string {
  return `# HELP ${name} ${about}\n# TYPE ${name} ${type}\n`;
}

function metric(name: string, type: "gauge" | "counter", about: string, value: number): string {
  return `${head(name, type, about)}${name} ${value}\n`;
}

function labelled(name: string, about: string, label: string, values: Readonly<Record<string, number>>): string {
  const lines = Object.entries(values).map(
    ([value, count]) => `${name}{${label}="${value.replace(/["\\\n]/g, "_")}"} ${count}\n`,
  );
  return head(name, "counter", about) + lines.join("");
}

function histogram(name: string, about: string, { bounds, counts, sum, count }: Histogram): string {
  let below = 0;
  const lines = bounds.map((bound, at) => {
    below += counts[at] ?? 0;
    return `${name}_bucket{le="${bound}"} ${below}\n`;
  });
  const all = `${name}_bucket{le="+Inf"} ${count}\n${name}_sum ${sum}\n${name}_count ${count}\n`;
  return head(name, "histogram", about) + lines.join("") + all;
}
