import { describe, expect, it } from "vitest";
import type { Examples } from "../../src/credit/examples.ts";
import type { Engine, Outputs, UpdateOptions } from "../../src/engines/engine.ts";
import type { Task } from "../../src/environments/environment.ts";
import { gradientOf, clippedSurrogate, outputsOf, sft } from "../../src/objectives/index.ts";
import type { Objective } from "../../src/objectives/index.ts";
import type { HostTensor } from "../../src/statistics/snapshot.ts";
import { shuffled, stream } from "../../src/statistics/stream.ts";
import { step } from "../../src/training/step.ts";
import { cases } from "./cases.ts";
import { fusedGradient } from "./fused.ts";
import type { Model, Numbered } from "./fused.ts";

type Numbers = Readonly<Record<string, ArrayLike<number>>>;

/** An engine under test, and a second way to compute what it computes. */
export interface Subject<X> {
  readonly engine: Engine<X>;
  /** A copy of all parameters, as exact as the engine's own. */
  weights(): Promise<Record<string, Numbered>>;
  /** The same model as one function; null when it cannot be had (a remote model). */
  readonly model: Model<X> | null;
  /** Random ragged rows. */
  rows(count: number, seed: number): X[];
  actions(row: X): number;
  /** Tasks to sample; null when the policy does not answer tasks. */
  readonly tasks: readonly Task[] | null;
  dispose(): void;
}

const options: UpdateOptions = { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, clipNorm: 1, weightDecay: 0.01 };
/** An update after which Adam's first moment is the gradient itself, and the weights are as before. */
const still: UpdateOptions = { learningRate: 0, beta1: 0, beta2: 0, epsilon: 1 };

/** Largest difference, relative to the largest number of `b`, over all arrays together. */
export function distance(a: Numbers, b: Numbers): number {
  expect(Object.keys(a).sort()).toEqual(Object.keys(b).sort());
  let largest = 0;
  let difference = 0;
  for (const [name, y] of Object.entries(b)) {
    const x = a[name]!;
    expect(x.length, name).toBe(y.length);
    for (let i = 0; i < y.length; i++) {
      if (!Number.isFinite(x[i]!) || !Number.isFinite(y[i]!)) return Infinity;
      largest = Math.max(largest, Math.abs(y[i]!));
      difference = Math.max(difference, Math.abs(x[i]! - y[i]!));
    }
  }
  return largest === 0 ? difference : difference / largest;
}

const data = (tensors: Readonly<Record<string, Numbered>>): Numbers =>
  Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t.data]));

/**
 * What any engine must do.
 *
 * @param make a new engine with the same weights at each call; `cells` asks for chunks of at most so many cells, and may be ignored
 * @param gradientOfEngine reads and clears the accumulated gradient, by parameter name
 */
