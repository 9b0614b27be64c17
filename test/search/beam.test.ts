import { describe, expect, test } from "vitest";
import { softmaxEngine } from "../../src/engines/index.ts";
import { chain, prefixTree } from "../../src/environments/toy/index.ts";
import type { StateSequence, TextSequence } from "../../src/policies/index.ts";
import { beamSearch, finiteSteps, textSteps, type Stepwise } from "../../src/search/index.ts";
import { normal, stream } from "../../src/statistics/stream.ts";
import { environment, tinyEngine } from "../training/tiny.ts";

/** Sequences over a, b and an end, with probabilities by prefix; every prefix that is not named is sure to end. */
function book(pages: Readonly<Record<string, readonly [a: number, b: number, end: number]>>): Stepwise<string> {
  return {
    logProbs: async (states) => states.map((prefix) => (pages[prefix] ?? [0, 0, 1]).map(Math.log)),
    next: (prefix, action) => (action === 2 ? null : prefix + "ab"[action]),
  };
}

describe("beam search", () => {
  test("finds what greedy decoding misses", async () => {
    // Greedy takes a (0.6), after which everything is split; b leads to one sure answer.
    const steps = book({ "": [0.6, 0.4, 0], a: [0.3, 0.3, 0.4] });
    const [greedy] = await beamSearch(steps, "", { width: 1, maxActions: 4 });
    expect(greedy!.actions).toEqual([0, 2]);
    expect(greedy!.score).toBeCloseTo(Math.log(0.24), 12);
    const [best, second] = await beamSearch(steps, "", { width: 2, maxActions: 4 });
    expect(best).toMatchObject({ actions: [1, 2], finished: true });
    expect(best!.score).toBeCloseTo(Math.log(0.4), 12);
    expect(second!.actions).toEqual([0, 2]);
  });

  test("a finished sequence waits until nothing open can overtake it", async () => {
    // Ending at once has 0.45; going on has 0.55 and then loses half.
    const steps = book({ "": [0.55, 0, 0.45], a: [0.5, 0.5, 0] });
    expect((await beamSearch(steps, "", { width: 1, maxActions: 5 }))[0]!.actions).toEqual([0, 0, 2]);
    expect((await beamSearch(steps, "", { width: 2, maxActions: 5 }))[0]!.actions).toEqual([2]);
    let calls = 0;
    const counted: Stepwise<string> = { ...steps, logProbs: (states) => (calls++, steps.logProbs(states)) };
    const sure = book({ "": [0.1, 0, 0.9] });
    expect(
      (await beamSearch({ ...counted, logProbs: (s) => (calls++, sure.logProbs(s)) }, "", { width: 1, maxActions: 50 }))[0]!.actions,
    ).toEqual([2]);
    expect(calls).toBe(1);
  });

  test("what is still open at the end is cut, and stands behind what ended", async () => {
    const endless = book({ "": [0.9, 0, 0.1], a: [0.9, 0, 0.1], aa: [1, 0, 0] });
    const found = await beamSearch(endless, "", { width: 3, maxActions: 2 });
    expect(found.map(({ actions, finished }) => [actions.join(""), finished])).toEqual([
      ["2", true],
      ["02", true],
      ["00", false],
    ]);
  });

  test("against a reference it prefers what the reference rarely says", async () => {
    const steps = book({ "": [0.7, 0.3, 0] });
    const reference = book({ "": [0.9, 0.1, 0] });
    const [best] = await beamSearch(steps, "", { width: 2, maxActions: 3, against: reference });
    expect(best!.actions).toEqual([1, 2]);
    expect(best!.score).toBeCloseTo(Math.log(3), 12);
    expect(best!.logProb).toBeCloseTo(Math.log(0.3), 12);
    // What the reference forbids has no ratio.
    const forbids = book({ "": [1, 0, 0] });
    expect((await beamSearch(steps, "", { width: 2, maxActions: 3, against: forbids })).map(({ actions }) => actions[0])).toEqual([0]);
  });

  test("as wide as there are sequences it is the most probable one", async () => {
    const process = prefixTree({ length: 3, symbols: 3 });
    for (let seed = 0; seed < 5; seed++) {
      const rng = stream(seed, "logits");
      const engine = softmaxEngine(process, { base: () => 2 * normal(rng) });
      const found = await beamSearch(finiteSteps(process, engine), 0, { width: 27, maxActions: 3 });
      expect(found.length).toBe(27);
      const rows = found.map(({ actions }): StateSequence => {
        const states = [0];
        for (const a of actions.slice(0, -1)) states.push(process.next(states.at(-1)!, a, rng));
        return { states: Int32Array.from(states), actions: Int32Array.from(actions) };
      });
      const { logProbs } = await engine.forward(rows);
      const sums = logProbs!.map((row) => row.reduce((a, b) => a + b, 0));
      for (const [i, sum] of sums.entries()) expect(found[i]!.score).toBeCloseTo(sum, 5);
      expect(sums.every((sum, i) => i === 0 || sum <= sums[i - 1]! + 1e-6)).toBe(true);
      const narrow = await beamSearch(finiteSteps(process, engine), 0, { width: 1, maxActions: 3 });
      expect(narrow[0]!.score).toBeLessThanOrEqual(found[0]!.score + 1e-12);
    }
  });

  test("searches the answers of a language model", async () => {
    const engine = await tinyEngine(environment);
    try {
      const { tokenizer } = engine.policy;
      const [task] = [environment.draw("train", stream(1, "task"))];
      const start: TextSequence = { prompt: tokenizer!.encodePrompt(task.prompt), actions: new Int32Array(0) };
      const steps = textSteps(engine, { vocabulary: tokenizer!.vocabulary, ends: tokenizer!.end === null ? [] : [tokenizer!.end] });
      const [logs] = await steps.logProbs([start]);
      expect(Array.from(logs!).reduce((sum, l) => sum + Math.exp(l), 0)).toBeCloseTo(1, 5);
      const found = await beamSearch(steps, start, { width: 2, maxActions: 3 });
      const rows = found.map(({ actions }) => ({ ...start, actions: Int32Array.from(actions) }));
      const { logProbs } = await engine.forward(rows);
      for (const [i, { score }] of found.entries())
        expect(score).toBeCloseTo(
          logProbs![i]!.reduce((a, b) => a + b, 0),
          4,
        );
      // Greedy decoding is sampling at temperature 0.
      const [greedy] = await beamSearch(steps, start, { width: 1, maxActions: 3 });
      const [sampled] = await engine.sample([{ task, group: "g", rng: stream(1, "x") }], { maxActions: 3, temperature: 0 });
      expect(greedy!.actions).toEqual([...sampled!.row.actions]);
    } finally {
      engine.dispose();
      engine.policy.dispose();
    }
  });

  test("refuses what it cannot search", async () => {
    const steps = book({ "": [0.5, 0.5, 0] });
    await expect(beamSearch(steps, "", { width: 0, maxActions: 3 })).rejects.toMatchObject({ code: "usage" });
    await expect(beamSearch(steps, "", { width: 1, maxActions: 1.5 })).rejects.toMatchObject({ code: "usage" });
    const broken: Stepwise<string> = { ...steps, logProbs: async (states) => states.map(() => [Number.NaN]) };
    await expect(beamSearch(broken, "", { width: 1, maxActions: 1 })).rejects.toMatchObject({ code: "non-finite" });
    const slippery = chain({ length: 4, horizon: 4, slip: 0.1 });
    const walk = beamSearch(finiteSteps(slippery, softmaxEngine(slippery)), 0, { width: 1, maxActions: 2 });
    await expect(walk).rejects.toMatchObject({ code: "unsupported" });
  });
});
