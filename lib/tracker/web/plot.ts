// Draws the plots of the web page as inline SVG. Each has its numbers in words, too, for people who do not see it. Pure.

import { type Html, html } from "../../html.ts";

/** A number at a time. Milliseconds of any clock. */
export interface Sample {
  at: number;
  value: number;
}

/** Pixels of the drawing's own scale. */
const WIDTH = 600;
const HEIGHT = 120;
const TOP = 5;
const BOTTOM = 115;

/** How a number has changed over `span` milliseconds, up to `now`. `title` names the number, such as "Peers online". */
export function curve(title: string, samples: readonly Sample[], now: number, span: number): Html {
  const seen = samples.filter(({ at }) => at >= now - span);
  const most = Math.max(1, ...seen.map(({ value }) => value));
  const latest = seen.at(-1)?.value ?? 0;
  const x = (at: number) => (((at - now) / span + 1) * WIDTH).toFixed(1);
  const y = (value: number) => (BOTTOM - (value / most) * (BOTTOM - TOP)).toFixed(1);
  const path = seen.map(({ at, value }, index) => `${index === 0 ? "M" : "L"}${x(at)} ${y(value)}`).join("");
  const [first] = seen;
  const area = first === undefined ? "" : `${path}L${x(seen.at(-1)?.at ?? now)} ${BOTTOM}L${x(first.at)} ${BOTTOM}Z`;
  const words = `${title}, last hour: now ${latest}, at most ${most}`;
  return html`<figure><figcaption>${title}: <strong>${latest}</strong></figcaption>
<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${words}">
<line class="axis" x1="0" y1="${TOP}" x2="${WIDTH}" y2="${TOP}"/><line class="axis" x1="0" y1="${BOTTOM}" x2="${WIDTH}" y2="${BOTTOM}"/>
<path class="area" d="${area}"/><path class="curve" d="${path}"/></svg>
<p class="scale"><span>1 hour ago</span><span>at most ${most}</span><span>now</span></p></figure>`;
}

/** How many people have all of a content, a part of it, and nothing. */
export function shares(counts: { have: number; part: number; none: number }): Html {
  const all = counts.have + counts.part + counts.none;
  const words = `${counts.have} have it, ${counts.part} are fetching it, ${counts.none} do not have it yet`;
  let from = 0;
  const bars = (["have", "part", "none"] as const).map((kind) => {
    const width = all === 0 ? 0 : (counts[kind] / all) * WIDTH;
    const bar = html`<rect class="${kind}" x="${from.toFixed(1)}" y="0" width="${width.toFixed(1)}" height="28"/>`;
    from += width;
    return bar;
  });
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} 28" role="img" aria-label="${words}">${bars}</svg>`;
}

/** How much of a content one person has. Per cent. */
export function progress(percent: number): Html {
  const kind = percent >= 100 ? "have" : "part";
  return html`<svg width="120" height="12" aria-hidden="true"><rect class="none" width="120" height="12" opacity=".35"/><rect class="${kind}" width="${Math.round(percent * 1.2)}" height="12"/></svg>`;
}