export function engineContract<X>(
  name: string,
  make: (options: { readonly cells?: number }) => Promise<Subject<X>>,
  gradientOfEngine: (engine: Engine<X>) => Promise<Numbers>,
): void {
  const using = async (f: (subject: Subject<X>) => Promise<void>, o: { readonly cells?: number } = {}): Promise<void> => {
    const subject = await make(o);
    try {
      await f(subject);
    } finally {
      subject.dispose();
    }
  };
  const gradient = async (engine: Engine<X>, objective: Objective, examples: Examples<X>): Promise<Numbers> => {
    const outputs = await engine.forward(examples.rows, outputsOf(objective));
    await engine.backward(examples.rows, gradientOf(objective, examples, outputs).gradients);
    return gradientOfEngine(engine);
  };
  const everyCase = async (subject: Subject<X>, count = 6) => {
    const rows = subject.rows(count, 1);
    return cases(
      rows,
      rows.map((row) => subject.actions(row)),
      await subject.engine.forward(rows, subject.engine.outputs),
    );
  };
  const oneCase = async (subject: Subject<X>, count = 6) =>
    (await everyCase(subject, count)).find((c) => c.name === "clipped surrogate, row mean, dual clip")!;
  const ones = (subject: Subject<X>, rows: readonly X[], scale = -0.1): Outputs => ({
    logProbs: rows.map((row, i) => new Float32Array(subject.actions(row)).fill(scale * (i + 1))),
  });
  const train = async (subject: Subject<X>, seed: number): Promise<void> => {
    const rows = subject.rows(4, seed);
    await subject.engine.backward(rows, ones(subject, rows));
    await subject.engine.update(options);
  };

  describe(`${name}: engine contract`, () => {
    it("has the gradient of one fused program, for every objective", () =>
      using(async (subject) => {
        if (subject.model === null) return;
        const weights = await subject.weights();
        for (const { name: objectiveName, objective, examples } of await everyCase(subject)) {
          const whole = await fusedGradient(subject.model, weights, objective, examples);
          expect(distance(await gradient(subject.engine, objective, examples), whole), objectiveName).toBeLessThan(1e-5);
        }
      }));

    it("does not depend on how rows are cut into chunks, nor on their order", async () => {
      let large: Numbers = {};
      let outputs: Outputs = {};
      await using(async (subject) => {
        const { objective, examples } = await oneCase(subject, 11);
        outputs = await subject.engine.forward(examples.rows);
        large = await gradient(subject.engine, objective, examples);
        const order = shuffled([...examples.rows.keys()], stream(3, "order"));
        const mixed = reorder(examples, order);
        expect(distance(await gradient(subject.engine, objective, mixed), large)).toBeLessThan(2e-6);
        const again = await subject.engine.forward(mixed.rows);
        order.forEach((from, to) =>
          expect(distance({ x: again["logProbs"]![to]! }, { x: outputs["logProbs"]![from]! })).toBeLessThan(1e-6),
        );
      });
      await using(
        async (subject) => {
          const { objective, examples } = await oneCase(subject, 11);
          expect(distance(await gradient(subject.engine, objective, examples), large)).toBeLessThan(2e-6);
          (await subject.engine.forward(examples.rows))["logProbs"]!.forEach((row, i) =>
            expect(distance({ x: row }, { x: outputs["logProbs"]![i]! })).toBeLessThan(1e-6),
          );
        },
        { cells: 64 },
      );
    });

    it("is not changed by a masked row, whatever its columns hold", () =>
      using(async (subject) => {
        for (const { name: objectiveName, objective, examples } of await everyCase(subject)) {
          const before = await gradient(subject.engine, objective, examples);
          const [extra] = subject.rows(1, 99);
          const length = subject.actions(extra!);
          const longer = (column: Float32Array, count: number, value: number): Float32Array =>
            Float32Array.from([...column, ...new Float32Array(count).fill(value)]);
          const padded: Examples<X> = {
            ...examples,
            rows: [...examples.rows, extra!],
            offsets: Int32Array.from([...examples.offsets, examples.offsets.at(-1)! + length]),
            mask: longer(examples.mask, length, 0),
            weight: longer(examples.weight, 1, 1),
            token: Object.fromEntries(Object.entries(examples.token).map(([key, column]) => [key, longer(column, length, NaN)])),
            row: Object.fromEntries(Object.entries(examples.row).map(([key, column]) => [key, longer(column, 1, 7)])),
          };
          expect(distance(await gradient(subject.engine, objective, padded), before), objectiveName).toBeLessThan(2e-6);
        }
      }));

    it("adds up backward calls until the update, and forgets them on discard", () =>
      using(async (subject) => {
        const { engine } = subject;
        const rows = subject.rows(7, 2);
        const all = ones(subject, rows);
        const part = (from: number, to: number): Outputs => ({ logProbs: all["logProbs"]!.slice(from, to) });
        await engine.backward(rows, all);
        const whole = await gradientOfEngine(engine);
        await engine.backward(rows.slice(0, 3), part(0, 3));
        await engine.backward(rows.slice(3), part(3, 7));
        expect(distance(await gradientOfEngine(engine), whole)).toBeLessThan(2e-6);
        await engine.backward(rows, all);
        await engine.discard();
        await engine.backward(rows, all);
        expect(distance(await gradientOfEngine(engine), whole)).toBe(0);
      }));

    it("returns from backward the outputs of its own pass, in the order given", () =>
      using(async (subject) => {
        const rows = subject.rows(5, 3);
        const forward = await subject.engine.forward(rows);
        const backward = await subject.engine.backward(rows, ones(subject, rows));
        expect(Object.keys(backward)).toEqual(["logProbs"]);
        rows.forEach((row, i) => {
          expect(backward["logProbs"]![i]!.length).toBe(subject.actions(row));
          expect(distance({ x: backward["logProbs"]![i]! }, { x: forward["logProbs"]![i]! })).toBeLessThan(1e-6);
        });
        await subject.engine.discard();
      }));

    it("goes on from a snapshot to the same bits", () =>
      using((first) =>
        using(async (second) => {
          await train(first, 10);
          await train(first, 11);
          const saved = await first.engine.snapshot();
          const json = JSON.parse(JSON.stringify(saved.json)) as typeof saved.json;
          await second.engine.restore({ ...saved, json });
          expect(second.engine.weightsVersion).toBe(first.engine.weightsVersion);
          for (const subject of [first, second]) await train(subject, 12);
          expect(data(await second.weights())).toEqual(data(await first.weights()));
          expect((await second.engine.snapshot()).tensors).toEqual((await first.engine.snapshot()).tensors);
          // Back in the same engine: version numbers come again with other weights, so the id must not.
          const id = first.engine.id;
          await first.engine.restore(saved);
          expect(first.engine.id).not.toBe(id);
          await train(first, 12);
          expect(data(await first.weights())).toEqual(data(await second.weights()));
        }),
      ));

    it("refuses a snapshot of something else, or while a gradient waits", () =>
      using(async (subject) => {
        const saved = await subject.engine.snapshot();
        await expect(subject.engine.restore({ ...saved, json: { engine: "other" } })).rejects.toMatchObject({ code: "input" });
        // A service keeps the tensors, and its snapshot has none.
        for (const missing of Object.keys(saved.tensors).slice(0, 1)) {
          const tensors = Object.fromEntries(Object.entries(saved.tensors).filter(([key]) => key !== missing));
          await expect(subject.engine.restore({ ...saved, tensors })).rejects.toThrow(missing);
        }
        const rows = subject.rows(2, 4);
        await subject.engine.backward(rows, ones(subject, rows));
        await expect(subject.engine.snapshot()).rejects.toMatchObject({ code: "usage" });
        await subject.engine.discard();
        await subject.engine.snapshot();
      }));

    it("freezes a reader that later updates and restores leave alone", () =>
      using(async (subject) => {
        const rows = subject.rows(3, 5);
        const saved = await subject.engine.snapshot();
        const reader = await subject.engine.freeze();
        const before = await subject.engine.forward(rows);
        await train(subject, 13);
        expect(await reader.forward(rows)).toEqual(before);
        expect(await subject.engine.forward(rows)).not.toEqual(before);
        await subject.engine.restore(saved);
        expect(await reader.forward(rows)).toEqual(before);
        expect(await subject.engine.forward(rows)).toEqual(before);
        reader.dispose?.();
      }));

    it("freezes a reader that answers tasks as the engine did then, and says that it was not the engine", () =>
      using(async (subject) => {
        const { engine, tasks } = subject;
        if (tasks === null) return;
        const ask = (from: Pick<Engine<X>, "sample">) =>
          from.sample(
            tasks.map((task, i) => ({ task, group: String(i), rng: stream(4, "frozen", i) })),
            { maxActions: 3 },
          );
        const before = await ask(engine);
        const reader = await engine.freeze();
        await train(subject, 13);
        const after = await ask({ sample: reader.sample!.bind(reader) });
        expect(after.map(({ row, behaviourLogProbs }) => ({ row, behaviourLogProbs }))).toEqual(
          before.map(({ row, behaviourLogProbs }) => ({ row, behaviourLogProbs })),
        );
        expect(after[0]!.sampling.engine).not.toBe(before[0]!.sampling.engine);
        await expect(reader.sample!([], { maxActions: 1, record: ["x"] })).rejects.toThrow(/no output "x"/);
        reader.dispose?.();
      }));

    it("counts updates, and starts the optimizer afresh when asked", () =>
      using(async (subject) => {
        const { engine } = subject;
        const version = engine.weightsVersion;
        await train(subject, 14);
        await train(subject, 14);
        expect(engine.weightsVersion).toBe(version + 2);
        // A fresh Adam's first step moves weights by the learning rate (times g / (|g| + epsilon)); old moments would make it longer or shorter.
        await engine.resetOptimizer();
        const before = data(await subject.weights());
        const rows = subject.rows(4, 15);
        await engine.backward(rows, ones(subject, rows));
        await engine.update({ learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-12 });
        const after = data(await subject.weights());
        const moved = Object.entries(after).flatMap(([key, x]) => Array.from(x, (v, i) => Math.abs(v - before[key]![i]!)));
        expect(Math.max(...moved)).toBeCloseTo(0.01, 5);
        expect(moved.filter((d) => d > 1e-6 && d < 0.0099).length).toBeLessThan(0.05 * moved.length);
      }));

    it("clips the gradient to a norm, and reports it as it was", () =>
      using(async (subject) => {
        const { engine } = subject;
        const rows = subject.rows(4, 20);
        const saved = await engine.snapshot();
        // With so large an epsilon Adam's step is the gradient, times the learning rate over epsilon.
        const plain: UpdateOptions = { learningRate: 1e5, beta1: 0, beta2: 0, epsilon: 1e6 };
        const moved = async (o: UpdateOptions) => {
          await engine.restore(saved);
          const before = data(await subject.weights());
          await engine.backward(rows, ones(subject, rows));
          const { gradientNorm } = await engine.update(o);
          const after = data(await subject.weights());
          return { gradientNorm, by: Object.entries(after).flatMap(([key, x]) => Array.from(x, (v, i) => v - before[key]![i]!)) };
        };
        const free = await moved(plain);
        expect(Math.hypot(...free.by) / (0.1 * free.gradientNorm!)).toBeCloseTo(1, 3);
        const clipped = await moved({ ...plain, clipNorm: free.gradientNorm! / 4 });
        expect(clipped.gradientNorm).toBe(free.gradientNorm);
        expect(distance({ x: clipped.by.map((d) => 4 * d) }, { x: free.by })).toBeLessThan(1e-3);
        const wide = await moved({ ...plain, clipNorm: 2 * free.gradientNorm! });
        expect(distance({ x: wide.by }, { x: free.by })).toBeLessThan(1e-6);
        expect((await moved({ ...plain, clipNorm: null })).by).toEqual(free.by);
      }));

    it("refuses an update whose numbers would spoil the weights; the gradient still waits", () =>
      using(async (subject) => {
        const { engine } = subject;
        const before = data(await subject.weights());
        const rows = subject.rows(2, 21);
        await engine.backward(rows, ones(subject, rows));
        for (const bad of [
          { learningRate: NaN },
          { learningRate: -1 },
          { beta1: 1 },
          // 1, 0 and infinite as float32.
          { beta1: 1 - 1e-12 },
          { epsilon: 1e-50 },
          { learningRate: 1e40 },
          { beta2: -0.1 },
          { epsilon: 0 },
          { clipNorm: 0 },
          { weightDecay: Infinity },
        ])
          await expect(engine.update({ ...options, ...bad })).rejects.toMatchObject({
            code: "usage",
            message: expect.stringContaining(Object.keys(bad)[0]!) as string,
          });
        expect(data(await subject.weights())).toEqual(before);
        await engine.update(options);
      }));

    it("refuses a gradient that is not finite: nothing changes and the next step is clean", () =>
      using(async (subject) => {
        const { engine } = subject;
        await train(subject, 16);
        const before = await engine.snapshot();
        const rows = subject.rows(3, 6);
        const bad = ones(subject, rows);
        bad["logProbs"]![1]![0] = Infinity;
        await engine.backward(rows, bad);
        await expect(engine.update(options)).rejects.toMatchObject({ code: "non-finite" });
        expect(await engine.snapshot()).toEqual(before);
        await train(subject, 17);
        const weights = data(await subject.weights());
        await engine.restore(before);
        await train(subject, 17);
        expect(data(await subject.weights())).toEqual(weights);
      }));

    it("says what is wrong with a call", () =>
      using(async (subject) => {
        const { engine } = subject;
        const rows = subject.rows(3, 7);
        await expect(engine.forward(rows, ["logprobs"])).rejects.toThrow(/no output "logprobs".*"logProbs"/);
        await expect(engine.backward(rows, { advantage: ones(subject, rows)["logProbs"]! })).rejects.toThrow(/no output "advantage"/);
        await expect((await engine.freeze()).forward(rows, ["x"])).rejects.toThrow(/no output "x"/);
        await expect(engine.update(options)).rejects.toThrow(/backward/);
        await expect(engine.backward(rows, {})).rejects.toMatchObject({ code: "usage" });
        await expect(engine.backward(rows, { logProbs: ones(subject, rows)["logProbs"]!.slice(1) })).rejects.toThrow(/2 rows.*3 rows/);
        const long = ones(subject, rows)["logProbs"]!.map((g, i) => (i === 2 ? new Float32Array(g.length + 1) : g));
        await expect(engine.backward(rows, { logProbs: long })).rejects.toThrow(/row 2/);
        await expect(engine.update(options)).rejects.toMatchObject({ code: "usage" });
      }));

    it("takes an empty batch", () =>
      using(async (subject) => {
        expect(await subject.engine.forward([])).toEqual({ logProbs: [] });
        expect(await subject.engine.backward([], { logProbs: [] })).toEqual({ logProbs: [] });
        expect(await subject.engine.update(options)).toEqual({ gradientNorm: 0 });
      }));

    it("draws rollouts whose log-probabilities are its forward pass, so that one call does for two", () =>
      using((one) =>
        using(async (two) => {
          const { engine, tasks } = one;
          if (tasks === null) return;
          await train(one, 18);
          await train(two, 18);
          const asked = () =>
            tasks.flatMap((task) => [0, 1, 2].map((i) => ({ task, group: task.id, rng: stream(5, "rollout", task.id, i) })));
          const requests = asked();
          const rollouts = await engine.sample(requests, { maxActions: 5 });
          const other = await two.engine.sample(asked(), { maxActions: 5 });
          expect(other.map(({ row }) => row)).toEqual(rollouts.map(({ row }) => row));
          const rows = rollouts.map(({ row }) => row);
          const lengths = rows.map((row) => one.actions(row));
          const offsets = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))]);
          const cells = offsets.at(-1)!;
          rollouts.forEach((rollout, i) => {
            expect(rollout).toMatchObject({
              task: requests[i]!.task,
              group: requests[i]!.group,
              sampling: { engine: engine.id, temperature: 1, topK: 0, topP: 1 },
              weightsVersion: engine.weightsVersion,
            });
            expect([...rollout.mask]).toEqual(Array.from({ length: lengths[i]! }, () => 1));
          });
          const noise = stream(6, "advantage");
          const examples: Examples<X> = {
            rows,
            offsets,
            mask: new Float32Array(cells).fill(1),
            weight: new Float32Array(rows.length).fill(1),
            token: {
              advantage: Float32Array.from({ length: cells }, () => noise() - 0.5),
              behaviour: Float32Array.from(rollouts.flatMap((r) => [...r.behaviourLogProbs])),
            },
            row: {},
          };
          const saved = await engine.snapshot();
          for (const objective of [
            clippedSurrogate({ low: 0.2, high: 0.2, aggregation: "token-mean", divisor: null }),
            sft({ aggregation: "token-mean", divisor: null }),
          ]) {
            await engine.restore(saved);
            const origin = { engine: engine.id, weightsVersion: engine.weightsVersion };
            const short = await step(engine, [{ examples: { ...examples, origin }, objective }], options);
            const once = data(await one.weights());
            await engine.restore(saved);
            const dear = objective.linear ? { ...objective, linear: false } : objective;
            const full = await step(engine, [{ examples, objective: dear }], options);
            expect([short.calls, full.calls]).toEqual([1, 2]);
            expect(short.gap!.maximum).toBeLessThan(1e-4);
            expect(short.loss).toBeCloseTo(full.loss, 5);
            expect(distance(once, data(await one.weights()))).toBeLessThan(1e-6);
          }
        }),
      ));
  });
}

