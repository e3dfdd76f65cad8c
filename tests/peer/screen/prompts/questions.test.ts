import { expect, test } from "bun:test";
import type { Located } from "../../../../lib/peer/locate/locate.ts";
import { columnsOf } from "../../../../lib/peer/screen/columns.ts";
import { trackerLabel } from "../../../../lib/peer/screen/prompts/questions.ts";
import { addressOf } from "../../../helpers/channel.ts";

test("a tracker with a long name is listed with its whole address, which tells it from another one of that name", () => {
  const place = { name: "Computer science, room 12, second floor, left", address: addressOf("192.168.117.205"), port: 1234 };
  const shown = trackerLabel(place as Located, true, 60);
  expect(shown).toMatch(/^"Computer.*….*left" at 192\.168\.117\.205, used last$/);
  expect(columnsOf(shown)).toBe(60);
  expect(trackerLabel({ ...place, name: "Lab" } as Located, false, 60)).toBe('"Lab" at 192.168.117.205');
});
