import { expect, test } from "vitest";
import { builtInRewards } from "../../src/cli/built-in-rewards.ts";
import { loadReward } from "../../src/cli/rewards.ts";

test.each(Object.keys(builtInRewards))("--reward %s", async (name) => {
  const { reward, file, version } = await loadReward(name);
  expect(reward).toMatchObject({ name: expect.stringMatching(/./), evaluate: expect.any(Function) });
  expect({ file, version }).toEqual({ file: null, version: reward.version });
});
