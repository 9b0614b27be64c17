import { describe, expect, test } from "vitest";
import { hostEngine } from "../../src/engines/index.ts";
import { scorer } from "../../src/policies/index.ts";
import { below, normal, stream } from "../../src/statistics/index.ts";
import {
  crossValidate,
  errorLocalisation,
  featureOutcomes,
  featurePairs,
  fitReward,
  outcomeReward,
  pairReward,
  preferenceReward,
  processReward,
  readRewards,
  stepExamples,
} from "../../src/training/index.ts";
import type { FitOptions, FitProgress, PairNotes } from "../../src/training/index.ts";
import type { FeatureSequence } from "../../src/policies/index.ts";

const policy = scorer({ features: 3, hidden: [8] });
const engine = (seed: number) => hostEngine({ policy, seed });
const vector = (rng: () => number): number[] => Array.from({ length: 3 }, () => normal(rng));
const worth = ([a, b, c]: readonly number[]): number => 2 * a! - b! + 0.5 * c! * c!;

/** Pairs of vectors, the better one first; every third stands in a group of its own. */
function pairs(count: number, notes: (gap: number) => PairNotes = () => ({})) {
  const rng = stream(1, "pairs");
  return Array.from({ length: count }, (_, i) => {
    const [one, other] = [vector(rng), vector(rng)];
    const [chosen, rejected] = worth(one) > worth(other) ? [one, other] : [other, one];
    return { chosen, rejected, ...(i % 3 === 0 ? {} : { group: `prompt ${i % 40}` }), ...notes(worth(chosen) - worth(rejected)) };
  });
}
const options = (more: Partial<FitOptions<FeatureSequence>> = {}) => ({
  form: pairReward(),
  examples: featurePairs(pairs(300)),
  engine,
  epochs: 20,
  learningRate: 0.03,
  ...more,
});

describe("a scorer", () => {
  test("has the derivative that differences show", async () => {
    const small = scorer({ features: 3, hidden: [4, 3], scores: 2 });
    const rng = stream(3, "scorer");
    const rows = [0, 1].map(() => ({ features: Float32Array.from(vector(rng)) }));
    const parameters = Object.fromEntries(
      Object.entries(small.init(0)).map(([name, { data }]) => [name, Float64Array.from(data, (x) => x + 0.1 * normal(rng))]),
    );
    const gradients = { "score.0": [Float32Array.of(1), Float32Array.of(-0.5)], "score.1": [Float32Array.of(0.25), Float32Array.of(2)] };
    const into = Object.fromEntries(Object.entries(parameters).map(([name, p]) => [name, new Float64Array(p.length)]));
    small.backward(parameters, rows, gradients, into);
    const value = (): number => {
      const out = small.forward(parameters, rows, ["score.0", "score.1"]);
      return Object.entries(gradients).reduce((sum, [name, g]) => sum + g.reduce((s, [d], i) => s + d! * out[name]![i]![0]!, 0), 0);
    };
    for (const [name, p] of Object.entries(parameters))
      for (let k = 0; k < p.length; k++) {
        const at = p[k]!;
        p[k] = at + 1e-2;
        const high = value();
        p[k] = at - 1e-2;
        const low = value();
        p[k] = at;
        expect(Math.abs((high - low) / 0.02 - into[name]![k]!), `${name} ${k}`).toBeLessThan(2e-3);
      }
  });

  test("refuses widths and features that do not fit", () => {
    expect(() => scorer({ features: 0, hidden: [] })).toThrow(/at least 1, not 0/);
    expect(() => policy.forward({}, [{ features: new Float32Array(2) }], ["score"])).toThrow("Row 0 has 2 features; the scorer takes 3.");
  });
});

