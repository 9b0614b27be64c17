import { describe, expect, test } from "vitest";
import { health, healthWatch, type FindingKind, type Vitals } from "../../src/training/health.ts";
import { stream } from "../../src/statistics/stream.ts";

/** A step of a healthy run of the main job: 16 groups of 16 answers with 12 tokens each. */
const vitals = (index: number, change: Partial<Vitals> = {}): Vitals => ({
  index,
  reward: { mean: 0.65, deviation: 0.47 },
  groups: { count: 16, identical: 3 },
  signal: true,
  entropy: 0.2,
  lengths: { mean: 12, cut: 0, limit: 12 },
  coverage: { scored: 256, total: 256, reasons: {}, silent: [] },
  gap: { mean: 1e-7 },
  parts: { correct: { deviation: 0.4, explains: 1 } },
  heldOut: null,
  ...change,
});

/** Ten steps of trouble after three healthy ones; returns what is said, by step. */
function said(change: (step: number) => Partial<Vitals>): { index: number; kind: FindingKind; sentence: string }[] {
  const watch = healthWatch();
  const out = [];
  for (let index = 1; index <= 13; index++)
    for (const finding of watch.add(vitals(index, index <= 3 ? {} : change(index - 3)))) out.push({ index, ...finding });
  return out;
}

const cases: readonly (readonly [FindingKind, (step: number) => Partial<Vitals>, string])[] = [
  [
    "no-signal",
    () => ({
      reward: { mean: 0, deviation: 0 },
      signal: false,
      groups: { count: 32, identical: 32 },
      parts: { correct: { deviation: 0, explains: 0 } },
    }),
    "All 32 groups had identical rewards (mean 0): no gradient.",
  ],
  [
    "parts-cancel",
    () => ({
      signal: false,
      groups: { count: 16, identical: 16 },
      parts: { correct: { deviation: 0.5, explains: 0 }, brief: { deviation: 0.5, explains: 0 } },
    }),
    "The parts of the reward vary (correct, brief) but cancel in the sum",
  ],
  [
    "one-part-dominates",
    () => ({ parts: { length: { deviation: 90, explains: 0.99 }, correct: { deviation: 0.5, explains: 0.03 } } }),
    'The part "length" alone explains 99 % of the differences in reward; the other parts (correct) hardly count.',
  ],
  ["cut-answers", () => ({ lengths: { mean: 11, cut: 0.62, limit: 12 } }), "62 % of answers are cut by the length limit of 12 tokens"],
  ["entropy-collapse", (step) => ({ entropy: 0.2 * 0.5 ** step }), "Entropy collapsed from 0.2 to "],
  ["length-drift", (step) => ({ lengths: { mean: 12 + 4 * step, cut: 0, limit: 100 } }), "Answers went from 12 to "],
  [
    "low-coverage",
    () => ({ coverage: { scored: 100, total: 256, reasons: { timeout: 150, threw: 6 }, silent: [] } }),
    "answers could be scored (",
  ],
  [
    "silent-part",
    () => ({ coverage: { scored: 256, total: 256, reasons: {}, silent: ["judge"] } }),
    'The part "judge" of the reward scored nothing',
  ],
  [
    "held-out-gap",
    (step) => (step === 9 ? { reward: { mean: 0.65, deviation: 0.4 }, heldOut: { mean: 0.3, low: 0.26, high: 0.34 } } : {}),
    "held-out reward only 0.3 [0.26, 0.34]",
  ],
  ["sampler-gap", () => ({ gap: { mean: 0.2 } }), "differ by 0.2 nats a token"],
];

describe("each known failure is said within ten steps, once, and nothing else is said", () => {
  test.each(cases)("%s", (kind, change, words) => {
    const findings = said(change);
    expect(findings.map((f) => f.kind)).toEqual([kind]);
    expect(findings[0]!.sentence).toContain(words);
    expect(findings[0]!.index - 3).toBeLessThanOrEqual(10);
  });

  test("answers that differ but are none of them accepted are told apart from identical ones", () => {
    const findings = said(() => ({ signal: false, reward: { mean: 0.4, deviation: 0.1 } }));
    expect(findings.map((f) => f.sentence)).toEqual([
      expect.stringContaining("No answer of the last 3 steps gave the method anything") as string,
    ]);
  });

  test("groups of one kind are no trouble for a method that learns from them all the same", () =>
    expect(said(() => ({ groups: { count: 16, identical: 16 }, reward: { mean: 1, deviation: 0 } }))).toEqual([]));

  test("a reward that scored nothing is named as such", () => {
    const silent = { scored: 0, total: 8, reasons: { "missing-column": 8 }, silent: [] };
    const reports = [1, 2, 3].map((i) => vitals(i, { coverage: silent }));
    expect(health(reports, reports).map((f) => f.sentence)).toContain("The reward scored nothing: none of 24 answers (24 missing-column).");
  });
});

test("a healthy run says nothing: the main job's series, with the noise of its batches, on 20 seeds", () => {
  for (let seed = 0; seed < 20; seed++) {
    const rng = stream(seed, "healthy");
    const watch = healthWatch();
    for (let index = 1; index <= 250; index++) {
      const share = index / 250;
      const reward = 0.64 + 0.28 * share + 0.06 * (rng() - 0.5);
      const findings = watch.add(
        vitals(index, {
          reward: { mean: reward, deviation: Math.sqrt(reward * (1 - reward)) },
          groups: { count: 16, identical: Math.min(15, Math.floor(2 + 10 * share + 4 * rng())) },
          entropy: 0.25 * (1 - 0.8 * share) * (0.8 + 0.4 * rng()),
          heldOut: index % 50 === 0 ? { mean: reward - 0.05, low: reward - 0.08, high: reward - 0.02 } : null,
        }),
      );
      expect(findings).toEqual([]);
    }
  }
});

test("one odd batch says nothing", () => {
  const findings = said((step) => (step === 5 ? { groups: { count: 16, identical: 16 }, lengths: { mean: 12, cut: 0.9, limit: 12 } } : {}));
  expect(findings).toEqual([]);
});

test("a pattern that persists is said once; one that returns after more than ten steps is said again", () => {
  const watch = healthWatch();
  const heard: number[] = [];
  for (let index = 1; index <= 40; index++) {
    const bad = index <= 10 || index > 30;
    if (watch.add(vitals(index, bad ? { gap: { mean: 0.3 } } : {})).length > 0) heard.push(index);
  }
  expect(heard).toEqual([3, 33]);
});

test("a restored watch says what an uninterrupted one says", async () => {
  const change = (index: number) => vitals(index, index > 7 ? { lengths: { mean: 40, cut: 0.5, limit: 60 } } : {});
  const whole = healthWatch();
  const expected = [];
  for (let i = 1; i <= 14; i++) expected.push(whole.add(change(i)));
  const before = healthWatch();
  for (let i = 1; i <= 8; i++) before.add(change(i));
  const saved = JSON.parse(JSON.stringify(await before.snapshot()));
  const after = healthWatch();
  await after.restore(saved);
  const rest = [];
  for (let i = 9; i <= 14; i++) rest.push(after.add(change(i)));
  expect(rest).toEqual(expected.slice(8));
});
