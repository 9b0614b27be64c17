import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localEngine } from "../../../src/engines/index.ts";
import type { LocalEngine } from "../../../src/engines/index.ts";
import { tinkerClient } from "../../../src/engines/tinker/client.ts";
import { measuredReduction } from "../../../src/engines/tinker/reduction.ts";
import type { Requests } from "../../../src/engines/tinker/protocol.ts";
import type { TextEnvironment } from "../../../src/environments/index.ts";
import type { TextSequence } from "../../../src/policies/index.ts";
import { stream } from "../../../src/statistics/stream.ts";
import { grpo, onlineDpo, ppo, supervised, train } from "../../../src/training/index.ts";
import type { TextEngine, TrainOptions, TrainReport } from "../../../src/training/index.ts";
import { distance } from "../contract.ts";
import { faultyProxy, rank, service } from "./service.ts";
import type { Service } from "./service.ts";

let served: Service;
beforeAll(async () => {
  served = await service({ maxModels: 32 });
});
afterAll(() => served.close());

/** Reward: the answer has an even number of characters. */
const environment: TextEnvironment = {
  name: "even",
  maxActions: 6,
  draw: (_, rng) => {
    const n = Math.floor(rng() * 1000);
    return { id: `${n}`, prompt: `the reward ${n}`, reference: "even" };
  },
  check: (completion) => completion.length % 2 === 0,
};
const shared = { environment, tasksPerStep: 4, steps: 3, seed: 3 };
const learningRate = 1e-2;

/** The local engine, drawing from the streams that the protocol's seeds name. */
async function local(): Promise<LocalEngine<TextSequence>> {
  const { policy, parameters } = served;
  const engine = await localEngine({ policy, parameters, seed: 0 });
  const sample: typeof engine.sample = (requests, options) => {
    const seeds = requests.map(({ rng }) => Math.floor(rng() * 2 ** 31));
    const groups = Map.groupBy(requests.keys(), (i) => JSON.stringify(requests[i]!.task.prompt));
    const place = new Map([...groups.values()].flatMap((members) => members.map((i, k) => [i, { seed: seeds[members[0]!]!, k }] as const)));
    return engine.sample(
      requests.map((request, i) => ({ ...request, rng: stream(place.get(i)!.seed, "sample", place.get(i)!.k) })),
      options,
    );
  };
  return Object.create(engine, { sample: { value: sample } }) as typeof engine;
}

async function all(options: TrainOptions): Promise<TrainReport[]> {
  const reports: TrainReport[] = [];
  for await (const report of train(options)) reports.push(report);
  return reports;
}
const data = (tensors: Awaited<ReturnType<Service["adapter"]>>) =>
  Object.fromEntries(Object.entries(tensors).flatMap(([name, t]) => (name.includes(".lora_") ? [[name, t.data]] : [])));

const methods = {
  GRPO: { method: grpo({ as: "trl", groupSize: 4, learningRate }) },
  "GRPO with a KL term to the base, epochs and minibatches": {
    method: grpo({ as: "paper", groupSize: 4, learningRate, epochs: 2, minibatches: 2 }),
    reference: "base" as const,
  },
  "GRPO off its own distribution: temperature, top-p, a correction, other constants of Adam": {
    method: grpo({
      as: "dapo",
      dynamicSampling: null,
      groupSize: 4,
      learningRate,
      temperature: 0.7,
      topP: 0.9,
      epochs: 2,
      correction: { level: "token", kind: "truncated", high: 2 },
      optimizer: { beta1: 0.5, beta2: 0.8, epsilon: 1e-4, weightDecay: 0.3, clipNorm: 0.05 },
    }),
  },
  DPO: { method: onlineDpo({ groupSize: 4, learningRate }) },
  "supervised learning": {
    method: supervised({ learningRate }),
    environment: { ...environment, demonstrate: ({ id }: { readonly id: string }) => `is ${id}` },
  },
};

