// Draws the icons of both programs and puts them into programs for Windows, in the place of the runtime's own icon.

import { placesOf, RESOURCE, replaceResource, viewOf } from "./resources.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Width and height of the one picture in the runtime's icon. Windows makes smaller ones of it. Pixels. */
const SIZE = 256;
/** Where the entry of the first picture in a group has the number of its bytes. */
const GROUP_BYTES = 6 + 8;

/** How far a point is outside of a shape; inside it is less than 0. Pixels. */
type Shape = (x: number, y: number) => number;

/** A picture: white shapes on a square of one colour with round corners. */
interface Picture {
  colour: [red: number, green: number, blue: number];
  shapes: Shape[];
}

/** A thick line with round ends. */
function line(x1: number, y1: number, x2: number, y2: number, radius: number): Shape {
  return (x, y) => {
    const [dx, dy] = [x2 - x1, y2 - y1];
    const along = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
    return Math.hypot(x - x1 - along * dx, y - y1 - along * dy) - radius;
  };
}

const dot = (x: number, y: number, radius: number) => line(x, y, x, y, radius);

/** The peer's: an arrow down and an arrow up. The tracker's: a point that knows others. */
const PICTURES: Record<string, Picture> = {
  "ft-peer": {
    colour: [0x1f, 0x6f, 0xd6],
    shapes: [
      ...[line(92, 64, 92, 188, 12), line(92, 190, 58, 154, 12), line(92, 190, 126, 154, 12)],
      ...[line(164, 192, 164, 68, 12), line(164, 66, 130, 102, 12), line(164, 66, 198, 102, 12)],
    ],
  },
  "ft-tracker": {
    colour: [0x1c, 0x8a, 0x5a],
    shapes: [
      dot(128, 128, 30),
      ...[
        [64, 76],
        [196, 84],
        [72, 192],
        [188, 188],
      ].flatMap(([x = 0, y = 0]) => [line(128, 128, x, y, 7), dot(x, y, 18)]),
    ],
  },
};

/** How much of a pixel is inside, from 0 to 1. */
const inside = (distance: number) => Math.min(1, Math.max(0, 0.5 - distance));

/** The pixels of a program's icon, row by row from the top: red, green, blue and opacity. */
function iconPixels(program: string): Bytes {
  const { colour, shapes } = PICTURES[program] ?? { colour: [0, 0, 0], shapes: [] };
  const pixels = new Uint8Array(SIZE * SIZE * 4);
  const [middle, flat, corner] = [SIZE / 2, SIZE / 2 - 60, 52];
  for (let at = 0; at < SIZE * SIZE; at++) {
    const [x, y] = [(at % SIZE) + 0.5, Math.floor(at / SIZE) + 0.5];
    const square = Math.hypot(Math.max(0, Math.abs(x - middle) - flat), Math.max(0, Math.abs(y - middle) - flat)) - corner;
    const white = inside(Math.min(...shapes.map((shape) => shape(x, y))));
    const mixed = colour.map((value) => Math.round(value + (255 - value) * white));
    pixels.set([...mixed, Math.round(255 * inside(square))], 4 * at);
  }
  return pixels;
}

const drawn = new Map<string, Bytes>();

/** The icon as Windows keeps it: a header, rows from the bottom with blue first, and a mask that is not used. */
function iconBytes(program: string): Bytes {
  const before = drawn.get(program);
  if (before !== undefined) return before;
  const out = new Uint8Array(40 + SIZE * SIZE * 4 + (SIZE * SIZE) / 8);
  const view = viewOf(out);
  for (const [i, value] of [40, SIZE, 2 * SIZE].entries()) view.setUint32(4 * i, value, true);
  view.setUint16(12, 1, true);
  view.setUint16(14, 32, true);
  const pixels = iconPixels(program);
  for (let at = 0; at < SIZE * SIZE; at++) {
    const [red = 0, green = 0, blue = 0, opacity = 0] = pixels.subarray(4 * at, 4 * at + 4);
    const row = SIZE - 1 - Math.floor(at / SIZE);
    out.set([blue, green, red, opacity], 40 + 4 * (row * SIZE + (at % SIZE)));
  }
  drawn.set(program, out);
  return out;
}

/** The program with its own icon. Throws when the runtime has no icon of one picture of this size, or no room for ours. */
export function withIcon(bytes: Bytes, program: string): Bytes {
  const out = bytes.slice();
  const [[icon, ...more], [group]] = [placesOf(out, RESOURCE.icon), placesOf(out, RESOURCE.iconGroup)];
  if (icon === undefined || group === undefined) throw new RangeError("has no icon");
  if (more.length > 0) throw new RangeError(`has an icon of ${more.length + 1} pictures`);
  const picture = iconBytes(program);
  replaceResource(out, icon, picture, "an icon");
  viewOf(out).setUint32(group.offset + GROUP_BYTES, picture.length, true);
  return out;
}

/** Whether a program has the icon that this project drew for it. */
export function hasIcon(bytes: Uint8Array, program: string): boolean {
  const [icon] = placesOf(bytes, RESOURCE.icon);
  if (icon === undefined) return false;
  return Buffer.compare(bytes.subarray(icon.offset, icon.offset + icon.size), iconBytes(program)) === 0;
}
