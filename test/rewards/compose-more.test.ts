import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { z } from "zod";
import {
  centre,
  clip,
  clipSteps,
  clippedSteps,
  delta,
  deltaSteps,
  discounted,
  ensemble,
  potential,
  potentialSteps,
  preference,
  product,
  reward,
  route,
  scheduleAt,
  scheduled,
  score,
  squash,
  sum,
  type EnsembleOptions,
  type Reward,
} from "../../src/rewards/index.ts";

const constant = (name: string, value: number | null) => reward(name, () => value);
const number = reward("number", ({ text }) => Number(text));
const row = { prompt: "p", completion: "x" };
const stepped = (steps: readonly number[]) => reward.steps("prm", () => steps);
const withSteps = (count: number) => ({ ...row, steps: Array.from({ length: count }, (_, i) => `step ${i}`) });
const close = (actual: readonly number[] | undefined, expected: readonly number[]) => {
  expect(actual).toHaveLength(expected.length);
  expected.forEach((one, i) => expect(actual![i]).toBeCloseTo(one, 12));
};

test("a product multiplies; CaRL's known answers", async () => {
  const carl = (progress: number, factors: readonly number[], terminal: number) => {
    const kept = product({
      progress: constant("progress", progress),
      ...Object.fromEntries(factors.map((p, i) => [`p${i}`, constant(`p${i}`, p)])),
    });
    return sum({ kept, infraction: constant("infraction", terminal) }, { weights: { infraction: -1 } });
  };
  expect((await score(carl(2, [1, 1], 0), row)).value).toBe(2);
  expect((await score(carl(2, [0.5, 0.8], 0), row)).value).toBe(0.8);
  const ended = await score(carl(1, [1], 1), row);
  expect(ended).toEqual({ value: 0, parts: { kept: 1, "kept/progress": 1, "kept/p0": 1, infraction: 1 } });
});

test("an unscorable part makes a product unscorable, unless it may be skipped", async () => {
  const parts = { a: constant("a", 3), b: constant("b", null) };
  expect(await score(product(parts), row)).toMatchObject({ value: null, parts: { a: 3, b: null }, error: { kind: "declined" } });
  expect(await score(product(parts, { missing: "skip" }), row)).toEqual({ value: 3, parts: { a: 3, b: null } });
  expect(() => product({})).toThrow(/product needs at least one part/);
});

const exact = reward("exact", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) => text === reference);
const tested = reward("tested", { columns: z.object({ tests: z.array(z.string()) }) }, ({ text, tests }) => tests.includes(text));

test("a route asks only the reward that the row names", async () => {
  const routed = route("kind", { math: exact, code: tested });
  expect(routed.parts).toEqual(["math", "code"]);
  expect(
    await score(routed, [
      { ...row, kind: "math", reference: "x" },
      { ...row, kind: "code", tests: ["y"] },
    ]),
  ).toEqual([
    { value: 1, parts: { math: 1 } },
    { value: 0, parts: { code: 0 } },
  ]);
  // @ts-expect-error no route has this key
  await score(routed, { ...row, kind: "coding", tests: ["y"] });
  // @ts-expect-error the reward of this route needs `tests`
  await score(routed, { ...row, kind: "code", reference: "y" });
});

test("an unknown key is an error with the keys that exist, never a zero", async () => {
  const routed = route("kind", { math: constant("m", 1), code: constant("c", null) });
  const said = await score(
    routed as unknown as Reward,
    [{ ...row, kind: "coding" }, { ...row, kind: "constructor" }, row, { ...row, kind: "code" }],
    { onWarning: () => {} },
  );
  expect(said.map(({ error }) => error?.kind)).toEqual(["wrong-column", "wrong-column", "missing-column", "declined"]);
  expect(said[0]!.error!.message).toBe('"kind" is "coding", and the reward "route(kind: math, code)" has routes for math, code.');
  expect(said[3]!.error!.message).toBe('The route "code": The reward "c" could not say (null).');
  expect(() => route("kind", {})).toThrow(/at least one/);
});