/** A run with updates on earlier rollouts, so that all calls and both references take part. */
const dear = { ...shared, ...methods["GRPO with a KL term to the base, epochs and minibatches"] };

describe("the same run here and through the protocol", () => {
  for (const [name, options] of Object.entries(methods))
    test(`ends in the same weights: ${name}`, async () => {
      const here = await local();
      const there = await served.engine();
      const [a, b] = [
        await all({ ...shared, ...options, engine: here }),
        await all({ ...shared, ...options, engine: there as TextEngine }),
      ];
      expect(b.map((r) => r.reward?.mean)).toEqual(a.map((r) => r.reward?.mean));
      expect(a.some((r) => (r.gradientNorm ?? 0) > 0.01)).toBe(true);
      b.forEach((report, i) => {
        expect(report.loss!).toBeCloseTo(a[i]!.loss!, 5);
        expect(report.gradientNorm!).toBeCloseTo(a[i]!.gradientNorm!, 4);
      });
      const [x, y] = [data(await here.weights()), data(await served.adapter(there))];
      const before = data(served.parameters);
      expect(distance(x, before)).toBeGreaterThan(0.01);
      expect(distance(y, x)).toBeLessThan(1e-4);
      here.dispose();
      await there.dispose();
    });
});

test("faults lose and double no gradient: the weights end as without them, to the bit", async () => {
  const proxy = await faultyProxy(served.url, { share: 0.3, seed: 2 });
  const ends = [];
  for (const baseUrl of [served.url, proxy.url]) {
    // Of ten tries, one request in 10,000 meets nothing but faults, and which one hangs on the order in which they arrive.
    const engine = await served.engine({ baseUrl, tries: 60 });
    await all({ ...dear, engine: engine as TextEngine });
    ends.push(data(await served.adapter(engine)));
    await engine.dispose();
  }
  expect(ends[1]).toEqual(ends[0]);
  const { injected } = proxy;
  expect(Object.values(injected).reduce((a, b) => a + b)).toBeGreaterThan(20);
  expect(injected.unanswered + injected.doubled + injected.truncated).toBeGreaterThan(5);
  await proxy.close();
});

test("a batch of many requests is the same batch", async () => {
  const here = await local();
  const there = await served.engine();
  const rng = stream(4, "rows");
  const ids = (length: number) => Int32Array.from({ length }, () => Math.floor(rng() * 300));
  const rows = Array.from({ length: 1600 }, (_, i) => ({ prompt: ids(1), actions: ids(i % 3) }));
  const gradients = { logProbs: rows.map(({ actions }) => new Float32Array(actions.length).fill(-1e-3)) };
  const options = { learningRate: 1e-2, beta1: 0, beta2: 0, epsilon: 1e-3 };
  const norms = [];
  for (const engine of [here, there]) {
    const outputs = await engine.backward(rows, gradients);
    expect(outputs["logProbs"]!.map((row) => row.length)).toEqual(rows.map(({ actions }) => actions.length));
    norms.push((await engine.update(options)).gradientNorm!);
  }
  expect(norms[1]! / norms[0]!).toBeCloseTo(1, 6);
  expect(distance(data(await served.adapter(there)), data(await here.weights()))).toBeLessThan(1e-5);
  here.dispose();
  await there.dispose();
});

test("the service computes the loss itself, in one call, where that is allowed and the objective is exactly its own", async () => {
  const method = grpo({ as: "trl", groupSize: 4, learningRate, epochs: 2, minibatches: 2 });
  const ends = [];
  for (const serverLosses of [false, true]) {
    const engine = await served.engine({ serverLosses });
    const proxy = Object.create(engine) as typeof engine;
    let forwards = 0;
    proxy.forward = (...given) => (forwards++, engine.forward(...given));
    await all({ ...shared, method, engine: proxy as TextEngine });
    // Two epochs of two minibatches: only a step's first update is on the weights that drew its rollouts.
    expect(forwards > 0).toBe(!serverLosses);
    ends.push(data(await served.adapter(engine)));
    await engine.dispose();
  }
  expect(distance(ends[1]!, ends[0]!)).toBeLessThan(1e-4);
});

