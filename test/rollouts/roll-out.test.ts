import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { countdown } from "../../src/environments/index.ts";
import type { TextEnvironment, TextTask } from "../../src/environments/index.ts";
import { symbolTokenizer, type Tokenizer } from "../../src/policies/tokenizer.ts";
import { rollOut, toRow } from "../../src/rollouts/index.ts";
import { below, stream } from "../../src/statistics/stream.ts";
import { fakeEngine, type Draw } from "../kit/fake-engine.ts";

const environment = countdown();
const tokenizer = symbolTokenizer(environment.symbols!);
const end = tokenizer.end!;
const tasks = [0, 1, 2].map((i) => environment.draw("train", stream(1, i)));
/** Five random numbers and the end. */
const numbers: Draw = ({ rng }) => [...Array.from({ length: 5 }, () => below(rng, 100)), end];

test("groups of answers, in the order of the tasks, from streams of their own", async () => {
  const engine = fakeEngine(tokenizer, numbers);
  const rollouts = await rollOut(engine, environment, tasks, { groupSize: 2, seed: 5, step: 7 });
  expect(rollouts.map(({ task }) => task)).toEqual([0, 0, 1, 1, 2, 2].map((i) => tasks[i]));
  expect(rollouts.map(({ group }) => group)).toEqual(["7:0", "7:0", "7:1", "7:1", "7:2", "7:2"]);
  rollouts.forEach(({ row }, i) => {
    const rng = stream(5, "rollout", 7, i);
    expect([...row.actions]).toEqual([...Array.from({ length: 5 }, () => below(rng, 100)), end]);
  });
  expect(rollouts[0]).toMatchObject({ stop: "stop", weightsVersion: 3, sampling: { engine: "fake", temperature: 1, topK: 0, topP: 1 } });
  expect([...rollouts[0]!.mask]).toEqual([1, 1, 1, 1, 1, 1]);
});

test("a second call in a step goes on counting: other groups, other streams", async () => {
  const engine = fakeEngine(tokenizer, numbers);
  const all = await rollOut(engine, environment, tasks, { groupSize: 2, seed: 5, step: 7 });
  const second = await rollOut(engine, environment, tasks.slice(1), { groupSize: 2, seed: 5, step: 7, firstTask: 1 });
  expect(second).toEqual(all.slice(2));
});

test("two draws of one task are two groups", async () => {
  const rollouts = await rollOut(fakeEngine(tokenizer, numbers), environment, [tasks[0]!, tasks[0]!], { groupSize: 1, seed: 1, step: 0 });
  expect(new Set(rollouts.map(({ group }) => group)).size).toBe(2);
});

test("the sampling settings reach the engine; the answer's length is the environment's unless said", async () => {
  const seen: unknown[] = [];
  const engine = fakeEngine(tokenizer, (_, options) => {
    seen.push(options);
    return [end];
  });
  await rollOut(engine, environment, tasks.slice(0, 1), {
    groupSize: 1,
    seed: 1,
    step: 0,
    sampling: { temperature: 0.5, record: ["entropy"] },
  });
  await rollOut(engine, environment, tasks.slice(0, 1), { groupSize: 1, seed: 1, step: 0, sampling: { maxActions: 3 } });
  expect(seen).toEqual([{ maxActions: 12, temperature: 0.5, record: ["entropy"] }, { maxActions: 3 }]);
});

test("a rollout becomes a row for rewards", async () => {
  const [rollout] = await rollOut(
    fakeEngine(tokenizer, () => [1, 106, 2, 101, 3, end]),
    environment,
    tasks.slice(0, 1),
    { groupSize: 1, seed: 1, step: 0 },
  );
  const tagged = { ...rollout!, task: { ...rollout!.task, tags: { subset: "easy" }, columns: { tests: [1] } } };
  expect(toRow(tagged)).toEqual({
    prompt: tasks[0]!.prompt,
    completion: "1 + 2 = 3",
    reference: tasks[0]!.reference,
    group: "0:0",
    task: tasks[0]!.id,
    weightsVersion: rollout!.weightsVersion,
    subset: "easy",
    tests: [1],
  });
  expect(() => toRow({ ...rollout!, task: { id: "3", prompt: 3 } })).toThrow(/prompt of task "3" is not text/);
});

