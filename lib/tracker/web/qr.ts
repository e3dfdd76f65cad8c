// Draws the address of the web page as a QR code, for a browser and for a terminal.

import { encode, renderUnicodeCompact } from "uqr";
import { type Html, html } from "../../html.ts";

/** The quiet zone around a code, which scanners need. Modules. */
const QUIET = 4;

/** A code as inline SVG, black on white in every theme. */
export function qrPicture(address: string): Html {
  const { data, size } = encode(address, { border: QUIET });
  const cells = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : []))).join("");
  return html`<svg class="qr" viewBox="0 0 ${size} ${size}" role="img" aria-label="${`QR code of ${address}`}"><path fill="#fff" d="M0 0h${size}v${size}H0z"/><path fill="#000" d="${cells}"/></svg>`;
}

/** A code as lines of a terminal, black on white whatever the theme; undefined when it does not fit. */
export function qrLines(address: string, columns: number, rows: number): string[] | undefined {
  // Inverted, uqr draws the dark modules: in black, on a white ground.
  const lines = renderUnicodeCompact(address, { border: QUIET, invert: true }).split("\n");
  const width = Math.max(...lines.map((line) => line.length));
  if (width > columns || lines.length > rows) return undefined;
  return lines.map((line) => `\x1b[30;107m${line}\x1b[0m`);
}
