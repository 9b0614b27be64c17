import { afterAll, describe, expect, test } from "vitest";
import { localEngine } from "../../../src/engines/index.ts";
import type { Engine } from "../../../src/engines/index.ts";
import { gradientOf, outputsOf } from "../../../src/objectives/index.ts";
import type { TextSequence } from "../../../src/policies/index.ts";
import type { Json, Snapshot } from "../../../src/statistics/snapshot.ts";
import { below, stream } from "../../../src/statistics/stream.ts";
import { cases } from "../cases.ts";
import { distance, engineContract, gradientBySnapshot } from "../contract.ts";
import type { Subject } from "../contract.ts";
import { faultyProxy, service } from "./service.ts";

const rows = (count: number, seed: number): TextSequence[] => {
  const rng = stream(seed, "text");
  const ids = (length: number) => Int32Array.from({ length }, () => below(rng, 300));
  return Array.from({ length: count }, () => ({ prompt: ids(1 + below(rng, 6)), actions: ids(1 + below(rng, 12)) }));
};
const addressOf = ({ json }: Snapshot): string => (json as { readonly path: string } & Json).path;

describe("the engine of a training service, over HTTP with faults", () => {
  const running = (async () => {
    const served = await service({ maxModels: 64 });
    const proxy = await faultyProxy(served.url, { share: 0.15, seed: 1 });
    // A fresh adapter writes zeros; all tests begin from one that does something, with a fresh optimizer.
    const first = await served.engine();
    for (const seed of [1, 2]) {
      const some = rows(4, seed);
      await first.backward(some, { logProbs: some.map((row) => new Float32Array(row.actions.length).fill(-0.1)) });
      await first.update({ learningRate: 0.05, beta1: 0, beta2: 0, epsilon: 1e-3 });
    }
    await first.resetOptimizer();
    const begun = await first.snapshot();
    await first.dispose();
    return { served, proxy, begun };
  })();
  afterAll(async () => {
    const { served, proxy } = await running;
    await proxy.close();
    await served.close();
  });

  /** With more tries than a request can meet faults in a row: of ten, one request in 200,000 uses up all. */
  const made = async (): Promise<Subject<TextSequence>> => {
    const { served, proxy, begun } = await running;
    const engine = await served.engine({ baseUrl: proxy.url, tries: 60 });
    await engine.restore(begun);
    const { parameters } = served;
    return {
      engine,
      weights: async () => ({ ...parameters, ...(await served.adapter(engine)) }),
      rows,
      actions: (row) => row.actions.length,
      tasks: ["the reward", "42"].map((prompt, i) => ({ id: String(i), prompt })),
      dispose: () => void engine.dispose(),
      // Compared with the local engine's gradient below.
      model: null,
    };
  };

  const gradientOfEngine = async (engine: Engine): Promise<Readonly<Record<string, ArrayLike<number>>>> => {
    // An update after which Adam's first moment is the gradient itself, and the weights are as before.
    await engine.update({ learningRate: 0, beta1: 0, beta2: 0, epsilon: 1 });
    const tensors = await (await running).served.tensors(addressOf(await engine.snapshot()), "optimizer.safetensors");
    await engine.resetOptimizer();
    return Object.fromEntries(
      Object.entries(tensors).flatMap(([name, { data }]) => (name.startsWith("first/") ? [[name.slice("first/".length), data]] : [])),
    );
  };
  engineContract<TextSequence>("training service", made, gradientOfEngine);

  test("has the gradient of the local engine, for every objective of log-probabilities", async () => {
    const { served } = await running;
    const subject = await made();
    const { engine } = subject;
    const local = await localEngine({ policy: served.policy, parameters: (await subject.weights()) as typeof served.parameters, seed: 0 });
    const some = rows(6, 1);
    const lengths = some.map((row) => row.actions.length);
    let compared = 0;
    for (const { name, objective, examples } of cases(some, lengths, await local.forward(some, local.outputs))) {
      if (outputsOf(objective).some((output) => output !== "logProbs")) continue;
      const [here, there] = [await local.forward(some), await engine.forward(some)];
      await local.backward(some, gradientOf(objective, examples, here).gradients);
      await engine.backward(some, gradientOf(objective, examples, there).gradients);
      const whole = await gradientBySnapshot(local, (t) => t.data);
      expect(distance(await gradientOfEngine(engine), whole), name).toBeLessThan(1e-5);
      compared++;
    }
    expect(compared).toBeGreaterThan(10);
    local.dispose();
    subject.dispose();
  });

  test("every kind of fault has happened", async () => {
    const { proxy } = await running;
    for (const count of Object.values(proxy.injected)) expect(count).toBeGreaterThan(5);
  });
});