test("a step of unknown fate stops the engine, until it is back at a state that is known", async () => {
  const proxy = await faultyProxy(served.url, { share: 0, seed: 1 });
  const engine = await served.engine({ baseUrl: proxy.url, tries: 2, reduction: "sum" });
  const rows = [{ prompt: Int32Array.of(1, 2), actions: Int32Array.of(3, 4) }];
  const options = { learningRate: 1e-2, beta1: 0.9, beta2: 0.9, epsilon: 1e-8 };
  const stepped = async (): Promise<unknown> => {
    await engine.backward(rows, { logProbs: [Float32Array.of(-0.2, 0.1)] });
    return engine.update(options);
  };
  /** The step is made, and the engine cannot know. */
  const unheard = async (): Promise<void> => {
    proxy.alter((call, body) => (call.endsWith("optim_step") ? body.slice(0, 10) : body));
    await expect(stepped()).rejects.toThrow(/not JSON/);
    proxy.alter(null);
    await expect(engine.forward(rows)).rejects.toThrow(/not JSON/);
  };
  await stepped();
  const saved = await engine.snapshot();
  await stepped();
  const twice = data(await served.adapter(engine));
  await unheard();
  for (const call of [stepped, () => engine.snapshot()]) await expect(call()).rejects.toThrow(/not JSON/);
  await engine.restore(saved);
  const earlier = await engine.reader((saved.json as { readonly path: string }).path);
  expect(await earlier.forward(rows)).toEqual(await engine.forward(rows));
  // The weights are now those of a saved state: what was unheard is undone by itself.
  await unheard();
  expect(await engine.snapshot()).toEqual(saved);
  await stepped();
  expect(data(await served.adapter(engine))).toEqual(twice);
  await engine.dispose();
  await proxy.close();
});

test("weights for sampling that a service no longer has are handed in again", async () => {
  const proxy = await faultyProxy(served.url, { share: 0, seed: 1 });
  const engine = await served.engine({ baseUrl: proxy.url });
  const draw = () => engine.sample([{ task: { id: "0", prompt: "the reward" }, group: "0", rng: stream(1, "draw") }], { maxActions: 4 });
  const [first] = await draw();
  let asked = 0;
  proxy.alterRequests((call, body) => (call.endsWith("asample") && asked++ === 0 ? body.replace(/:sample:\d+/, ":sample:999") : body));
  const [again] = await draw();
  expect(asked).toBe(2);
  expect(again!.row).toEqual(first!.row);
  await engine.dispose();
  await proxy.close();
});

test("a state that is saved after the optimizer was reset is without it", async () => {
  const engine = await served.engine();
  const rows = [{ prompt: Int32Array.of(1, 2), actions: Int32Array.of(3, 4) }];
  const stepped = async () => {
    await engine.backward(rows, { logProbs: [Float32Array.of(-0.2, 0.1)] });
    await engine.update({ learningRate: 1e-2, beta1: 0.9, beta2: 0.9, epsilon: 1e-8 });
    return data(await served.adapter(engine));
  };
  for (let i = 0; i < 3; i++) await stepped();
  await engine.resetOptimizer();
  const saved = await engine.snapshot();
  const expected = await stepped();
  await engine.restore(saved);
  expect(await stepped()).toEqual(expected);
  await engine.dispose();
});

