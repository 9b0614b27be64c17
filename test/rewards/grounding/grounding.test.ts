import fc from "fast-check";
import { expect, test } from "vitest";
import {
  boxGIoU,
  boxIoU,
  boxMatch,
  detectionMatch,
  detectionPrecision,
  edgeAgreement,
  odLength,
  pointInBox,
  pointMatch,
  score,
  screenBox,
  timeIoU,
  timeMatch,
  type Box,
  type Reward,
  type TimeSpan,
} from "../../../src/rewards/index.ts";

const gold = [12, 8, 32, 20] as const;
const answered = (completion: string) => ({ prompt: "p", completion });

test("boxes on a screen: GUI-G1's known answer", async () => {
  const found = [10, 10, 30, 20] as const;
  expect(boxIoU(found, gold)).toBeCloseTo(0.6923077, 7);
  expect(edgeAgreement(found, gold, [100, 50])).toBeCloseTo(0.9797959, 7);
  const { value, parts } = await score(screenBox(), { ...answered("[10, 10, 30, 20]"), box: gold, image_size: [100, 50] });
  expect(value).toBeCloseTo(1.2955514, 7);
  expect(parts!["hit"]).toBe(1);
  expect(edgeAgreement([-200, 0, 10, 10], gold, [100, 50])).toBe(0);
});

test("generalised IoU keeps falling with the distance", () => {
  expect(boxGIoU([0, 0, 1, 1], [1, 0, 2, 1])).toBe(0);
  // Hull 3 x 1, of which one third is not covered.
  expect(boxGIoU([0, 0, 1, 1], [2, 0, 3, 1])).toBeCloseTo(-1 / 3, 12);
  expect(boxGIoU([0, 0, 2, 2], [1, 1, 3, 3])).toBeCloseTo(1 / 7 - 2 / 9, 12);
});

test("boxes in answers", async () => {
  const values = async (completions: readonly string[]) =>
    (
      await score(
        boxMatch(),
        completions.map((completion) => ({ ...answered(completion), box: gold })),
      )
    ).map(({ value }) => value);
  expect(
    await values([
      "[12, 8, 32, 20]",
      '```json\n{"bbox_2d": [12, 8, 32, 20], "label": "x"}\n```',
      '[{"bbox_2d": [12, 8, 32, 20]}, {"bbox_2d": [0, 0, 1, 1]}]',
      "It is at (12, 8, 32, 20).",
      "<box>[12.0, 8, 32, 20]</box>",
      "[32, 8, 12, 20]",
      "nothing",
      "12, 8, 32, 20",
    ]),
  ).toEqual([1, 1, 1, 1, 1, 0, 0, 0]);
  expect((await score(boxMatch({ by: "giou" }), { ...answered("nothing"), box: gold })).value).toBe(-1);
  for (const box of [[3, 0, 1, 1], [1, 2, 3], [0, 0, 1, Number.NaN], "x"])
    expect((await score(boxMatch(), { ...answered("[0,0,1,1]"), box: box as unknown as Box })).error!.kind).toBe("wrong-column");
});

test("points in boxes", async () => {
  expect([pointInBox([12, 8], gold), pointInBox([33, 8], gold)]).toEqual([true, false]);
  const values = (
    await score(
      pointMatch(),
      ["click(20, 10)", "[20, 10]", "(1, 1)", "?"].map((completion) => ({ ...answered(completion), box: gold })),
    )
  ).map(({ value }) => value);
  expect(values).toEqual([1, 1, 0, 0]);
});

const thing = (label: string, x: number) => ({ label, box: [x, 0, x + 10, 10] as const });
const two = [thing("cat", 0), thing("dog", 100)];
const padded = [...two, thing("cat", 300), thing("dog", 400)];

test("detection: VLM-R1's known answer", async () => {
  expect(detectionPrecision(padded, two)).toBe(1);
  expect(odLength(padded, two)).toBe(0.5);
  const completion = JSON.stringify(padded.map(({ label, box }) => ({ label, bbox_2d: box })));
  expect((await score(detectionMatch(), { ...answered(completion), boxes: two })).value).toBe(0.5);
  expect((await score(detectionMatch({ length: false }), { ...answered(completion), boxes: two })).value).toBe(1);
});