test("a route to a reward of groups hands over whole groups only", async () => {
  const rank = reward.group("rank", (answers) => answers.map(() => answers.length));
  const routed = route("kind", { rank, one: constant("one", 1) });
  const rows = [
    { prompt: "a", completion: "1", kind: "rank" as const },
    { prompt: "a", completion: "2", kind: "rank" as const },
    { prompt: "b", completion: "3", kind: "rank" as const },
    { prompt: "b", completion: "4", kind: "one" as const },
  ];
  const scores = await score(routed, rows);
  expect(scores.map(({ value }) => value)).toEqual([2, 2, null, 1]);
  expect(scores[2]!.error!.message).toMatch(/needs whole groups/);
});

test("clip keeps the value before as a part", async () => {
  expect(await score(clip(sum({ a: constant("a", 7) }), { low: 0, high: 2 }), row)).toEqual({ value: 2, parts: { "sum(a)": 7, a: 7 } });
  expect((await score(clip(constant("a", -7), { low: -1 }), row)).value).toBe(-1);
  expect((await score(clip(constant("a", null), { low: -1 }), row)).error!.kind).toBe("declined");
  expect(() => clip(number, {})).toThrow(/one of them must be given/);
  expect(() => clip(number, { low: 2, high: 1 })).toThrow(/at most high/);
  expect(() => clip(sum({ "sum(a)": constant("a", 1) }, { name: "sum(a)" }), { low: 0 })).toThrow(/a part of the same name/);
});

test("centre: a number, the group, or reference answers", async () => {
  expect(await score(centre(number, { at: 0.5 }), { ...row, completion: "2" })).toEqual({ value: 1.5, parts: { number: 2 } });
  const rows = ["1", "2", "6", "x", "9"].map((completion, i) => ({ prompt: i < 4 ? "p" : "q", completion }));
  const scores = await score(centre(number, { at: "group" }), rows);
  expect(scores.map(({ value }) => value)).toEqual([-2, -1, 3, null, null]);
  expect(scores[3]!.error!.kind).toBe("not-finite");
  expect(scores[4]!.error!.message).toMatch(/no mean to compare with/);
  expect((await score(centre(number, { at: { references: "others" } }), { ...row, completion: "2", others: ["1", 2] })).value).toBe(0.5);
  expect(() => centre(number, { at: Number.NaN })).toThrow(/finite/);
});

test("preference as reward: PAR's known answers", async () => {
  const at = (completion: string, references: (string | number)[]) => score(preference(number), { ...row, completion, references });
  expect((await at("2", ["1"])).value).toBeCloseTo(0.731059, 6);
  expect((await at("2", ["1", 3])).value).toBeCloseTo(0.5, 12);
  expect((await at("-1", ["0.5", "0.5"])).value).toBeCloseTo(0.182426, 6);
  expect((await at("1e6", [0])).value).toBe(1);
  expect((await at("-1e6", [0])).value).toBe(0);
  expect((await score(preference(number, { steepness: 2, references: "r" }), { ...row, completion: "1", r: [0.5] })).value).toBeCloseTo(
    0.731059,
    6,
  );
});

test("reference answers are scored once each, and what cannot be scored is null", async () => {
  const asked = vi.fn(({ text }: { text: string }) => Number(text));
  const one = preference(reward("r", asked));
  const rows = ["1", "2"].map((completion) => ({
    prompt: "p",
    completion,
    references: ["0", [{ role: "assistant" as const, content: "3" }]],
  }));
  await score(one, rows);
  expect(asked).toHaveBeenCalledTimes(4);
  expect((await score(one, { ...row, completion: "1", references: ["x"] })).error).toEqual({
    kind: "not-finite",
    message: 'The reference answer 1 of "references": The reward "r" returned NaN.',
  });
  expect((await score(one as unknown as Reward, { ...row, completion: "1" })).error!.kind).toBe("missing-column");
  expect((await score(one, { ...row, completion: "1", references: [] })).error!.kind).toBe("wrong-column");
  expect(() => preference(number, { steepness: 0 })).toThrow(/above 0/);
  expect(() => preference(reward.group("g", (answers) => answers.map(() => 1)))).toThrow(/compares groups/);
});

