import { expect, test } from "vitest";
import { papers } from "../../src/papers/index.ts";
import { describeMethod } from "../../src/training/index.ts";
import { all, environment, small, tinyEngine } from "../training/tiny.ts";

const trainable = papers.filter(({ method }) => method !== undefined);

test.each(trainable.map((paper) => [paper.slug, paper] as const))("%s trains a language model by its name", async (_, paper) => {
  const engine = await tinyEngine(environment);
  try {
    const method = paper.method!({ environment });
    const described = describeMethod(method);
    expect(JSON.parse(JSON.stringify(described))).toEqual(described);
    const reports = await all({ ...small, engine, method, steps: 2 });
    expect(reports).toHaveLength(2);
    expect(reports.some(({ loss }) => loss !== null)).toBe(true);
  } finally {
    engine.dispose();
    engine.policy.dispose();
  }
});
