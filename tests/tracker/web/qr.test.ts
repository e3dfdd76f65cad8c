import { expect, test } from "bun:test";
import { encode } from "uqr";
import { qrLines, qrPicture } from "../../../lib/tracker/web/qr.ts";

const ADDRESS = "http://192.168.1.20:1234/";
const { data, size } = encode(ADDRESS, { border: 4 });

test("qrLines draws every module, black on white with a quiet zone, two rows in a line", () => {
  const lines = qrLines(ADDRESS, 80, 24) ?? [];
  expect(lines.every((line) => line.startsWith("\x1b[30;107m") && line.endsWith("\x1b[0m"))).toBe(true);
  const cells = lines.map((line) => line.slice("\x1b[30;107m".length, -"\x1b[0m".length));
  const rows = cells.flatMap((line) => [
    Array.from(line, (cell) => "█▀".includes(cell)),
    Array.from(line, (cell) => "█▄".includes(cell)),
  ]);
  expect(rows.slice(0, size)).toEqual(data);
});

test("qrLines gives nothing when the terminal is too small for a whole code", () => {
  expect(qrLines(ADDRESS, size - 1, 100)).toBeUndefined();
  expect(qrLines(ADDRESS, 200, 10)).toBeUndefined();
});

test("qrPicture draws every module, black on white in every theme", () => {
  const { text } = qrPicture(ADDRESS);
  expect(text).toContain(`viewBox="0 0 ${size} ${size}"`);
  expect(text).toContain(`<path fill="#fff" d="M0 0h${size}v${size}H0z"/>`);
  const drawn = new Set(Array.from(text.matchAll(/M(\d+) (\d+)h1v1h-1z/g), ([, x, y]) => `${x} ${y}`));
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) expect(drawn.has(`${x} ${y}`)).toBe(data[y]?.[x] === true);
});
