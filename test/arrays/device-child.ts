/** Work for device.test.ts and webgpu.test.ts: prints as JSON what a device computes. Arguments: the device, what to compute, threads. */
import * as A from "../../src/arrays/index.ts";
import type { Arrays } from "../../src/arrays/index.ts";
import { demonstrations } from "../../src/credit/index.ts";
import { localEngine } from "../../src/engines/index.ts";
import { fingerprint } from "../../src/engines/snapshots.ts";
import { sorting } from "../../src/environments/index.ts";
import { sft } from "../../src/objectives/index.ts";
import { symbolTokenizer, transformer } from "../../src/policies/index.ts";
import { stream } from "../../src/statistics/index.ts";
import { step } from "../../src/training/step.ts";
import { expectSameOnBothKernels, type TestInputs } from "../kit/kernels.ts";

const [device, what, threads = "1"] = process.argv.slice(2) as ["wasm" | "webgpu", string, string?];
const place = { device, threads: Number(threads) };
await A.startArrays(place);
const jobs: Record<string, () => Promise<unknown>> = { functions, train, ends, failure };
console.log(JSON.stringify(await jobs[what]!()));

/** Values and gradients against float64: one function for each kind of kernel. */
async function functions(): Promise<string> {
  const floats = (...shape: number[]) => ({
    shape,
    data: Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 1.5 * Math.sin(7 * i + 2)),
  });
  const x = { x: floats(3, 4) };
  const indices = { shape: [3], data: [2, 0, 2], whole: true } as const;
  const cases: [f: (inputs: Arrays) => A.Arr, inputs: TestInputs][] = [
    [({ x }) => A.logSoftmax(x!.add(A.host([3], []))).mul(A.host([1, 2, 3], [3, 1])), x],
    [({ x }) => A.gelu(A.softplus(x!), { approximate: false }).add(A.silu(A.tanh(x!))), x],
    [({ x }) => A.log(A.square(x!).add(0.1)).add(A.log1p(A.exp(x!))), x],
    [({ x }) => A.where(x!.greater(0), x!, A.clip(x!, -0.5, 0.5)).max(0), x],
    [({ x, y }) => A.matmul(x!, y!.transpose([0, 2, 1])), { x: floats(2, 3, 4), y: floats(2, 5, 4) }],
    [({ x, k }) => A.take(x!, k!).mul(A.oneHot(k!, 4)), { x: floats(3, 4), k: indices }],
    [({ x, k }) => A.take(x!, k!), { x: floats(300, 4), k: indices }],
    [({ x }) => A.cumsum(A.concat([x!, x!.slice(1, 1, 3)], 1), 1), x],
    [({ x }) => A.square(x!).sum(), { x: floats(1031) }],
  ];
  for (const [f, inputs] of cases) await expectSameOnBothKernels(f, inputs);
  return "same";
}

/** A one-layer transformer trained for six steps of six chunks: losses, log-probabilities and sampled answers. */
async function train() {
  const environment = sorting({ count: 3, highest: 5 });
  const tokenizer = symbolTokenizer(environment.symbols ?? []);
  const policy = transformer(
    {
      layers: 1,
      width: 16,
      heads: 2,
      vocabulary: tokenizer.vocabulary,
      context: 16,
      norm: "layer",
      positions: "learned",
      activation: "gelu",
      tied: false,
    },
    { tokenizer },
  );
  const engine = await localEngine({ policy, seed: 1, cells: 32, ...place });
  const draw = (at: number, i: number) => {
    const task = environment.draw("train", stream(1, "task", at, i));
    const answer = environment.demonstrate?.(task, stream(1, "answer", at, i)) ?? "";
    return { prompt: tokenizer.encodePrompt(task.prompt), actions: Int32Array.from([...tokenizer.encode(answer), tokenizer.end ?? 0]) };
  };
  const losses: number[] = [];
  const norms: number[] = [];
  for (let at = 0; at < 6; at++) {
    const rows = Array.from({ length: 22 }, (_, i) => draw(at, i));
    const made = await step(engine, [{ examples: demonstrations(rows), objective: sft({ aggregation: "token-mean", divisor: null }) }], {
      learningRate: 5e-3,
      beta1: 0.9,
      beta2: 0.99,
      epsilon: 1e-8,
      clipNorm: 1,
    });
    losses.push(made.loss);
    norms.push(made.gradientNorm!);
  }
  const rows = Array.from({ length: 22 }, (_, i) => draw(9, i));
  const outputs = await engine.forward(rows, ["logProbs", "entropy"]);
  const requests = [0, 1, 2].map((i) => ({
    task: environment.draw("test", stream(1, "test", i)),
    group: `${i}`,
    rng: stream(1, "rollout", i),
  }));
  const rollouts = await engine.sample(requests, { maxActions: 5, record: ["entropy"] });
  const again = await engine.forward(rollouts.map((rollout) => rollout.row));
  const flat = (arrays: readonly Float32Array[]) => arrays.flatMap((row) => [...row]);
  const result = {
    losses,
    norms,
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, perRow]) => [name, flat(perRow)])),
    behaviour: flat(rollouts.map((rollout) => rollout.behaviourLogProbs)),
    forward: flat(again["logProbs"]!),
    completions: rollouts.map((rollout) => rollout.completion),
    weights: fingerprint(await engine.weights()),
  };
  engine.dispose();
  policy.dispose?.();
  return result;
}

/** Where float32 ends, and whole numbers there and back. JSON has no words for what is not finite. */
async function ends() {
  const program = A.compile((x: A.Arr, k: A.Arr) => ({
    log: A.log(x),
    log1p: A.log1p(x.sub(1)),
    rows: A.take(x, k),
    many: A.take(A.concat([x, A.host(new Float32Array(300), [300])], 0), k),
    k,
  }));
  const made = program.run(
    { shape: [5], data: Float32Array.of(0, -2, Infinity, NaN, 1) },
    { shape: [3], data: Int32Array.of(-1, 4, 2_000_000_011) },
  );
  const read = await A.readAll(made);
  return Object.fromEntries(Object.entries(read).map(([name, { data }]) => [name, [...data].join(" ")]));
}

/** An array larger than the card's largest, of which only a sum is read. */
async function failure() {
  console.error = () => {}; // the library reports each error there too
  const program = A.compile((x: A.Arr) => x.reshape([-1, 1]).add(A.cumsum(x.reshape([1, -1]), 1)));
  const total = A.compile((x: A.Arr) => x.slice(0, 0, 2).sum(1));
  const attempt = (f: () => Promise<unknown>) => f().catch((error: Error) => error.message);
  return [
    await attempt(async () => [...(await total.run(program.run({ shape: [200_000], data: new Float32Array(200_000) })).read())]),
    await attempt(async () => [...(await total.run({ shape: [4, 4], data: new Float32Array(16) }).read())]),
  ];
}