describe("fitReward", () => {
  test("learns what pairs say, the same each time, and tells of each epoch", async () => {
    const told: FitProgress[] = [];
    const fit = await fitReward(options({ onProgress: (one) => told.push(one) }));
    expect(fit.heldOut!.accuracy).toBeGreaterThan(0.9);
    expect(fit.heldOut!.areaUnderCurve).toBeNull();
    expect(told.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(told.at(-1)!.loss).toBeLessThan(told[0]!.loss / 2);
    const again = await fitReward(options());
    expect(again.heldOut).toEqual(fit.heldOut);
    expect(again.members[0]!.engine).not.toBe(fit.members[0]!.engine);
    expect((await fitReward(options({ seed: 1 }))).heldOut).not.toEqual(fit.heldOut);
  });

  test("pairs of one group are never apart: a split sees whole groups", async () => {
    const one = pairs(40).map((pair) => ({ ...pair, group: "the only prompt" }));
    await expect(fitReward(options({ examples: featurePairs(one) }))).rejects.toThrow(/1 task, too few to hold some out/);
    const { heldOut } = await fitReward({ ...options({ examples: featurePairs(one) }), heldOut: 0, epochs: 1 });
    expect(heldOut).toBeNull();
  });

  test("members differ by their bootstrap and their seed; each fold is measured on what it has not seen", async () => {
    const fit = await fitReward({ ...options(), members: 3, epochs: 15 });
    expect(fit.members).toHaveLength(3);
    expect(new Set(fit.members.map(({ centre }) => centre)).size).toBe(3);
    expect(fit.heldOut!.accuracy).toBeGreaterThan(0.9);
    const folds = await crossValidate({ ...options({ epochs: 5 }), folds: 4 });
    expect(folds.reduce((sum, { count }) => sum + count, 0)).toBe(300);
    for (const { accuracy } of folds) expect(accuracy).toBeGreaterThan(0.85);
  });

  test("soft labels, margins and ties are read where the form asks for them", async () => {
    const noted = pairs(200, (gap) => ({ label: 1 / (1 + Math.exp(-gap)), margin: 0.1 * gap, tie: gap < 0.3 }));
    const examples = featurePairs(noted);
    const soft = await fitReward(options({ examples, form: pairReward({ softLabels: true }) }));
    // The labels are the truth of a Bradley-Terry world, and a soft loss finds it: its probabilities are right.
    expect(soft.heldOut!.brier).toBeLessThan(0.02);
    for (const form of [pairReward({ margin: true }), pairReward({ ties: 2 })])
      expect((await fitReward(options({ examples, form }))).heldOut!.accuracy).toBeGreaterThan(0.85);
  });

  test("outcomes: a probability that is right as a probability", async () => {
    const rng = stream(2, "outcomes");
    const rows = Array.from({ length: 600 }, () => {
      const features = vector(rng);
      return { features, label: rng() < 1 / (1 + Math.exp(-worth(features))) };
    });
    const fit = await fitReward({ ...options({ form: outcomeReward() }), examples: featureOutcomes(rows) });
    expect(fit.heldOut!.count).toBe(120);
    expect(fit.heldOut!.areaUnderCurve).toBeGreaterThan(0.8);
    expect(fit.heldOut!.calibrationError).toBeLessThan(0.15);
  });

  test("a preference that goes round in circles", async () => {
    const rng = stream(4, "ring");
    const made = Array.from({ length: 400 }, () => {
      const [one, other] = [2 * Math.PI * rng(), 2 * Math.PI * rng()];
      const [chosen, rejected] = (Math.sin(other - one) > 0 ? [one, other] : [other, one]).map((x) => [Math.cos(x), Math.sin(x), 1]);
      return { chosen: chosen!, rejected: rejected! };
    });
    const form = preferenceReward({ size: 4, normalise: true, temperature: 0.3 });
    const ring = (scores: number) => (seed: number) => hostEngine({ policy: scorer({ features: 3, hidden: [8], scores }), seed });
    const examples = featurePairs(made);
    expect((await fitReward({ ...options({ form, examples }), engine: ring(4) })).heldOut!.accuracy).toBeGreaterThan(0.93);
    expect((await fitReward({ ...options({ examples }), engine: ring(1) })).heldOut!.accuracy).toBeLessThan(0.7);
    await expect(fitReward({ ...options({ form, examples }), engine: ring(1) })).rejects.toThrow(
      /needs the output score.0, score.1, score.2, score.3, and the engine's policy has score/,
    );
  });

  test("stops when asked", async () => {
    await expect(fitReward(options({ signal: AbortSignal.abort() }))).rejects.toMatchObject({ code: "interrupted" });
  });
});

describe("what is wrong with data is said before anything is fitted", () => {
  const good = { chosen: [1, 2, 3], rejected: [0, 0, 0] };
  test.each([
    [() => featurePairs([good, { chosen: [1, NaN, 3], rejected: [1, 2, 3] }]), /^pair 2, chosen: number 2 of the features is NaN/],
    [() => featurePairs([good, { ...good, rejected: [1, 2] }]), "pair 2, rejected has 2 features and pair 1, chosen has 3"],
    [() => featurePairs([{ ...good, label: 1.5 }]), "pair 1: label is 1.5; it must be from 0 to 1."],
    [() => featurePairs([]), "There are no pairs."],
    [() => featureOutcomes([{ features: [1], label: -1 }]), "row 1: label is -1"],
    [() => stepExamples([{ actions: [1, 2] }], [[1, 2]], [[1]], () => 2), "row 1 has 2 steps and 1 labels"],
    [() => stepExamples([{ actions: [1, 2] }], [[2, 2]], [[1, 1]], () => 2), "row 1: step 2 ends after 2 actions"],
  ])("%#", (make, message) => expect(make).toThrow(message));

  test("examples of another kind, and numbers out of range", async () => {
    const outcomes = featureOutcomes([0, 1].map((label) => ({ features: [1, 2, 3], label })));
    await expect(fitReward(options({ examples: outcomes }))).rejects.toThrow(/"bradley-terry" needs pairs; the examples have none/);
    await expect(fitReward(options({ form: outcomeReward() }))).rejects.toThrow(/needs the row column label/);
    await expect(fitReward(options({ form: processReward() }))).rejects.toThrow(/needs the token column label/);
    await expect(fitReward({ ...options(), members: 0 })).rejects.toThrow(/members is 0/);
    await expect(fitReward({ ...options(), heldOut: 1 })).rejects.toThrow(/heldOut is 1/);
    await expect(crossValidate({ ...options(), folds: 1 })).rejects.toThrow(/folds is 1/);
    await expect(crossValidate({ ...options({ examples: featurePairs(pairs(2)) }), folds: 3 })).rejects.toThrow(/at least as many tasks/);
  });
});

test("the first error of an answer is where its lowest score lies; a tie is found by chance", async () => {
  const right = [
    [true, false, true],
    [true, true, false],
    [false, false, true],
    [true, true, true],
  ];
  const scores = [
    [0.9, 0.1, 0.5],
    [0.2, 0.9, 0.2],
    [0, 0, 0],
    [0, 0, 0],
  ];
  expect(errorLocalisation(scores, right)).toBe((1 + 0.5) / 2);
  expect(() => errorLocalisation(scores.slice(2), right.slice(2))).toThrow(/exactly one wrong step/);
});

test("rewards are read off examples", async () => {
  const rng = stream(6, "read");
  const examples = featureOutcomes([{ features: vector(rng), label: below(rng, 2) }]);
  const own = engine(0);
  const [read] = await readRewards(outcomeReward(), own, examples);
  expect(read!.numbers[0]).toBe((await own.forward(examples.rows, ["score"]))["score"]![0]![0]);
});
