import { afterAll, describe, expect, test } from "vitest";
import { concat } from "../../../src/arrays/index.ts";
import type { TinkerEngine } from "../../../src/engines/index.ts";
import type { TextSequence } from "../../../src/policies/index.ts";
import { paddedLength } from "../../../src/policies/shapes.ts";
import type { Json, Snapshot } from "../../../src/statistics/snapshot.ts";
import { below, stream } from "../../../src/statistics/stream.ts";
import { engineContract } from "../contract.ts";
import type { Subject } from "../contract.ts";
import { aligned } from "../fused.ts";
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

  const made = async (): Promise<Subject<TextSequence>> => {
    const { served, proxy, begun } = await running;
    const engine = await served.engine({ baseUrl: proxy.url });
    await engine.restore(begun);
    const { policy, parameters } = served;
    return {
      engine,
      weights: async () => ({ ...parameters, ...(await served.adapter(engine)) }),
      rows,
      actions: (row) => row.actions.length,
      tasks: ["the reward", "42"].map((prompt, i) => ({ id: String(i), prompt })),
      dispose: () => void engine.dispose(),
      model: {
        kernel: "compiled",
        trainable: (name) => policy.trainable(name),
        inputs: (given) => policy.collate(given, given.length, paddedLength(2 * Math.max(...given.map((row) => policy.cells(row))))),
        apply(weights, inputs, given, names, width) {
          const starts = given.map((row) => policy.start(row));
          return Object.fromEntries(
            Object.entries(policy.apply(weights, inputs, names)).map(([name, output]) => [name, aligned(output, starts, width, concat)]),
          );
        },
      },
    };
  };

  engineContract<TextSequence>("training service", made, async (engine) => {
    // An update after which Adam's first moment is the gradient itself, and the weights are as before.
    await engine.update({ learningRate: 0, beta1: 0, beta2: 0, epsilon: 1 });
    const path = addressOf(await (engine as unknown as TinkerEngine).snapshot());
    const tensors = await (await running).served.tensors(path, "optimizer.safetensors");
    await engine.resetOptimizer();
    return Object.fromEntries(
      Object.entries(tensors).flatMap(([name, { data }]) => (name.startsWith("first/") ? [[name.slice("first/".length), data]] : [])),
    );
  });

  test("every kind of fault has happened", async () => {
    const { proxy } = await running;
    for (const count of Object.values(proxy.injected)) expect(count).toBeGreaterThan(5);
  });
});
