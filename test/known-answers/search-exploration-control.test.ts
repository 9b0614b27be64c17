import { expect, test } from "vitest";
import { potentialSteps } from "../../src/rewards/index.ts";
import {
  betaMean,
  betaUpdate,
  linearCoefficients,
  linearPredict,
  linearPrior,
  linearUpdate,
  majorityAtK,
  passAtK,
} from "../../src/statistics/index.ts";
import { near } from "./kit.ts";

test("SP2 the elliptical bonus is the variance of a linear belief: ridge .1, e1, e1, e2 + e3, e1", () => {
  let belief = linearPrior(3, { ridge: 0.1, noise: 1 });
  const bonuses = [
    [1, 0, 0],
    [1, 0, 0],
    [0, 1, 1],
    [1, 0, 0],
  ].map((h) => {
    const { variance } = linearPredict(belief, h);
    belief = linearUpdate(belief, h, 0);
    return variance;
  });
  near(bonuses, [10, 0.909091, 20, 0.47619]);
});

test("SP3 LinUCB is the mean and deviation of a linear belief: theta (.5, 0), index of (.6, .8) with alpha 1", () => {
  const seen = [
    [[1, 0], 1],
    [[1, 1], 0.5],
    [[0, 1], 0],
  ] as const;
  const belief = seen.reduce((b, [x, r]) => linearUpdate(b, x, r), linearPrior(2, { ridge: 1, noise: 1 }));
  near(linearCoefficients(belief), [0.5, 0], 12);
  const { mean, variance } = linearPredict(belief, [0.6, 0.8]);
  near(mean + Math.sqrt(variance), 0.804975);
});

test("SP3 Thompson's belief about an arm is Beta(1 + s, 1 + f)", () => {
  const belief = betaUpdate({ alpha: 1, beta: 1 }, { successes: 6, failures: 4 });
  expect(belief).toEqual({ alpha: 7, beta: 5 });
  near(betaMean(belief), 7 / 12, 12);
});

test("SP5 pass@k with n = 10, c = 3, and the majority vote", () => {
  near(
    [1, 2, 5].map((k) => passAtK(10, 3, k)),
    [0.3, 0.533333, 0.916667],
  );
  expect(majorityAtK(["a", "b", "b"], 3)).toBe("b");
});

test("SP11 potential shaping with the potential 0 at the end", () => {
  near(potentialSteps([0.25, 0.5, 1], 0.5), [0, 0, -1], 12);
});