test("detection: order, labels, misses and empty gold", async () => {
  // The wrong box first: precision 1/2 up to recall 0.5, 2/3 up to 1.
  expect(detectionPrecision([thing("cat", 300), ...two], two)).toBeCloseTo(2 / 3, 12);
  // One of two found: 51 of 101 recalls.
  expect(detectionPrecision([two[0]!], two)).toBeCloseTo(51 / 101, 12);
  expect(detectionPrecision([thing("dog", 0)], [two[0]!])).toBe(0);
  // A gold box is taken once.
  expect(odLength([two[0]!, two[0]!], [two[0]!])).toBe(0.5);
  expect([detectionPrecision([], []), detectionPrecision(two, []), detectionPrecision([], two)]).toEqual([1, 0, 0]);
  expect((await score(detectionMatch(), { ...answered("[]"), boxes: [] })).value).toBe(1);
  const unreadable = '[{"label": "cat", "box": [0, 0, 10, 10]}, {"label": "cat", "box": "here"}]';
  expect((await score(detectionMatch(), { ...answered(unreadable), boxes: [two[0]!] })).value).toBe(0.5);
  expect((await score(detectionMatch(), { ...answered("x"), boxes: [{ label: "cat", box: [1, 0, 0, 0] }] })).error!.kind).toBe(
    "wrong-column",
  );
  expect(() => detectionMatch({ threshold: 0 })).toThrow(/above 0/);
});

test("spans of time: Temporal-RLT's known answer", async () => {
  expect(timeIoU([0.2, 0.5], [0.4, 0.8])).toBeCloseTo(1 / 6, 7);
  expect(timeIoU([0.2, 0.5], [0.4, 0.8], "hull")).toBeCloseTo(1 / 6, 7);
  expect([timeIoU([0, 1], [2, 3]), timeIoU([0, 1], [2, 3], "hull"), timeIoU([1, 1], [1, 1])]).toEqual([0, 0, 1]);
  const values = await score(
    timeMatch(),
    ["[2, 4]", "from 2 to 4", "(2, 4) seconds", "4 to 2", "never"].map((completion) => ({
      ...answered(completion),
      span: [2, 6] as const,
    })),
  );
  expect(values.map(({ value }) => value)).toEqual([0.5, 0.5, 0.5, 0, 0]);
  expect((await score(timeMatch(), { ...answered("[0, 1]"), span: [2, 1] })).error!.kind).toBe("wrong-column");
});

const edge = fc.oneof(fc.integer({ min: -50, max: 50 }), fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e150, max: 1e150 }));
const sorted = (a: number, b: number): [number, number] => (a <= b ? [a, b] : [b, a]);
const anyBox = fc.tuple(edge, edge, edge, edge).map(([a, b, c, d]): Box => {
  const [[x1, x2], [y1, y2]] = [sorted(a, b), sorted(c, d)];
  return [x1, y1, x2, y2];
});
const anySpan = fc.tuple(edge, edge).map(([a, b]): TimeSpan => sorted(a, b));

test("overlaps are in range, symmetric, and 1 for the same", () => {
  fc.assert(
    fc.property(anyBox, anyBox, (a, b) => {
      for (const [f, least] of [
        [boxIoU, 0],
        [boxGIoU, -1],
      ] as const) {
        expect(f(a, b)).toBeGreaterThanOrEqual(least);
        expect(f(a, b)).toBeLessThanOrEqual(1);
        expect(f(a, b)).toBeCloseTo(f(b, a), 9);
        expect(f(a, a)).toBe(1);
      }
      expect(boxGIoU(a, b)).toBeLessThanOrEqual(boxIoU(a, b) + 1e-9);
    }),
    { seed: 1 },
  );
  fc.assert(
    fc.property(anySpan, anySpan, fc.constantFrom("union" as const, "hull" as const), (a, b, form) => {
      expect(timeIoU(a, b, form)).toBeGreaterThanOrEqual(0);
      expect(timeIoU(a, b, form)).toBeLessThanOrEqual(1);
      expect(timeIoU(a, b, form)).toBeCloseTo(timeIoU(b, a, form), 9);
      expect(timeIoU(a, a, form)).toBe(1);
    }),
    { seed: 1 },
  );
});

test("arbitrary answers never throw and stay in range", async () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom(...Array.from('[](){}<>,.:-"0123456789eE labelbox')) }),
  );
  await fc.assert(
    fc.asyncProperty(text, async (completion) => {
      const row = { ...answered(completion), box: gold, image_size: [100, 50] as const, boxes: two, span: [1, 2] as const };
      const cases: readonly (readonly [Reward<typeof row>, number, number])[] = [
        [boxMatch(), 0, 1],
        [boxMatch({ by: "giou" }), -1, 1],
        [screenBox(), 0, 1.375],
        [pointMatch(), 0, 1],
        [detectionMatch(), 0, 1],
        [timeMatch(), 0, 1],
      ];
      for (const [one, least, most] of cases) {
        const { value } = await score(one, row);
        expect(value).toBeGreaterThanOrEqual(least);
        expect(value).toBeLessThanOrEqual(most);
      }
    }),
    { seed: 1 },
  );
});
