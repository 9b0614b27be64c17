import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as A from "../../src/arrays/index.ts";
import type { Arr, Arrays } from "../../src/arrays/index.ts";
import { expectClose, onDevice, onHost } from "../kit/kernels.ts";

// Made by test/golden/arrays.py with PyTorch in float64.
interface Entry {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
type Entries = Readonly<Record<string, Entry>>;
const golden = JSON.parse(readFileSync(new URL("../golden/arrays.json", import.meta.url), "utf8")) as {
  functions: Record<string, { inputs: Entries; result: Entry; gradient: Entries }>;
  adamw: { start: Entries; steps: { gradient: Entries; norm: number; clipped: Entries; parameters: Entries }[] };
};

function attention(q: Arr, k: Arr, v: Arr): Arr {
  const [T, d] = q.shape.slice(-2) as [number, number];
  const causal = A.host(
    Array.from({ length: T * T }, (_, i) => (i % T <= Math.floor(i / T) ? 1 : 0)),
    [T, T],
  );
  const scores = A.matmul(q, k.transpose([0, 1, 3, 2])).div(Math.sqrt(d));
  return A.matmul(A.softmax(A.where(causal, scores, -1e30)), v);
}

const rms = (x: Arr): Arr => A.sqrt(A.square(x).mean(-1, true).add(1e-5));
const functions: Record<string, (i: Arrays<"x" | "g" | "b" | "q" | "k" | "v">) => Arr> = {
  "gelu exact": ({ x }) => A.gelu(x, { approximate: false }),
  "gelu tanh": ({ x }) => A.gelu(x, { approximate: true }),
  silu: ({ x }) => A.silu(x),
  softplus: ({ x }) => A.softplus(x),
  logSigmoid: ({ x }) => A.logSigmoid(x),
  logSoftmax: ({ x }) => A.logSoftmax(x),
  logSumExp: ({ x }) => A.logSumExp(x),
  attention: ({ q, k, v }) => attention(q, k, v),
  "layer norm": ({ x, g, b }) => {
    const centered = x.sub(x.mean(-1, true));
    return centered.div(rms(centered)).mul(g).add(b);
  },
  "rms norm": ({ x, g }) => x.div(rms(x)).mul(g),
};

/** onHost and onDevice weight the result by their own numbers; here it is 1, 2, 3, ..., as in the Python file. */
const counted = (y: Arr): Arr =>
  A.host(
    Array.from({ length: y.shape.reduce((a, b) => a * b, 1) }, (_, i) => i + 1),
    y.shape,
  );

for (const [name, { inputs, result, gradient }] of Object.entries(golden.functions)) {
  const f = functions[name]!;
  test(`${name} as in PyTorch`, async () => {
    const arrays = Object.fromEntries(Object.entries(inputs).map(([key, { data, shape }]) => [key, A.host(data, shape)]));
    const outcome = A.valueAndGradient(
      (parameters) => {
        const y = f(parameters);
        return { value: y.mul(counted(y)).sum(), aux: { y } };
      },
      arrays as Arrays<"x" | "g" | "b" | "q" | "k" | "v">,
    );
    expect(outcome.aux.y.shape).toEqual(result.shape);
    expectClose("value", A.values(outcome.aux.y), result.data, 1e-12);
    for (const [key, g] of Object.entries<Arr>(outcome.gradient))
      expectClose(`gradient of ${key}`, A.values(g), gradient[key]!.data, 1e-12);

    const [compiled, reference] = [await onDevice(f as (i: Arrays) => Arr, inputs), onHost(f as (i: Arrays) => Arr, inputs)];
    expectClose("value when compiled", compiled.result, result.data, 5e-6);
    for (const [key, g] of Object.entries(reference.gradient))
      expectClose(`gradient of ${key} when compiled`, compiled.gradient[key]!, g, 1e-5);
  });
}

test("global norm, clipping and AdamW as in PyTorch, on both kernels", async () => {
  const settings = { learningRate: 0.02, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 };
  const update = (state: { p: Arrays; m: Arrays; v: Arrays }, gradient: Arrays, bias1: Arr | number, bias2: Arr | number) => {
    const norm = A.globalNorm(gradient);
    const clipped = A.clipByGlobalNorm(gradient, 1.5, norm);
    const next: { p: Record<string, Arr>; m: Record<string, Arr>; v: Record<string, Arr> } = { p: {}, m: {}, v: {} };
    for (const name of Object.keys(gradient)) {
      const { parameter, m, v } = A.adamw(state.p[name]!, clipped[name]!, state.m[name]!, state.v[name]!, { ...settings, bias1, bias2 });
      Object.assign(next.p, { [name]: parameter });
      Object.assign(next.m, { [name]: m });
      Object.assign(next.v, { [name]: v });
    }
    return { next, norm, clipped };
  };
  const { start, steps } = golden.adamw;
  const arrays = (entries: Entries) =>
    Object.fromEntries(Object.entries(entries).map(([name, { data, shape }]) => [name, A.host(data, shape)]));
  const zeros = (entries: Entries) =>
    arrays(Object.fromEntries(Object.entries(entries).map(([name, e]) => [name, { ...e, data: e.data.map(() => 0) }])));
  const tensors = (from: Arrays) =>
    Object.fromEntries(Object.entries(from).map(([name, a]) => [name, A.upload({ shape: a.shape, data: Float32Array.from(A.values(a)) })]));

  await A.startArrays();
  const program = A.compile(update);
  let state: { p: Arrays; m: Arrays; v: Arrays } = { p: arrays(start), m: zeros(start), v: zeros(start) };
  let device = { p: tensors(state.p), m: tensors(state.m), v: tensors(state.v) };
  for (const [t, { gradient, norm, clipped, parameters }] of steps.entries()) {
    const [bias1, bias2] = [1 - 0.9 ** (t + 1), 1 - 0.95 ** (t + 1)];
    const onTheHost = update(state, arrays(gradient), bias1, bias2);
    state = onTheHost.next;
    expect(A.values(onTheHost.norm)[0]).toBeCloseTo(norm, 12);
    const compiled = program.run(device, tensors(arrays(gradient)), bias1, bias2);
    device = compiled.next;
    expect((await compiled.norm.read())[0]).toBeCloseTo(norm, 5);
    for (const [name, { data }] of Object.entries(parameters)) {
      expectClose(`clipped ${name}`, A.values(onTheHost.clipped[name]!), clipped[name]!.data, 1e-12);
      expectClose(name, A.values(state.p[name]!), data, 1e-12);
      expectClose(`${name} when compiled`, await device.p[name]!.read(), data, 2e-6);
    }
  }
  expect(program.shapes).toBe(1);
});
