import { describe, expect, it } from "vitest";
import type { Examples } from "../../src/credit/examples.ts";
import { examples as examplesOf } from "../../src/credit/index.ts";
import type { Engine, Outputs } from "../../src/engines/engine.ts";
import { softmaxEngine } from "../../src/engines/index.ts";
import { bandit, finiteTasks, lock } from "../../src/environments/toy/index.ts";
import { clippedSurrogate, entropyBonus, klPenalty, sft } from "../../src/objectives/index.ts";
import type { StateSequence } from "../../src/policies/policy.ts";
import { stream } from "../../src/statistics/stream.ts";
import { step } from "../../src/training/step.ts";
import type { Term } from "../../src/training/step.ts";

const perToken = { aggregation: "token-mean", divisor: null } as const;
const surrogate = clippedSurrogate({ low: 0.2, high: 0.2, ...perToken });
const options = { learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };

/** An engine that notes what it was asked for. */
function watched<X>(engine: Engine<X>) {
  const calls: { name: string; rows: readonly X[] }[] = [];
  const spy = Object.create(engine, {
    forward: {
      value: (rows: readonly X[], names?: readonly string[]) => (calls.push({ name: "forward", rows }), engine.forward(rows, names)),
    },
    backward: { value: (rows: readonly X[], g: Outputs) => (calls.push({ name: "backward", rows }), engine.backward(rows, g)) },
    update: { value: (o: typeof options) => (calls.push({ name: "update", rows: [] }), engine.update(o)) },
    discard: { value: () => (calls.push({ name: "discard", rows: [] }), engine.discard()) },
  }) as Engine<X>;
  return { spy, calls, names: () => calls.map(({ name }) => name) };
}

const process = lock({ tasks: 2, length: 3, symbols: 3 });
const engineOf = () => {
  const engine = softmaxEngine(process, { optimizer: "sgd", base: (s, a) => Math.sin(s + 2 * a) });
  return engine;
};

/** Rollouts of an engine with an advantage of +1 for even last actions and -1 for odd ones, times `scale` of the task. */
async function drawn(engine: Engine<StateSequence>, scale: readonly number[] = [1, 1], seed = 1): Promise<Examples<StateSequence>> {
  const requests = finiteTasks(process).flatMap((task) => [0, 1, 2].map((i) => ({ task, group: task.id, rng: stream(seed, task.id, i) })));
  const rollouts = await engine.sample(requests, { maxActions: 3 });
  const reward = Float64Array.from(rollouts, (r) => (r.row.actions.at(-1)! % 2 === 0 ? 1 : -1) * scale[Number(r.task.id)]!);
  const group = Int32Array.from(rollouts, (r) => Number(r.task.id));
  return examplesOf({ rollouts, reward, parts: {}, keys: { group, task: group }, token: {} }, { advantage: reward });
}