/** The gradient through an optimizer that keeps it: for engines whose snapshots hold Adam's first moment as "first/<name>". */
export async function gradientBySnapshot<X>(engine: Engine<X>, read: (tensor: HostTensor) => ArrayLike<number>): Promise<Numbers> {
  await engine.update(still);
  const { tensors } = await engine.snapshot();
  const out = Object.fromEntries(
    Object.entries(tensors).flatMap(([key, t]) => (key.startsWith("first/") ? [[key.slice("first/".length), read(t)]] : [])),
  );
  await engine.resetOptimizer();
  return out;
}

function reorder<X>(examples: Examples<X>, order: readonly number[]): Examples<X> {
  const { offsets, mask, weight, token, row, rows } = examples;
  const cells = (column: Float32Array): Float32Array =>
    Float32Array.from(order.flatMap((i) => [...column.subarray(offsets[i], offsets[i + 1])]));
  const lengths = order.map((i) => offsets[i + 1]! - offsets[i]!);
  const all = (columns: Readonly<Record<string, Float32Array>>, f: (column: Float32Array) => Float32Array) =>
    Object.fromEntries(Object.entries(columns).map(([key, column]) => [key, f(column)]));
  const perRow = (column: Float32Array): Float32Array => Float32Array.from(order, (i) => column[i]!);
  return {
    rows: order.map((i) => rows[i]!),
    offsets: Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))]),
    mask: cells(mask),
    weight: perRow(weight),
    token: all(token, cells),
    row: all(row, perRow),
  };
}
