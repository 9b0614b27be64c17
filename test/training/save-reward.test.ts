import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { withLogProbs } from "../../src/credit/index.ts";
import { hostEngine, localEngine, softmaxEngine } from "../../src/engines/index.ts";
import type { LocalEngine } from "../../src/engines/index.ts";
import { bandit } from "../../src/environments/toy/index.ts";
import { mlp, scorer, symbolTokenizer, transformer } from "../../src/policies/index.ts";
import type { ControlSequence, StateSequence, TextSequence } from "../../src/policies/index.ts";
import { learnedReward, loadReward, score, sum, textAnswer } from "../../src/rewards/index.ts";
import type { TextTask } from "../../src/environments/index.ts";
import type { Rollout } from "../../src/rollouts/index.ts";
import { normal, stream } from "../../src/statistics/index.ts";
import {
  featurePairs,
  fitReward,
  grpo,
  logRatioReward,
  monteCarloValues,
  outcomeExamples,
  outcomeReward,
  pairReward,
  preferenceReward,
  processReward,
  saveReward,
  textOutcomes,
  textPairs,
  textPrefix,
  textSteps,
} from "../../src/training/index.ts";
import { all, environment, small, tinyEngine, withEngine } from "./tiny.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-reward-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

describe("a reward on features", () => {
  const policy = scorer({ features: 2, hidden: [4] });
  const rng = stream(1, "pairs");
  const examples = featurePairs(
    Array.from({ length: 60 }, () => {
      const [one, other] = [normal(rng), normal(rng)];
      const [better, worse] = one > other ? [one, other] : [other, one];
      return { chosen: [better, normal(rng)], rejected: [worse, normal(rng)] };
    }),
  );
  const fitted = (members: number) =>
    fitReward({
      form: pairReward(),
      examples,
      engine: (seed: number) => hostEngine({ policy, seed }),
      members,
      epochs: 5,
      learningRate: 0.02,
    });
  const rows = [
    { prompt: "p", completion: "a", vector: [0.5, 1] },
    { prompt: "p", completion: "b", vector: [-1, 0] },
  ];
  const own = async (fit: Awaited<ReturnType<typeof fitted>>, m: number): Promise<number[]> => {
    const given = rows.map(({ vector }) => ({ features: Float32Array.from(vector) }));
    return (await fit.members[m]!.engine.forward(given, ["score"]))["score"]!.map(([x]) => x!);
  };

  test("is the model's score when it is read back, alone and in a sum", async () => {
    const fit = await fitted(1);
    const folder = join(root, "one");
    await saveReward(folder, fit, { name: "liked", column: "vector" });
    const liked = await loadReward(folder);
    const want = await own(fit, 0);
    (await score(liked, rows)).forEach(({ value }, i) => expect(value).toBeCloseTo(want[i]!, 5));
    const twice = await score(sum({ liked, again: liked }), rows);
    twice.forEach(({ value }, i) => expect(value).toBeCloseTo(2 * want[i]!, 5));
    expect(liked.name).toBe("liked");
    expect((await loadReward(folder, { name: "other" })).name).toBe("other");
    liked.dispose();
  });

  test("an ensemble joins its members in their own deviations", async () => {
    const fit = await fitted(3);
    const folder = join(root, "three");
    await saveReward(folder, fit, { name: "liked", column: "vector" });
    const standard = await Promise.all(
      fit.members.map(async ({ centre, scale }, m) => (await own(fit, m)).map((x) => (x - centre) / scale)),
    );
    const mean = await score(await loadReward(folder), rows);
    const least = await score(await loadReward(folder, { by: "min" }), rows);
    rows.forEach((_, i) => {
      const values = standard.map((member) => member[i]!);
      expect(mean[i]!.value).toBeCloseTo(values.reduce((a, b) => a + b) / 3, 5);
      expect(least[i]!.value).toBeCloseTo(Math.min(...values), 5);
    });
    expect(Object.keys(mean[0]!.parts!)).toEqual(["member-0", "member-1", "member-2"]);
  });

  test("a row without its features, or with others, is unscorable and says why", async () => {
    const liked = await loadReward(join(root, "one"));
    const bad = [
      { prompt: "p", completion: "a" },
      { prompt: "p", completion: "a", vector: [1, "x"] },
    ];
    const [missing, short] = await score(liked, bad, { onWarning: () => undefined });
    expect(missing).toMatchObject({ value: null, error: { kind: "missing-column" } });
    expect(short).toMatchObject({ value: null, error: { kind: "wrong-column" } });
  });

  test("what cannot be read is said with its file", async () => {
    await expect(loadReward(join(root, "none"))).rejects.toThrow(/none\/reward\.json: there is no such file/);
    const broken = join(root, "broken");
    await saveReward(broken, await fitted(1), { name: "liked" });
    const file = join(broken, "reward.json");
    const saved = readFileSync(file, "utf8");
    for (const [text, message] of [
      ["{", /reward\.json is not JSON/],
      ["{}", /is not a saved reward/],
      [saved.replace('"formatVersion": 1', '"formatVersion": 2'), /format version 2; this Guerdon reads version 1/],
      [saved.replace('"members"', '"x"'), /lacks its name, version, reading, model or members/],
      [saved.replace(/"fingerprint": "\w+"/, '"fingerprint": "0"'), /member-0\.safetensors is not the file/],
    ] as const) {
      writeFileSync(file, text);
      await expect(loadReward(broken)).rejects.toThrow(message);
    }
  });

  test("a model without a file format is refused", async () => {
    const engine = () => softmaxEngine(bandit({ tasks: 1, actions: 2 }), { scores: true });
    const walks = [0, 1].map((action): StateSequence => ({ states: Int32Array.of(0), actions: Int32Array.of(action) }));
    const notes = [0, 1].map((label) => ({ label }));
    const fit = await fitReward({ form: outcomeReward(), examples: outcomeExamples(walks, notes, () => 1), engine, heldOut: 0, epochs: 1 });
    await expect(saveReward(join(root, "walks"), fit, { name: "walks" })).rejects.toThrow(/"softmax" model has no file format/);
  });
});