describe("step", () => {
  it("takes the policy-gradient step of a bandit, by hand", async () => {
    const engine = softmaxEngine(bandit({ tasks: 1, actions: 2 }), { optimizer: "sgd" });
    const row = (action: number): StateSequence => ({ states: Int32Array.of(0), actions: Int32Array.of(action) });
    const examples: Examples<StateSequence> = {
      rows: [row(0), row(1), row(1), row(1)],
      offsets: Int32Array.of(0, 1, 2, 3, 4),
      mask: Float32Array.of(1, 1, 1, 1),
      weight: Float32Array.of(1, 1, 1, 1),
      token: { advantage: Float32Array.of(0.75, -0.25, -0.25, -0.25), behaviour: new Float32Array(4).fill(Math.log(0.5)) },
      row: {},
    };
    const result = await step(engine, [{ examples, objective: surrogate, weight: 2 }], options);
    // d loss / d w0 = -2/4 (0.75 * 0.5 + 3 * 0.25 * 0.5) = -0.375, and the opposite for w1.
    expect(engine.weights[0]).toBeCloseTo(0.0375, 7);
    expect(engine.weights[1]).toBeCloseTo(-0.0375, 7);
    expect(result).toMatchObject({ calls: 2, gap: { mean: expect.closeTo(0, 6), maximum: expect.closeTo(0, 6) } });
    expect(result.gradientNorm).toBeCloseTo(0.375 * Math.SQRT2, 6);
    expect(result.loss).toBeCloseTo(0, 6);
  });

  it("computes a row that terms share once, and adds up weighted terms", async () => {
    const engine = engineOf();
    const examples = await drawn(engine);
    const reference = { ...examples, token: { reference: examples.token["behaviour"]!.map((l) => l - 0.1) } };
    const kl = klPenalty({ estimator: "k3", coefficient: 1, ...perToken });
    const terms: Term<StateSequence>[] = [
      { examples, objective: surrogate },
      { examples: reference, objective: kl, weight: 0.5, coefficients: { coefficient: 3 } },
    ];
    const { spy, calls } = watched(engine);
    const both = await step(spy, terms, options);
    expect(calls[0]).toMatchObject({ name: "forward" });
    expect(calls[0]!.rows.length).toBe(6);
    const together = [...engine.weights];

    const apart = engineOf();
    const first = await step(apart, [terms[0]!], options);
    const alone = engineOf();
    const second = await step(alone, [terms[1]!], options);
    together.forEach((w, i) => expect(w).toBeCloseTo(apart.weights[i]! + alone.weights[i]!, 7));
    expect(both.loss).toBeCloseTo(first.loss + second.loss, 7);
    expect(second.loss).toBeCloseTo(0.5 * 3 * (Math.exp(-0.1) - 1 + 0.1), 6);
    expect(both.metrics["k3 penalty.kl"]).toBeCloseTo(second.metrics["kl"]!, 7);
    expect(both.metrics["clipped surrogate.loss"]).toBeCloseTo(first.loss, 7);
    const named = await step(
      engine,
      [
        { ...terms[0]!, name: "a" },
        { ...terms[0]!, name: "a" },
      ],
      options,
    );
    expect(Object.keys(named.metrics)).toEqual(expect.arrayContaining(["a.loss", "a 1.loss"]));
  });

  it("saves the forward call only where the gradient is known without it", async () => {
    const engine = engineOf();
    const calls = async (terms: (e: Examples<StateSequence>) => Term<StateSequence>[]) => {
      const examples = await drawn(engine);
      const { spy, names } = watched(engine);
      const result = await step(spy, terms(examples), options);
      expect(names()).toEqual(result.calls === 1 ? ["backward", "update"] : ["forward", "backward", "update"]);
      return result.calls;
    };
    const fit = sft(perToken);
    expect(await calls((examples) => [{ examples, objective: surrogate }])).toBe(1);
    expect(
      await calls((examples) => [
        { examples, objective: surrogate },
        { examples, objective: fit },
      ]),
    ).toBe(1);
    const stale = (examples: Examples<StateSequence>) => ({
      ...examples,
      origin: { ...examples.origin!, weightsVersion: examples.origin!.weightsVersion - 1 },
    });
    expect(await calls((examples) => [{ examples: stale(examples), objective: fit }])).toBe(1);
    expect(await calls((examples) => [{ examples: stale(examples), objective: surrogate }])).toBe(2);
    expect(
      await calls((examples) => [{ examples: { ...examples, origin: { ...examples.origin!, engine: "another" } }, objective: surrogate }]),
    ).toBe(2);
    expect(
      await calls((examples) => [
        { examples, objective: surrogate },
        { examples, objective: entropyBonus({ coefficient: 1, ...perToken }) },
      ]),
    ).toBe(2);
  });

  it("gives the loss at the weights before the update also when it saves the call", async () => {
    const engine = engineOf();
    const examples = await drawn(engine);
    const saved = await engine.snapshot();
    const fit = sft(perToken);
    const one = await step(engine, [{ examples, objective: fit }], options);
    await engine.restore(saved);
    const two = await step(engine, [{ examples, objective: { ...fit, linear: false } }], options);
    expect([one.calls, two.calls]).toEqual([1, 2]);
    expect(one.loss).toBeCloseTo(two.loss, 7);
    expect(one.loss).toBeCloseTo(-examples.token["behaviour"]!.reduce((sum, l) => sum + l, 0) / 18, 6);
  });

  it("corrects a sampler that computes otherwise also when it saves the call", async () => {
    const engine = engineOf();
    const examples = await drawn(engine);
    const old = examples.token["behaviour"]!;
    const behaviour = old.map((l, i) => l + (i % 3) / 5);
    const correction = old.map((l, i) => Math.exp(l - behaviour[i]!));
    const corrected = { ...examples, token: { ...examples.token, old, behaviour, correction } };
    const objective = clippedSurrogate({ low: 0.2, high: 0.2, against: "old", correction: true, ...perToken });
    const saved = await engine.snapshot();
    const one = await step(engine, [{ examples: corrected, objective }], options);
    const after = Array.from(engine.weights);
    await engine.restore(saved);
    const { origin: _, ...unknown } = corrected;
    const two = await step(engine, [{ examples: unknown, objective }], options);
    expect([one.calls, two.calls]).toEqual([1, 2]);
    after.forEach((weight, i) => expect(weight).toBeCloseTo(engine.weights[i]!, 6));
  });

  it("measures how far the trainer is from the sampler", async () => {
    const engine = engineOf();
    const examples = await drawn(engine);
    const shifted = {
      ...examples,
      token: { ...examples.token, behaviour: examples.token["behaviour"]!.map((l, i) => l + (i === 0 ? 0.5 : 0)) },
    };
    const { gap } = await step(engine, [{ examples: shifted, objective: surrogate }], options);
    expect(gap!.maximum).toBeCloseTo(0.5, 5);
    expect(gap!.mean).toBeCloseTo(0.5 / 18, 5);
    const bare = { ...examples, token: {} };
    expect((await step(engine, [{ examples: bare, objective: sft(perToken) }], options)).gap).toBeUndefined();
  });

  it("does not send rows without a gradient to backward", async () => {
    const engine = engineOf();
    const examples = await drawn(engine, [0, 1]);
    const { origin: _, ...anew } = examples;
    const { spy, calls } = watched(engine);
    await step(spy, [{ examples: anew, objective: surrogate }], options);
    expect(calls.find(({ name }) => name === "backward")!.rows).toEqual(examples.rows.slice(3));
    const none = await step(
      spy,
      [{ examples: { ...anew, token: { ...anew.token, advantage: new Float32Array(18) } }, objective: surrogate }],
      options,
    );
    expect(none.gradientNorm).toBe(0);
  });

  it("refuses what is not finite, naming term, row and task, before anything changes", async () => {
    const engine = engineOf();
    const examples = await drawn(engine);
    const { origin: _, ...anew } = examples;
    const before = await engine.snapshot();
    const at = 4 * 3 + 1;
    const spoil = (column: string, value: number) => ({
      ...anew,
      token: { ...anew.token, [column]: anew.token[column]!.map((v, i) => (i === at ? value : v)) },
    });
    const refused = async (terms: readonly Term<StateSequence>[], message: RegExp, of: Engine<StateSequence> = engine) => {
      await expect(step(of, terms, options)).rejects.toMatchObject({
        code: "non-finite",
        message: expect.stringMatching(message) as string,
      });
      expect(await engine.snapshot()).toEqual(before);
    };
    await refused(
      [{ examples: spoil("advantage", NaN), objective: surrogate, name: "pg" }],
      /Term 0 \("pg"\): .*advantage is NaN in row 4 \(task "1"\), action 1/,
    );
    await refused([{ examples: spoil("behaviour", -1e30), objective: surrogate }], /row 4|gradient|loss/);
    await refused(
      [
        { examples: anew, objective: sft(perToken) },
        { examples: anew, objective: surrogate, weight: 1e41 },
      ],
      /Term 1 \("clipped surrogate"\): the weighted gradient .* row \d/,
    );
    await refused([{ examples: anew, objective: surrogate, weight: NaN }], /weight of term 0/);

    const broken = (name: "forward" | "backward") =>
      Object.create(engine, {
        [name]: {
          value: async (rows: readonly StateSequence[], second: never) => {
            const outputs = (await engine[name](rows, second)) as Outputs;
            outputs["logProbs"]![4]![1] = -Infinity;
            return outputs;
          },
        },
      }) as Engine<StateSequence>;
    await refused([{ examples: anew, objective: surrogate }], /logProbs is -Infinity in row 4 \(task "1"\), action 1/, broken("forward"));
    // One call: the gradient is there already when the output is seen, and must be gone afterwards.
    await refused([{ examples, objective: surrogate }], /logProbs is -Infinity in row 4/, broken("backward"));
    await expect(engine.update(options)).rejects.toMatchObject({ code: "usage" });
  });

  it("needs a term, and terms that agree on their rows", async () => {
    const engine = engineOf();
    await expect(step(engine, [], options)).rejects.toMatchObject({ code: "usage" });
    await expect(
      step(engine, [{ examples: await drawn(engine), objective: klPenalty({ estimator: "k2", coefficient: 1, ...perToken }) }], options),
    ).rejects.toThrow(/Term 0 .*reference/);
  });
});