test("clip and delta of steps: the known answers of Clip and Delta", async () => {
  const q = [0.9, 0.4, 0.7, 0.8];
  close(clippedSteps(q, 0.5), [0, -0.1, 0, 0]);
  close(deltaSteps(q), [0.5, -0.3, -0.1, 0.8]);
  expect(deltaSteps(q).reduce((a, b) => a + b)).toBeCloseTo(0.9, 12);
  close(deltaSteps(clippedSteps(q, 0.5)), [0.1, -0.1, 0, 0]);
  close(deltaSteps([...q, 0.3], { answerStep: true }), [0.5, -0.3, -0.1, 0.8, 0]);
  const both = await score(delta(clipSteps(stepped(q), { threshold: 0.5 })), withSteps(4));
  close(both.steps, [0.1, -0.1, 0, 0]);
  expect(both.value).toBeCloseTo(0, 12);
  expect(both.parts!["prm"]).toBeCloseTo(0.7, 12);
  expect((await score(delta(number), { ...row, completion: "1" })).error!.message).toMatch(/grades no steps/);
});

test("what is to come after a delta is the step's own score, whatever the number of steps", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 }), (q) => {
      const deltas = deltaSteps(q);
      q.forEach((own, k) => expect(deltas.slice(k).reduce((a, b) => a + b, 0)).toBeCloseTo(own, 9));
    }),
    { seed: 1 },
  );
});

test("potential-based shaping adds up to minus the first potential, whatever the steps", async () => {
  close(potentialSteps([1, 3, 2], 0.5), [0.5, -2, -2]);
  const shaped = await score(potential(stepped([1, 3, 2]), { gamma: 0.5 }), withSteps(3));
  close(shaped.steps, [0.5, -2, -2]);
  expect(shaped.value).toBeCloseTo(-1, 12);
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 9 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (phi, gamma) => {
        const sum = potentialSteps(phi, gamma).reduce((total, step, k) => total + gamma ** k * step, 0);
        expect(sum).toBeCloseTo(-phi[0]!, 9);
      },
    ),
    { seed: 1 },
  );
});

test("squash bends into bounds", async () => {
  const at = async (by: "sigmoid" | "tanh", completion: string) =>
    (await score(squash(number, { by, steepness: 2 }), { ...row, completion })).value;
  expect(await at("sigmoid", "0.5")).toBeCloseTo(0.731059, 6);
  expect(await at("tanh", "0.5")).toBeCloseTo(Math.tanh(1), 12);
  expect(await at("sigmoid", "-1e9")).toBe(0);
  expect(() => squash(number, { by: "tanh", steepness: 0 })).toThrow(/above 0/);
});

test("a sum with steps puts outcomes on the last one", async () => {
  const whole = sum({ outcome: constant("outcome", 1), process: delta(stepped([0.9, 0.4])) }, { weights: { process: 0.5 } });
  const { value, steps } = await score(whole, withSteps(2));
  expect(value).toBeCloseTo(1.45, 12);
  close(steps, [0.25, 1.2]);
  const other = reward.steps("other", () => [1]);
  const torn = sum({ a: stepped([1, 2]), b: sum({ other }) });
  expect((await score(torn, withSteps(2))).error!.kind).toBe("not-a-grade");
});