test("a reward of control reads observations and actions", async () => {
  const policy = mlp({ observations: 1, actions: { kind: "categorical", count: 2 }, hidden: [4], score: true });
  const rows = [0, 1, 0, 1].map((action, i): ControlSequence => ({
    observations: Float32Array.of(i, 1),
    actions: Float32Array.of(action, 1),
  }));
  const examples = outcomeExamples(
    rows,
    rows.map(({ actions }) => ({ label: actions[0]! })),
    () => 2,
  );
  const form = outcomeReward({ read: "mean" });
  const fit = await fitReward({ form, examples, engine: (seed: number) => localEngine({ policy, seed }), heldOut: 0, epochs: 2 });
  const folder = join(root, "control");
  await saveReward(folder, fit, { name: "control" });
  const loaded = await loadReward(folder);
  const [one] = await score(loaded, [{ prompt: "p", completion: "", observations: [0, 1], actions: [0, 1] }]);
  const [a, b] = (await fit.members[0]!.engine.forward(rows, ["score"]))["score"]![0]!;
  expect(one!.value).toBeCloseTo((a! + b!) / 2, 5);
  loaded.dispose();
  fit.members[0]!.engine.dispose();
});

describe("a reward on text", () => {
  const tokenizer = symbolTokenizer(["a", "b", "c", "?", "<eos>"]);
  const shape = {
    layers: 1,
    width: 8,
    heads: 2,
    hidden: 8,
    vocabulary: 5,
    context: 16,
    norm: "rms",
    positions: "rotary",
    activation: "swiglu",
    tied: false,
  } as const;
  const model = (scoreHead: number) => transformer({ ...shape, scoreHead }, { tokenizer });
  const train = { heldOut: 0, epochs: 3, learningRate: 0.02 } as const;
  const engineOf = (scoreHead: number) => (seed: number) => localEngine<TextSequence>({ policy: model(scoreHead), seed });
  const answers = ["a a b", "b", "c a c"];
  const rows = answers.map((completion) => ({ prompt: "a ?", completion }));
  const outputs = async (engine: LocalEngine<TextSequence>, names: readonly string[]) => {
    const given = answers.map((answer) => textAnswer(tokenizer, "a ?", answer, "").row);
    return engine.forward(given, names);
  };

  test("reads prompt and completion with the tokenizer; the score stands at the end token", async () => {
    const examples = textPairs(
      [
        { prompt: "a ?", chosen: "a a", rejected: "b" },
        { chosen: "b ? b b", rejected: "b ? c" },
      ],
      tokenizer,
    );
    expect([...examples.rows[0]!.actions]).toEqual([0, 0, 4]);
    const fit = await fitReward({ ...train, form: pairReward(), examples, engine: engineOf(1) });
    await saveReward(join(root, "text"), fit, { name: "text" });
    const loaded = await loadReward(join(root, "text"), { tokenizer });
    const want = (await outputs(fit.members[0]!.engine, ["score"]))["score"]!;
    (await score(loaded, rows)).forEach(({ value }, i) => expect(value).toBeCloseTo(want[i]!.at(-1)!, 5));
    const odd = await score(loaded, [{ prompt: "a ?", completion: "z" }]);
    expect(odd[0]!.error!.message).toMatch(/Symbol 1 of "z"/);
    loaded.dispose();
    fit.members[0]!.engine.dispose();
  });

  test("a log-ratio gives each step its reward", async () => {
    const policy = transformer(shape, { tokenizer });
    const engine = (seed: number) => localEngine<TextSequence>({ policy, seed });
    const base = await engine(0);
    const labelled = textOutcomes(
      answers.map((completion, i) => ({ prompt: "a ?", completion, label: i === 0 })),
      tokenizer,
    );
    const examples = await withLogProbs(labelled, "reference", base);
    const form = logRatioReward({ beta: 0.5 });
    const fit = await fitReward({ ...train, form, examples, engine: () => engine(0) });
    const reference = { policy, parameters: await base.weights() };
    await saveReward(join(root, "ratio"), fit, { name: "ratio", reference });
    const loaded = await loadReward(join(root, "ratio"), { tokenizer, steps: true });
    const [own, other] = [await outputs(fit.members[0]!.engine, ["logProbs"]), await outputs(base, ["logProbs"])];
    const tokens = [...own["logProbs"]![0]!].map((l, j) => 0.5 * (l - other["logProbs"]![0]![j]!));
    const [one] = await score(loaded, [{ ...rows[0]!, steps: ["a a", "b"] }]);
    expect(one!.steps![0]).toBeCloseTo(tokens[0]! + tokens[1]!, 4);
    expect(one!.steps![1]).toBeCloseTo(tokens[2]! + tokens[3]!, 4);
    expect(one!.value).toBeCloseTo(
      tokens.reduce((a, b) => a + b),
      4,
    );
    const [whole] = await score(await loadReward(join(root, "ratio"), { tokenizer }), rows);
    expect(whole!.value).toBeCloseTo(one!.value!, 5);
    await saveReward(join(root, "ratio-alone"), fit, { name: "ratio" });
    await expect(loadReward(join(root, "ratio-alone"), { tokenizer })).rejects.toThrow(/give the reference policy/);
    for (const one of [loaded, base, fit.members[0]!.engine]) one.dispose();
  });

  test("a process reward has a probability for each step, and the least of them", async () => {
    const examples = textSteps(
      [
        { prompt: "a ?", steps: ["a a", "b"], labels: [true, false] },
        { prompt: "?", steps: ["c"], labels: [0.5] },
      ],
      tokenizer,
    );
    const fit = await fitReward({ ...train, form: processReward(), examples, engine: engineOf(1) });
    await saveReward(join(root, "process"), fit, { name: "process" });
    const loaded = await loadReward(join(root, "process"), { tokenizer });
    const want = (await outputs(fit.members[0]!.engine, ["score"]))["score"]![0]!;
    const [one] = await score(loaded, [{ ...rows[0]!, steps: ["a a", "b"] }]);
    expect(one!.steps![0]).toBeCloseTo(sigmoid(want[1]!), 5);
    expect(one!.steps![1]).toBeCloseTo(sigmoid(want[3]!), 5);
    expect(one!.value).toBeCloseTo(Math.min(...one!.steps!), 12);
    loaded.dispose();
    fit.members[0]!.engine.dispose();
  });

  test("a preference compares the answers to one prompt: what one gains another loses", async () => {
    const examples = textPairs(
      [
        { prompt: "a ?", chosen: "a", rejected: "b" },
        { prompt: "a ?", chosen: "b", rejected: "c" },
      ],
      tokenizer,
    );
    const form = preferenceReward({ size: 2 });
    const fit = await fitReward({ ...train, form, examples, engine: engineOf(2) });
    await saveReward(join(root, "preference"), fit, { name: "preference" });
    const loaded = await loadReward(join(root, "preference"), { tokenizer });
    expect(loaded.scope).toBe("group");
    const scores = await score(loaded, rows);
    const { "score.0": x, "score.1": y } = await outputs(fit.members[0]!.engine, ["score.0", "score.1"]);
    const v = answers.map((_, i) => [x![i]!.at(-1)!, y![i]!.at(-1)!] as const);
    const against = ([a, b]: readonly [number, number]) => v.reduce((total, [c, d]) => total + a * d - b * c, 0) / 3;
    scores.forEach(({ value }, i) => expect(value).toBeCloseTo(against(v[i]!), 5));
    expect(scores.reduce((total, { value }) => total + value!, 0)).toBeCloseTo(0, 6);
    loaded.dispose();
    fit.members[0]!.engine.dispose();
  });
});