test("a service that averages rows is recognised, and trained by the same gradient", async () => {
  const proxy = await faultyProxy(served.url, { share: 0, seed: 1 });
  const losses: string[] = [];
  // As SkyRL's JAX backend: a row's loss over the sum of its weights, the gradient over the number of rows.
  const averaging = (call: string, body: string): string => {
    if (!call.endsWith("forward_backward")) return body;
    const request = JSON.parse(body) as Requests["forward_backward"];
    const { data, loss_fn } = request.forward_backward_input;
    losses.push(loss_fn);
    for (const { loss_fn_inputs } of data) {
      const { data: weights } = loss_fn_inputs.weights!;
      const divisor = Math.max(
        weights.reduce((a, b) => a + b, 0),
        1e-9,
      );
      loss_fn_inputs.weights!.data = weights.map((w) => w / divisor / data.length);
    }
    return JSON.stringify(request);
  };
  const untold = (call: string, body: string): string =>
    call.endsWith("retrieve_future") ? body.replace(/"[^"]*grad[^"]*":/, '"untold":') : body;
  const setting = { client: tinkerClient({ baseUrl: proxy.url }), baseModel: "tiny", lora: { rank } };
  // Divided by the weights of the whole request: neither.
  proxy.alterRequests((call, body) => {
    if (!call.endsWith("forward_backward")) return body;
    const request = JSON.parse(body) as Requests["forward_backward"];
    const columns = request.forward_backward_input.data.map(({ loss_fn_inputs }) => loss_fn_inputs.weights!);
    const all = columns.flatMap(({ data }) => data).reduce((a, b) => a + b, 0);
    for (const column of columns) column.data = column.data.map((w) => w / all);
    return JSON.stringify(request);
  });
  await expect(measuredReduction(setting)).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringMatching(/norms that it tells.*give `reduction`/) as string,
  });
  proxy.alterRequests(null);
  // By what the gradient does, where its norm is not told.
  proxy.alter(untold);
  expect(await measuredReduction(setting)).toBe("sum");
  proxy.alterRequests(averaging);
  expect(await measuredReduction(setting)).toBe("row-mean");
  setting.client.close();
  const requests = losses.length;
  proxy.alter(null);
  const ends = [];
  for (const baseUrl of [served.url, proxy.url]) {
    const engine = await served.engine({ baseUrl });
    await all({ ...dear, engine: engine as TextEngine });
    ends.push(data(await served.adapter(engine)));
    // Several calls before an update, and a discard, are held here.
    const rows = [0, 1].map((i) => ({ prompt: Int32Array.of(1, 2), actions: Int32Array.of(3 + i, 4) }));
    const gradients = { logProbs: rows.map(() => Float32Array.of(-0.2, 0.1)) };
    await engine.backward(rows, gradients);
    await engine.discard();
    const still = { learningRate: 0, beta1: 0, beta2: 0, epsilon: 1 };
    await engine.backward(rows, { logProbs: rows.map(() => Float32Array.of(NaN, 0)) });
    await expect(engine.update(still)).rejects.toMatchObject({ code: "non-finite" });
    for (const row of rows) await engine.backward([row], { logProbs: [gradients.logProbs[0]!] });
    const { gradientNorm: first } = await engine.update({ ...still, learningRate: 0.3 });
    // The same rows under other weights: what was told of them is no longer so.
    await engine.backward(rows, gradients);
    const { gradientNorm: second } = await engine.update(still);
    ends.push({ norms: Float32Array.of(first!, second!) });
    await engine.dispose();
  }
  expect(new Set(losses.slice(0, requests + 3))).toEqual(new Set(["cross_entropy"]));
  expect(new Set(losses.slice(requests + 3))).toEqual(new Set(["importance_sampling"]));
  expect(distance(ends[2]!, ends[0]!)).toBeLessThan(1e-4);
  expect(distance(ends[3]!, ends[1]!)).toBeLessThan(1e-4);
  await proxy.close();
});