test("a discounted reward counts steps or turns", async () => {
  expect((await score(discounted(stepped([1, 1, 4]), { gamma: 0.5 }), withSteps(3))).value).toBe(2.5);
  const turns = ["a", "b", "c"].flatMap((content) => [
    { role: "assistant" as const, content },
    { role: "user" as const, content: "go on" },
  ]);
  expect(await score(discounted(constant("won", 8), { gamma: 0.5 }), { prompt: "p", completion: turns })).toEqual({
    value: 2,
    parts: { won: 8 },
  });
  expect((await score(discounted(constant("won", 8), { gamma: 0.5 }), row)).value).toBe(8);
  expect(() => discounted(number, { gamma: 1.1 })).toThrow(/from 0 to 1/);
});

test("scheduled weights follow the version of the policy", async () => {
  const ramp = scheduled(constant("format", 1), {
    knots: [
      [0, 2],
      [150, 1],
    ],
  });
  const at = async (weightsVersion: number) => (await score(ramp, { ...row, weightsVersion })).value;
  expect([await at(0), await at(75), await at(150), await at(1000)]).toEqual([2, 1.5, 1, 1]);
  const held = {
    knots: [
      [0, 1],
      [30, 0.5],
    ],
    between: "hold",
  } as const;
  expect([-1, 0, 29, 30].map((t) => scheduleAt(held, t))).toEqual([1, 1, 1, 0.5]);
  expect((await score(ramp as unknown as Reward, row)).error).toMatchObject({ kind: "missing-column" });
  expect(() => scheduled(number, { knots: [] })).toThrow(/knots/);
  expect(() =>
    scheduled(number, {
      knots: [
        [1, 0],
        [1, 1],
      ],
    }),
  ).toThrow(/rising/);
});

test("ensembles: mean, min, lower bound, lowest variance, on one scale", async () => {
  const members = { a: constant("a", 1), b: constant("b", 3) };
  const value = async (options: EnsembleOptions<"a" | "b">) => (await score(ensemble(members, options), row)).value;
  expect(await value({})).toBe(2);
  expect(await value({ by: "min" })).toBe(1);
  // The members' standard deviation is sqrt(2).
  expect(await value({ by: { lowerBound: 1 } })).toBeCloseTo(2 - Math.SQRT2, 12);
  // Weights 1/1 and 1/3: (1 + 1) / (4 / 3).
  expect(await value({ by: { lowestVariance: { a: 1, b: 3 } } })).toBeCloseTo(1.5, 12);
  expect(await value({ scales: { a: { mean: 0, deviation: 0.5 }, b: { mean: 3, deviation: 1 } } })).toBe(1);
  expect(await score(ensemble(members, { by: "min" }), row)).toEqual({ value: 1, parts: { a: 1, b: 3 } });
});

test("an ensemble's silent member is visible or makes it unscorable", async () => {
  const members = { a: constant("a", 1), b: constant("b", null) };
  expect((await score(ensemble(members), row)).error!.kind).toBe("declined");
  expect(await score(ensemble(members, { missing: "skip" }), row)).toEqual({ value: 1, parts: { a: 1, b: null } });
  expect((await score(ensemble(members, { missing: "skip", by: { lowerBound: 1 } }), row)).error!.message).toMatch(/needs two/);
  expect(() => ensemble({})).toThrow(/at least one/);
  expect(() => ensemble(members, { by: { lowestVariance: { a: 1, b: 0 } } })).toThrow(/variance of "b"/);
  expect(() => ensemble(members, { by: { lowerBound: -1 } })).toThrow(/lowerBound/);
});

test("versions tell options apart", () => {
  const all = [
    clip(number, { low: 0 }),
    clip(number, { low: 1 }),
    centre(number, { at: 0 }),
    centre(number, { at: "group" }),
    preference(number),
    preference(number, { steepness: 2 }),
    discounted(number, { gamma: 1 }),
    scheduled(number, { knots: [[0, 1]] }),
    product({ number }),
    ensemble({ number }),
    ensemble({ number }, { by: "min" }),
    route("k", { number }),
  ];
  expect(new Set(all.map(({ version }) => version)).size).toBe(all.length);
});
