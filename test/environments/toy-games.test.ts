import { describe, expect, test } from "vitest";
import {
  bradleyTerryPreferences,
  divergence,
  exploitability,
  intransitiveGame,
  preferences,
  prefers,
  regularisedEquilibrium,
  regularisedGap,
  tilt,
  winRates,
} from "../../src/environments/toy/index.ts";
import { stream } from "../../src/statistics/stream.ts";

/** The standard game of the method cards. */
const game = preferences([
  [0.5, 0.9, 0.2],
  [0.1, 0.5, 0.8],
  [0.8, 0.2, 0.5],
]);
const reference = [0.6, 0.3, 0.1];
const tau = 0.1;

describe("games of preference", () => {
  test("a win rate is the expected preference", () => {
    expect([...winRates(game, reference)].map((p) => Number(p.toFixed(12)))).toEqual([0.59, 0.29, 0.59]);
  });

  test("nobody beats the equilibrium, and it is found", () => {
    expect(exploitability(game, [0.3, 0.3, 0.4])).toBeCloseTo(-0 + 0.5 * 0.3 + 0.9 * 0.3 + 0.2 * 0.4 - 0.5, 12);
    expect(exploitability(game, [0.3, 0.3, 0.4])).toBeCloseTo(0, 12);
    expect(exploitability(game, [1, 0, 0])).toBeCloseTo(0.3, 12);
  });

  test("the regularised equilibrium has a gap of 0, and is its own best answer", () => {
    const equilibrium = regularisedEquilibrium({ game, reference, tau });
    expect(regularisedGap({ game, reference, tau }, equilibrium)).toBeCloseTo(0, 12);
    expect(regularisedGap({ game, reference, tau }, reference)).toBeCloseTo(0.0564, 4);
    const answer = tilt(reference, winRates(game, equilibrium), tau);
    expect(divergence(equilibrium, answer)).toBeLessThan(1e-12);
  });

  test("rewards imply preferences that an equilibrium cannot improve on", () => {
    const reward = [0, 1, 3];
    const implied = preferences(bradleyTerryPreferences(reward));
    expect(implied[2]![0]).toBeCloseTo(1 / (1 + Math.exp(-3)), 12);
    expect(exploitability(implied, [0, 0, 1])).toBe(0);
  });

  test("random games go in circles, add up, and are the same for the same stream", () => {
    const { game: random, reference: own } = intransitiveGame(10, stream(1, "game"));
    preferences(random);
    expect(own.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    expect(intransitiveGame(10, stream(1, "game"))).toEqual({ game: random, reference: own });
    // Some three answers beat each other in turn.
    const beats = (i: number, j: number): boolean => random[i]![j]! > 0.5;
    const answers = Array.from({ length: 10 }, (_, i) => i);
    expect(answers.some((i) => answers.some((j) => answers.some((k) => beats(i, j) && beats(j, k) && beats(k, i))))).toBe(true);
    expect(
      regularisedGap({ game: random, reference: own, tau }, regularisedEquilibrium({ game: random, reference: own, tau })),
    ).toBeLessThan(1e-12);
  });

  test("a preference is drawn as often as it says", () => {
    const rng = stream(2, "draws");
    let wins = 0;
    for (let i = 0; i < 4000; i++) if (prefers(game, 0, 1, rng)) wins++;
    expect(wins / 4000).toBeCloseTo(0.9, 1);
  });

  test("a matrix that does not add up is refused", () => {
    expect(() =>
      preferences([
        [0.5, 0.9],
        [0.2, 0.5],
      ]),
    ).toThrow(/\[0\]\[1\] and \[1\]\[0\]/);
    expect(() => preferences([[0.5, 0.9]])).toThrow(/2 numbers/);
  });
});
