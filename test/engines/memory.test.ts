import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isOutOfMemory } from "../../src/engines/memory.ts";
import { localEngine, localReader } from "../../src/engines/index.ts";
import { readModel } from "../../src/policies/index.ts";
import { stream } from "../../src/statistics/stream.ts";
import { tinyModel } from "../server/tinker/model.ts";

// One table of attention over so many positions has 31 GiB: the first thing that is asked for is too much, and nothing is computed.
const length = 65_000;
const says = (asked: RegExp) => ({
  code: "unsupported",
  message: expect.stringMatching(
    new RegExp(`^There is no room for ${asked.source}: WebAssembly addresses 4 GiB.*Start again with less: fewer or shorter rows`),
  ) as string,
});

describe("what does not fit into WebAssembly's memory is one sentence", () => {
  let tiny: Awaited<ReturnType<typeof tinyModel>>;
  let model: Awaited<ReturnType<typeof readModel>>;
  beforeAll(async () => {
    tiny = await tinyModel({ context: 70_000 });
    model = await readModel(tiny.folder);
  });
  afterAll(() => tiny.remove());
  const actions = new Int32Array(length).fill(5);
  const row = { prompt: Int32Array.of(5), actions };
  const requests = [{ task: { id: "0", prompt: "" }, group: "0", rng: stream(1, "draw"), from: row }];

  test("passes and drawing of an engine", async () => {
    const engine = await localEngine({ ...model, seed: 1 });
    const failed = await engine.forward([row]).catch((cause: unknown) => cause);
    expect(failed).toMatchObject(says(/\d+ rows of 65\d+ positions at once/));
    expect(isOutOfMemory(failed)).toBe(true);
    await expect(engine.backward([row], { logProbs: [new Float32Array(length)] })).rejects.toMatchObject(
      says(/\d+ rows of 65\d+ positions at once/),
    );
    await expect(engine.sample(requests, { maxActions: 9 })).rejects.toMatchObject(says(/drawing 1 answers of up to 9 tokens at once/));
    engine.dispose();
  });

  test("passes and drawing of a reader", async () => {
    const reader = await localReader(model);
    await expect(reader.forward([row])).rejects.toMatchObject(says(/\d+ rows of 65\d+ positions at once/));
    await expect(reader.sample(requests, { maxActions: 9 })).rejects.toMatchObject(says(/drawing 1 answers of up to 9 tokens at once/));
    reader.dispose();
  });
});
