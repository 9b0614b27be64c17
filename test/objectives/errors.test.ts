import { describe, expect, test } from "vitest";
import { GuerdonError } from "../../src/error.ts";
import { clippedSurrogate, gradientOf, listLoss, pairLoss, sft, valueLoss } from "../../src/objectives/index.ts";
import { outputs, pair, ragged } from "./cases.ts";

const tokenMeans = { aggregation: "token-mean", divisor: null } as const;
const pg = clippedSurrogate({ low: 0.2, high: 0.2, ...tokenMeans });
const token = { advantage: [[1, 1], [1]], behaviour: [[-1, -1], [-1]] };
const mask = [[1, 1], [1]];
const given = outputs({ logProbs: [[-1, -1], [-1]] });

/** Code and message of what is thrown. */
function thrown(f: () => unknown): string {
  try {
    f();
  } catch (error) {
    if (error instanceof GuerdonError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing was thrown";
}

describe("what an objective needs and does not get", () => {
  test("a missing column is named, and so is what there is", () => {
    const examples = ragged({ mask, token: { behaviour: token.behaviour } });
    expect(thrown(() => gradientOf(pg, examples, given))).toBe(
      "input: the objective clipped surrogate needs the token column advantage; the examples have behaviour",
    );
    expect(
      thrown(() =>
        gradientOf(
          pairLoss("dpo", { beta: 1, softLabels: true }),
          ragged({ mask, token: { reference: token.behaviour }, sets: pair() }),
          given,
        ),
      ),
    ).toBe("input: the objective dpo needs the set column label; the examples have none");
  });

  test("sets: none, of the wrong size, with empty places, with rows that are not there", () => {
    const dpo = pairLoss("dpo", { beta: 1, against: "none" });
    const at = (sets: Partial<ReturnType<typeof pair>>) =>
      thrown(() => gradientOf(dpo, ragged({ mask, sets: { ...pair(), ...sets } }), given));
    expect(thrown(() => gradientOf(dpo, ragged({ mask }), given))).toMatch(/needs sets \(pairs or lists\); the examples have none/);
    expect(at({ size: 3, members: Int32Array.of(0, 1, -1) })).toMatch(/needs sets of 2; the examples have sets of 3/);
    expect(at({ members: Int32Array.of(0, -1) })).toMatch(/full sets; set 0 has an empty place/);
    expect(at({ members: Int32Array.of(0, 2) })).toMatch(/set 0 has row 2 as a member; there are 2 rows/);
    expect(at({ members: Int32Array.of(0) })).toMatch(/inconsistent/);
    expect(at({ weight: Float32Array.of(0) })).toMatch(/no set has a member and a weight/);
    expect(
      thrown(() => gradientOf(listLoss("plackett-luce", { beta: 1, against: "none" }), ragged({ mask, sets: pair() }), given)),
    ).toMatch(/member column rank/);
  });

  test("outputs: missing, wrong number of rows, wrong length", () => {
    const examples = ragged({ mask, token: { ...token, return: token.advantage } });
    expect(thrown(() => gradientOf(valueLoss({ clip: null, ...tokenMeans }), examples, given))).toBe(
      "usage: the objective value needs the output value; there are logProbs",
    );
    expect(thrown(() => gradientOf(pg, examples, outputs({ logProbs: [[-1, -1]] })))).toMatch(/has 1 rows; the examples have 2/);
    expect(
      thrown(() =>
        gradientOf(
          pg,
          examples,
          outputs({
            logProbs: [
              [-1, -1],
              [-1, -1],
            ],
          }),
        ),
      ),
    ).toMatch(/row 1 has 2 numbers; the row has 1 actions/);
  });

  test("coefficients: unknown names and NaN", () => {
    const examples = ragged({ mask, token });
    expect(thrown(() => gradientOf(pg, examples, given, { hgih: 0.3 }))).toBe(
      "usage: the objective clipped surrogate has no coefficient hgih; it has low, high",
    );
    expect(thrown(() => gradientOf(pg, examples, given, { high: Number.NaN }))).toMatch(/^non-finite: the coefficient high/);
  });

  test("nothing to learn from", () => {
    expect(thrown(() => gradientOf(sft(tokenMeans), ragged({ mask: [[0, 0], [0]] }), given))).toMatch(
      /^input: .* no row of the examples has an unmasked action/,
    );
    expect(thrown(() => gradientOf(sft(tokenMeans), ragged({ mask, weight: [0, 0] }), given))).toMatch(/nothing to learn from/);
    expect(thrown(() => gradientOf(sft(tokenMeans), ragged({ mask: [] }), { logProbs: [] }))).toMatch(/nothing to learn from/);
    for (const change of [{ weight: new Float32Array(1) }, { mask: new Float32Array(2) }, { offsets: Int32Array.of(0, 3) }])
      expect(thrown(() => gradientOf(sft(tokenMeans), { ...ragged({ mask }), ...change }, given))).toMatch(/inconsistent: 2 rows/);
  });
});

describe("what is not finite is refused and its row named", () => {
  const examples = (change: object) => ({ ...ragged({ mask, token }), ...change });
  test("outputs and columns", () => {
    expect(thrown(() => gradientOf(pg, ragged({ mask, token }), outputs({ logProbs: [[-1, Number.NaN], [-1]] })))).toMatch(
      /^non-finite: the output logProbs is NaN in row 0, action 1\. No gradient was used/,
    );
    const broken = { ...token, advantage: [[1, 1], [Number.POSITIVE_INFINITY]] };
    expect(thrown(() => gradientOf(pg, ragged({ mask, token: broken }), given))).toMatch(
      /the token column advantage is Infinity in row 1, action 0/,
    );
    expect(thrown(() => gradientOf(pg, examples({ weight: Float32Array.of(1, -1) }), given))).toMatch(/row 1 has the weight -1/);
    expect(thrown(() => gradientOf(pg, examples({ mask: Float32Array.of(1, Number.NaN, 1) }), given))).toMatch(
      /row 0 has the mask value NaN at action 1/,
    );
  });

  test("a ratio that overflows: the gradient names its row", () => {
    const bad = { advantage: [[1, 1], [-1]], behaviour: [[-1, -1], [-2000]] };
    expect(thrown(() => gradientOf(pg, ragged({ mask, token: bad }), given))).toMatch(
      /^non-finite: the gradient of clipped surrogate with respect to logProbs is .* in row 1, action 0/,
    );
  });
});
