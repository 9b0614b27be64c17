import { describe, expect, it } from "vitest";
import {
  bandit,
  chain,
  drawOutcome,
  finiteTasks,
  grid,
  hiddenSymbols,
  linearBandit,
  lock,
  outcomesOf,
  stepActions,
  stepTask,
  workActions,
  workCounter,
} from "../../src/environments/toy/index.ts";
import type { Finite } from "../../src/environments/toy/index.ts";
import { stream } from "../../src/statistics/stream.ts";

const never = (): number => {
  throw new Error("this process draws nothing");
};
/** States visited when these actions are taken, and whether the process ended the walk. */
function walk(process: Finite, task: number, actions: readonly number[]): { states: number[]; ended: boolean } {
  const states = [process.start(task)];
  for (const action of actions) {
    const next = process.next(states.at(-1)!, action, never);
    if (next < 0) return { states, ended: true };
    states.push(next);
  }
  return { states, ended: false };
}

describe("finite processes", () => {
  it("bandit: one state a task, one action", () => {
    const process = bandit({ tasks: 3, actions: 4 });
    expect(process).toMatchObject({ tasks: 3, states: 3, actions: 4, horizon: 1 });
    expect(walk(process, 2, [1])).toEqual({ states: [2], ended: true });
    expect(finiteTasks(process).map(({ id, prompt }) => [id, prompt])).toEqual([
      ["0", 0],
      ["1", 1],
      ["2", 2],
    ]);
  });

  it("lock: task * length + position, whatever was written", () => {
    const process = lock({ tasks: 2, length: 3, symbols: 4 });
    expect(process.states).toBe(6);
    expect(walk(process, 1, [3, 0, 2])).toEqual({ states: [3, 4, 5], ended: true });
  });

  it("stepTask: useful steps move on, filler stays, stop ends; success needs a stop in time", () => {
    const process = stepTask({ needs: [1, 3], horizon: 4 });
    const { useful, filler, stop } = stepActions;
    expect(process.states).toBe(8);
    expect(walk(process, 1, [useful, filler, useful, stop])).toEqual({ states: [4, 5, 5, 6], ended: true });
    const played = (task: number, actions: readonly number[]) => {
      const { states } = walk(process, task, actions.slice(0, -1));
      return process.succeeded({ states: Int32Array.from(states), actions: Int32Array.from(actions) });
    };
    expect(played(0, [useful, stop])).toBe(true);
    expect(played(0, [stop])).toBe(false);
    expect(played(1, [useful, useful, useful, stop])).toBe(true);
    expect(played(1, [useful, filler, useful, stop])).toBe(false);
    expect(played(0, [useful, useful, useful, useful])).toBe(false);
  });

  it("chain: walls on the left, the goal on the right, slips the other way", () => {
    const process = chain({ length: 4, horizon: 9, start: 1 });
    expect(walk(process, 0, [0, 0, 1, 1, 1])).toEqual({ states: [1, 0, 0, 1, 2], ended: true });
    const slippery = chain({ length: 4, horizon: 9, slip: 0.25 });
    expect(outcomesOf(slippery, 2, 1)).toEqual([
      [-1, 0.75],
      [1, 0.25],
    ]);
    const rng = stream(1, "slip");
    const moves = Array.from({ length: 4000 }, () => slippery.next(2, 1, rng));
    expect(moves.filter((s) => s === 1).length / 4000).toBeCloseTo(0.25, 1);
  });

  it("grid: walls and edges stop a move, the goal ends the walk", () => {
    // 0 1 2
    // 3 # 5
    const process = grid({ width: 3, height: 2, horizon: 9, start: [0, 3], goal: 5, walls: [4] });
    expect(walk(process, 1, [1, 2, 0, 1, 1, 1, 2])).toEqual({ states: [3, 3, 3, 0, 1, 2, 2], ended: true });
    const outcomes = outcomesOf(grid({ width: 3, height: 2, horizon: 9, start: [0], goal: 5, slip: 0.4 }), 2, 2);
    expect(outcomes.reduce((sum, [, p]) => sum + p, 0)).toBeCloseTo(1, 12);
    expect(outcomes.filter(([next]) => next === -1).reduce((sum, [, p]) => sum + p, 0)).toBeCloseTo(0.7, 12);
  });

  it("draws an outcome with its probability, and lists the outcomes of a process that never draws", () => {
    const rng = stream(2, "outcomes");
    const counts = [0, 0, 0];
    for (let i = 0; i < 6000; i++)
      counts[
        drawOutcome(
          [
            [0, 0.2],
            [1, 0.5],
            [2, 0.3],
          ],
          rng,
        )
      ]!++;
    [0.2, 0.5, 0.3].forEach((p, i) => expect(counts[i]! / 6000).toBeCloseTo(p, 1));
    expect(outcomesOf(lock({ tasks: 1, length: 2, symbols: 2 }), 0, 1)).toEqual([[1, 1]]);
    const coin: Finite = {
      name: "coin",
      tasks: 1,
      states: 1,
      actions: 1,
      horizon: 2,
      start: () => 0,
      next: (_s, _a, draw) => (draw() < 0.5 ? 0 : -1),
    };
    expect(() => outcomesOf(coin, 0, 0)).toThrow(/"coin".*outcomes/);
  });

  it("workCounter: work counts with some probability, repeating does nothing, a judge likes repeating", () => {
    const options = {
      success: [0.05, 0.2, 0.6, 0.95],
      progress: 0.8,
      horizon: 15,
      quality: { work: [0.65, 0.1], repeat: [0.9, 0.05] },
    } as const;
    const process = workCounter(options);
    const { work, repeat, stop } = workActions;
    expect(process).toMatchObject({ tasks: 1, states: 4, actions: 3, horizon: 15 });
    expect(outcomesOf(process, 1, work)).toEqual([
      [2, 0.8],
      [1, 1 - 0.8],
    ]);
    expect([outcomesOf(process, 3, work), outcomesOf(process, 1, repeat), outcomesOf(process, 2, stop)]).toEqual([
      [[3, 1]],
      [[1, 1]],
      [[-1, 1]],
    ]);
    const walked = (states: number[], actions: number[]) => ({ states: Int32Array.from(states), actions: Int32Array.from(actions) });
    expect(process.success(walked([0, 1, 2], [work, work, stop]))).toBe(0.6);
    expect(process.success(walked([0, 1], [work, work]))).toBe(0);
    const many = Array.from({ length: 3000 }, (_, i) => process.judged(walked([0, 1, 1], [work, repeat, stop]), stream(4, i)));
    expect(many.every((q) => q.length === 2)).toBe(true);
    [0.65, 0.9].forEach((mean, k) => expect(many.reduce((sum, q) => sum + q[k]!, 0) / 3000).toBeCloseTo(mean, 2));
    expect(() => workCounter({ ...options, progress: 1.2 })).toThrow(/1.2 is not a probability/);
    expect(() => workCounter({ ...options, horizon: 0 })).toThrow(/horizon/);
  });

  it("hiddenSymbols: right where the hidden positions are, with a chance that is a product", () => {
    const environment = hiddenSymbols({ length: 5, symbols: 3, hidden: 2, rng: stream(3, "hidden") });
    const { process, right, isRight, chance, answers } = environment;
    expect(process).toMatchObject({ tasks: 1, states: 5, actions: 3, horizon: 5 });
    expect(right.size).toBe(2);
    const all = answers();
    expect(all.length).toBe(243);
    expect(new Set(all.map((answer) => answer.join(""))).size).toBe(243);
    expect(all.filter(isRight).length).toBe(27);
    expect(chance(() => [1 / 3, 1 / 3, 1 / 3])).toBeCloseTo(1 / 9, 12);
    const one = all.find(isRight)!;
    const walk = { states: Int32Array.of(0, 1, 2, 3, 4), actions: one };
    expect(environment.score(walk, environment.tasks("train")[0]!, never)).toBe(1);
    expect(() => hiddenSymbols({ length: 2, symbols: 3, hidden: 3, rng: never })).toThrow(/from 1 to the length/);
  });

  it("linearBandit: worths are products with one direction of length 1, standard normal, the best of 20 worth 1.87", () => {
    const environment = linearBandit({ tasks: 500, arms: 20, dimension: 6, noise: () => 100, rng: stream(3, "tasks") });
    const { process, worth, features, accuracy } = environment;
    expect(process).toMatchObject({ tasks: 500, actions: 20, horizon: 1 });
    const worths = Array.from({ length: 500 }, (_, task) => Array.from({ length: 20 }, (__, arm) => worth(task, arm)));
    const average = (x: readonly number[]): number => x.reduce((sum, v) => sum + v, 0) / x.length;
    expect(average(worths.flat())).toBeCloseTo(0, 1);
    expect(average(worths.flat().map((x) => x ** 2))).toBeCloseTo(1, 1);
    expect(Math.abs(average(worths.map((of) => Math.max(...of))) - 1.867)).toBeLessThan(0.08);
    // The covariance of vectors and worths is the direction; its length is 1, and its products are the worths.
    const along = Array.from({ length: 6 }, (_, k) =>
      average(worths.flatMap((of, task) => of.map((w, arm) => w * features(task, arm)[k]!))),
    );
    expect(Math.hypot(...along)).toBeCloseTo(1, 1);
    for (const arm of [0, 1, 2])
      expect(Array.from(features(0, arm)).reduce((sum, x, k) => sum + x * along[k]!, 0)).toBeCloseTo(worth(0, arm), 0);
    expect(accuracy((task) => worths[task]!)).toBe(1);
    expect(accuracy((task) => worths[task]!.map((w) => -w))).toBe(0);
    const tried = environment.score({ states: Int32Array.of(7), actions: Int32Array.of(3) }, environment.tasks("train")[7]!, never);
    expect(tried).toBeCloseTo(worth(7, 3) + 100, 9);
  });

  it("refuses sizes that make no process", () => {
    expect(() => bandit({ tasks: 0, actions: 2 })).toThrow(/tasks/);
    expect(() => lock({ tasks: 1, length: 1.5, symbols: 2 })).toThrow(/length/);
    expect(() => chain({ length: 4, horizon: 3, start: 3 })).toThrow(/start/);
    expect(() => grid({ width: 2, height: 2, horizon: 3, start: [0], goal: 4 })).toThrow(/cell 4/);
    expect(() => grid({ width: 2, height: 2, horizon: 3, start: [0], goal: 3, walls: [0] })).toThrow(/cell 0/);
  });
});