test("a policy trains against a reward that was fitted to texts", () =>
  withEngine(async (policy) => {
    const { symbols } = environment;
    const tokenizer = symbolTokenizer(symbols!);
    const made = (await policy.sample(
      Array.from({ length: 6 }, (_, i) => ({ task: environment.draw("train", stream(1, "task", i)), group: `${i}`, rng: stream(1, i) })),
      { maxActions: environment.maxActions },
    )) as readonly Rollout<TextSequence, TextTask>[];
    const rows = made.map(({ task, completion }, i) => ({ prompt: task.prompt, completion: completion!, label: i % 2 === 0 }));
    const fit = await fitReward({
      form: outcomeReward(),
      examples: textOutcomes(rows, tokenizer),
      engine: (seed: number) => tinyEngine(environment, seed, { scoreHead: true }),
      heldOut: 0,
      epochs: 2,
    });
    const engine = fit.members[0]!.engine;
    const liked = learnedReward({
      name: "liked",
      version: "1",
      reading: fit.form.reading,
      reader: engine,
      row: ({ prompt, completion }) => textAnswer(tokenizer, prompt, completion, "the answer"),
      actions: ({ actions }) => actions.length,
    });
    const [report] = await all({ ...small, engine: policy, reward: liked, method: grpo({ as: "trl", groupSize: 4 }), steps: 1 });
    expect(report!.gradientNorm).toBeGreaterThan(0);
    expect(report!.rollouts!.drawn.every(({ reward }) => reward !== null)).toBe(true);
    engine.dispose();
  }));

