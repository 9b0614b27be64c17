import { describe, expect, test } from "vitest";
import { differenceAdvantage, groupAdvantage } from "../../src/credit/index.ts";

const ofRewards = (r: readonly number[]) => r.map((a) => r.map((b) => a - b));
const close = (got: ArrayLike<number>, want: readonly number[], digits = 6): void =>
  want.forEach((w, i) => expect(got[i]).toBeCloseTo(w, digits));

describe("advantages of differences", () => {
  test("of rewards without an epsilon they are group advantages with the sample deviation", () => {
    const r = [0.3, -1, 2.5, 0.1, 0.1];
    const usual = groupAdvantage(Float64Array.from(r), new Int32Array(5), { scale: { ddof: 1, epsilon: 0 } });
    close(differenceAdvantage(ofRewards(r), { epsilon: 0 }), [...usual], 12);
  });

  test("without differences there is no advantage; what is not antisymmetric is refused", () => {
    expect([...differenceAdvantage(ofRewards([1, 1]), { epsilon: 0 })]).toEqual([0, 0]);
    expect(() => differenceAdvantage([[0]], { epsilon: 0 })).toThrow(/at least 2/);
    const wrong = [
      [0, 1],
      [1, 0],
    ];
    expect(() => differenceAdvantage(wrong, { epsilon: 0 })).toThrow("answer 0 is preferred to 1 by 1, and 1 to 0 by 1");
    expect(() => differenceAdvantage([[0, 1], [-1]], { epsilon: 0 })).toThrow(/row 1 of the strengths has 1/);
  });
});