describe("a step is refused", () => {
  test("when the method needs more than log-probabilities, before anything is drawn", async () => {
    const engine = await served.engine();
    const drawn = { ...engine, sample: () => Promise.reject(new Error("drawn")) } as unknown as TextEngine;
    await expect(all({ ...shared, method: ppo(), engine: drawn })).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(/"PPO".*no output "value".*grpo, rloo/) as string,
    });
    await expect(engine.forward([], ["entropy"])).rejects.toThrow(/no output "entropy".*KL penalty/);
    await engine.dispose();
  });

  test("when an answer has not the shape that was asked for, naming what is wrong", async () => {
    const proxy = await faultyProxy(served.url, { share: 0, seed: 1 });
    const engine = await served.engine({ baseUrl: proxy.url });
    const rows = [1, 2].map((id) => ({ prompt: Int32Array.of(id, 2), actions: Int32Array.of(3, 4) }));
    const read = () => engine.forward(rows);
    const draw = () =>
      engine.sample([{ task: { id: "0", prompt: "the reward" }, group: "0", rng: stream(1, "draw") }], { maxActions: 4, stopTokens: [] });
    type Answer = {
      readonly loss_fn_outputs: { readonly logprobs: { readonly data: number[] } }[];
      readonly sequences: { readonly tokens: number[]; readonly logprobs: number[] }[];
    };
    const cases: readonly (readonly [call: () => Promise<unknown>, spoil: (answer: Answer) => unknown, RegExp])[] = [
      [read, ({ loss_fn_outputs: made }) => made.pop(), /forward answered with 1 results for 2 rows/],
      [read, ({ loss_fn_outputs: made }) => made.push(made[0]!), /forward answered with 3 results for 2 rows/],
      [read, ({ loss_fn_outputs: made }) => made[1]!.logprobs.data.pop(), /2 log-probabilities for row 1, which has 3 tokens/],
      [draw, ({ sequences }) => sequences.push(sequences[0]!), /2 samples where 1 were asked for/],
      [draw, ({ sequences }) => sequences[0]!.tokens.push(5, 5, 5, 5), /tokens where 4 were asked for at most/],
      [draw, ({ sequences }) => sequences[0]!.logprobs.pop(), /log-probabilities for the \d tokens of answer 0/],
    ];
    for (const [call, spoil, message] of cases) {
      proxy.alter((path, body) => {
        if (!path.endsWith("retrieve_future") || !/loss_fn_outputs|sequences/.test(body)) return body;
        const answer = JSON.parse(body) as Answer;
        spoil(answer);
        return JSON.stringify(answer);
      });
      await expect(call()).rejects.toMatchObject({ code: "io", message: expect.stringMatching(message) as string });
      proxy.alter(null);
      await call();
    }
    await engine.dispose();
    await proxy.close();
  });

  test("when a log-probability is not finite: no update was made", async () => {
    const proxy = await faultyProxy(served.url, { share: 0, seed: 1 });
    const engine = await served.engine({ baseUrl: proxy.url });
    await all({ ...shared, steps: 1, method: methods.GRPO.method, engine: engine as TextEngine });
    const before = data(await served.adapter(engine));
    for (const field of ["loss_fn_outputs", "sequences"]) {
      // What a server with diverged weights has to send: JSON has no NaN.
      proxy.alter((call, body) => {
        if (!call.endsWith("retrieve_future") || !body.includes(field)) return body;
        const answer = JSON.parse(body) as Record<string, { logprobs: (number | null)[] | { data: (number | null)[] } }[]>;
        const { logprobs } = answer[field]![1]!;
        (Array.isArray(logprobs) ? logprobs : logprobs.data).splice(-1, 1, null);
        return JSON.stringify(answer);
      });
      const failing = all({ ...shared, steps: 1, method: methods.GRPO.method, engine: engine as TextEngine });
      await expect(failing, field).rejects.toMatchObject({
        code: "non-finite",
        message: expect.stringMatching(/null.*no update/) as string,
      });
      proxy.alter(null);
      expect(data(await served.adapter(engine)), field).toEqual(before);
    }
    // The gradient that the service had already is not in the next step.
    const fresh = await served.engine();
    await fresh.restore(await engine.snapshot());
    for (const one of [engine, fresh]) await all({ ...shared, seed: 8, steps: 1, method: methods.GRPO.method, engine: one as TextEngine });
    expect(data(await served.adapter(engine))).toEqual(data(await served.adapter(fresh)));
    for (const one of [engine, fresh]) await one.dispose();
    await proxy.close();
  });
});