test("a language model's prefixes are valued by continuing them", () =>
  withEngine(async (engine) => {
    const tasks = [0, 1].map((i) => environment.draw("train", stream(2, "task", i)));
    const rollouts = await engine.sample(
      tasks.map((task, i) => ({ task, group: `${i}`, rng: stream(2, i) })),
      { maxActions: environment.maxActions },
    );
    const length = ({ mask }: Rollout) => mask.length;
    const { values, drawnActions } = await monteCarloValues(engine, rollouts, {
      ends: (rollout) => [1, length(rollout)],
      prefix: textPrefix,
      success: (of) => of.map(({ row }) => Number(row.actions[0] === rollouts[0]!.row.actions[0])),
      continuations: 3,
      maxActions: environment.maxActions,
      seed: 0,
    });
    // Continuations keep their first action, so the value is that of the whole answer.
    for (const [prefix, whole] of values) expect(prefix).toBe(whole);
    expect(drawnActions).toBeGreaterThan(0);
    const wrong = { ends: () => [99], prefix: textPrefix, success: () => [], continuations: 1, maxActions: 1, seed: 0 };
    await expect(monteCarloValues(engine, rollouts, wrong)).rejects.toThrow(/cannot be cut after 99/);
  }));

test("a learned reward is also made of any reader, and a log-ratio needs its reference", () => {
  const form = logRatioReward({ beta: 1 });
  const made = () =>
    learnedReward({
      name: "r",
      version: "1",
      reading: form.reading,
      reader: softmaxEngine(bandit({ tasks: 1, actions: 2 })),
      row: () => ({ row: { states: Int32Array.of(0), actions: Int32Array.of(0) } }),
      actions: () => 1,
    });
  expect(made).toThrow(/log-ratio: give the reference/);
});