/** Counts down with the policy: answers with one number less until there is none. */
const talking: TextEnvironment = {
  name: "talking",
  maxActions: 4,
  draw: () => ({ id: "t", prompt: "9 :" }),
  respond(_, turns) {
    const last = Number.parseInt(turns.at(-1)!.content, 10);
    return last > 0 ? `${last - 1} :` : null;
  },
};
const talk: TextTask = { id: "t", prompt: "9 :" };
const colon = tokenizer.encode(":")[0]!;

test("known answer: three turns, masks, spans, log-probabilities and recorded outputs", async () => {
  const said = [
    [5, end],
    [3, 0, end],
    [0, end],
  ];
  const engine = fakeEngine(tokenizer, ({ from }) => said[from === undefined ? 0 : from.actions.length > 5 ? 2 : 1]!);
  const [rollout] = await rollOut(engine, talking, [talk], {
    groupSize: 1,
    seed: 1,
    step: 0,
    tokenizer,
    sampling: { record: ["entropy"] },
  });
  expect([...rollout!.row.prompt]).toEqual([9, colon]);
  expect([...rollout!.row.actions]).toEqual([5, end, 4, colon, 3, 0, end, 2, colon, 0, end]);
  expect([...rollout!.mask]).toEqual([1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1]);
  expect([...rollout!.behaviourLogProbs].map((p) => p + 0)).toEqual([-5, -end, 0, 0, -3, 0, -end, 0, 0, 0, -end]);
  expect([...rollout!.recorded!["entropy"]!]).toEqual([5, end, 0, 0, 3, 0, end, 0, 0, 0, end]);
  expect(rollout!.steps).toEqual([
    { from: 0, to: 2 },
    { from: 4, to: 7 },
    { from: 9, to: 11 },
  ]);
  expect(rollout!.turns!.map(({ role, content }) => `${role}: ${content}`)).toEqual([
    "assistant: 5",
    "user: 4 :",
    "assistant: 3 0",
    "user: 2 :",
    "assistant: 0",
  ]);
  expect(rollout!.completion).toBe("0");
  expect(rollout!.stop).toBe("stop");
  expect(toRow(rollout!).completion).toEqual(rollout!.turns);
});

test("the conversation ends at a cut answer and at the most turns", async () => {
  const cut = await rollOut(
    fakeEngine(tokenizer, () => [5, 5, 5, 5]),
    talking,
    [talk],
    { groupSize: 1, seed: 1, step: 0, tokenizer },
  );
  expect(cut[0]).toMatchObject({ stop: "length", completion: "5 5 5 5", steps: [{ from: 0, to: 4 }] });
  const endless = await rollOut(
    fakeEngine(tokenizer, () => [5, end]),
    talking,
    [talk],
    { groupSize: 1, seed: 1, step: 0, tokenizer, maxTurns: 3 },
  );
  expect(endless[0]!.stop).toBe("length");
  expect(endless[0]!.steps).toHaveLength(3);
  // The last turn is the policy's: an answer that nobody reads is not added.
  expect(endless[0]!.turns!.at(-1)!.role).toBe("assistant");
  expect([...endless[0]!.mask]).toEqual([1, 1, 0, 0, 1, 1, 0, 0, 1, 1]);
});

/** A tokenizer whose encoding is not the inverse of its decoding, as with real ones: two "a" tokens decode to what one "aa" token is. */
const letters = ["a", "aa", "b", "!"];
const merging: Tokenizer = {
  vocabulary: letters.length,
  end: 3,
  encode: (text) => Int32Array.from(text.match(/aa|a|b/g) ?? [], (piece) => letters.indexOf(piece)),
  decode: (ids) => Array.from(ids, (id) => letters[id]!).join(""),
  encodePrompt: (prompt) => merging.encode(prompt as string),
};

