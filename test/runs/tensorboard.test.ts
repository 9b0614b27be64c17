import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { crc32c, eventFileHeader, scalarsEvent } from "../../src/training/runs/tensorboard.ts";

const golden = new URL("../golden/tensorboard/", import.meta.url);

test("CRC-32C of the standard check string", () => {
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array())).toBe(0);
});

test("the bytes are those that TensorBoard's reader accepted", () => {
  const bytes = Buffer.concat([
    eventFileHeader(1700000000.5),
    scalarsEvent(1700000001.25, 1, { reward: 0.5, loss: -1.5, gone: null }),
    scalarsEvent(1700000002, 300, { reward: 0.75, "kl/mean": 1e-3 }),
  ]);
  expect(bytes.equals(readFileSync(new URL("events.out.tfevents.0.guerdon", golden)))).toBe(true);
  // What test/golden/read_events.py read out of that file.
  expect(JSON.parse(readFileSync(new URL("scalars.json", golden), "utf8"))).toEqual({
    reward: [
      [1700000001.25, 1, 0.5],
      [1700000002, 300, 0.75],
    ],
    loss: [[1700000001.25, 1, -1.5]],
    "kl/mean": [[1700000002, 300, Math.fround(1e-3)]],
  });
});