test("tokens in, tokens out: what the policy drew is never encoded again", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 5 }), async (seed, groupSize) => {
      const drawn = new Set<string>();
      const key = (group: string, from: number, tokens: readonly number[]): string => `${group} ${from} ${tokens.join(",")}`;
      const engine = fakeEngine(merging, ({ rng, group, from }) => {
        const tokens = [...Array.from({ length: 1 + below(rng, 4) }, () => below(rng, 3)), 3];
        drawn.add(key(group, from?.actions.length ?? 0, tokens));
        return tokens;
      });
      const encode = vi.fn((text: string) => merging.encode(text));
      const replies: string[] = [];
      const environment: TextEnvironment = {
        name: "letters",
        maxActions: 5,
        draw: () => ({ id: "l", prompt: "ab" }),
        respond(_, turns) {
          if (turns.length > 4) return null;
          replies.push("baa");
          return "baa";
        },
      };
      const task = { id: "l", prompt: "ab" };
      const rollouts = await rollOut(engine, environment, [task, task], { groupSize, seed, step: 0, tokenizer: { ...merging, encode } });
      expect(encode.mock.calls.map(([text]) => text)).toEqual(replies);
      for (const { row, mask, steps, turns, group, behaviourLogProbs } of rollouts) {
        expect(mask).toHaveLength(row.actions.length);
        expect(behaviourLogProbs).toHaveLength(row.actions.length);
        expect(steps).toHaveLength(3);
        const own = new Set<number>();
        for (const { from, to } of steps!) {
          const tokens = [...row.actions.subarray(from, to)];
          expect(drawn.has(key(group, from, tokens))).toBe(true);
          for (let j = from; j < to; j++) own.add(j);
        }
        row.actions.forEach((token, j) => {
          expect(mask[j]).toBe(own.has(j) ? 1 : 0);
          expect(behaviourLogProbs[j]! + 0).toBe(own.has(j) ? -token + 0 : 0);
        });
        expect(turns!.filter(({ role }) => role === "assistant").map(({ content }) => content)).toEqual(
          steps!.map(({ from, to }) => merging.decode(row.actions.subarray(from, to - 1))),
        );
      }
    }),
    { numRuns: 50, seed: 1 },
  );
});

test("every turn of every answer has its own stream, whatever the others do", async () => {
  const engine = () => fakeEngine(tokenizer, ({ rng }) => [below(rng, 4), below(rng, 100), end]);
  const options = { groupSize: 4, seed: 3, step: 2, tokenizer };
  const both = await rollOut(engine(), talking, [talk, talk], options);
  const second = await rollOut(engine(), talking, [talk], { ...options, firstTask: 1 });
  expect(second).toEqual(both.slice(4));
});

test("an engine that changes earlier tokens is caught", async () => {
  const honest = fakeEngine(tokenizer, () => [5, end]);
  const lying = {
    ...honest,
    sample: async (...asked: Parameters<typeof honest.sample>) =>
      (await honest.sample(...asked)).map((rollout, i) =>
        asked[0][i]!.from ? { ...rollout, row: { ...rollout.row, actions: rollout.row.actions.map(() => 1) } } : rollout,
      ),
  };
  await expect(rollOut(lying, talking, [talk], { groupSize: 1, seed: 1, step: 0, tokenizer })).rejects.toThrow(
    /tokens of earlier turns have changed/,
  );
});

test("what cannot work is refused", async () => {
  const engine = fakeEngine(tokenizer, numbers);
  await expect(rollOut(engine, talking, [talk], { groupSize: 1, seed: 1, step: 0 })).rejects.toThrow(
    /"talking" answers back, so rollOut needs the policy's tokenizer/,
  );
  await expect(rollOut(engine, environment, tasks, { groupSize: 0, seed: 1, step: 0 })).rejects.toThrow(/groupSize/);
  await expect(rollOut(engine, environment, tasks, { groupSize: 1, seed: 1, step: 0, maxTurns: Number.NaN })).rejects.toThrow(/maxTurns/);
  await expect(rollOut(engine, environment, tasks, { groupSize: 1, seed: 1, step: 0, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: "interrupted",
  });
  expect(await rollOut(engine, environment, [], { groupSize: 1, seed: 1, step: 0 })).toEqual([]);
});
