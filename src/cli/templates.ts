/** The files that `guerdon init` writes: a reward, its test, and a configuration. Trained in well under a minute. */
export const templates: Readonly<Record<string, string>> = {
  "reward.ts": `// A reward is a function that scores an answer. This one is the sum of two parts.
import { sorting } from "guerdon/environments";
import { fromEnvironment, reward, sum } from "guerdon/rewards";

// Tasks: "7 2 9 4 :" asks for "2 4 7 9".
export const environment = sorting({ count: 4, highest: 9 });

// 1 when the environment's own check says that the answer is right, else 0.
export const right = fromEnvironment(environment);

// A function of your own: the share of numbers that stand where they belong. It gets the answer as \`text\` and the task as \`prompt\`;
// further columns of the data are declared by a schema (see the documentation of \`reward\`). It may return a number, true or false, or
// null for "cannot say"; a null is counted and reported, and never becomes a silent zero.
export const placed = reward("placed", ({ text, prompt }) => {
  const wanted = String(prompt).split(" ").slice(0, -1).map(Number).sort((a, b) => a - b);
  const given = text.split(" ").map(Number);
  return wanted.filter((number, i) => number === given[i]).length / wanted.length;
});

// What training sees. Every part keeps its name in the metrics.
export const quality = sum({ right, placed }, { weights: { placed: 0.2 } });
`,
  "reward.test.ts": `import assert from "node:assert/strict";
import test from "node:test";
import { score } from "guerdon/rewards";
import { quality } from "./reward.ts";

const grade = async (completion: string) => {
  const [graded] = await score(quality, [{ prompt: "7 2 9 4 :", completion, reference: "2 4 7 9" }]);
  return graded;
};

test("a right answer gets both parts", async () => {
  const { value, parts } = await grade("2 4 7 9");
  assert.deepEqual(parts, { right: 1, placed: 1 });
  assert.equal(value, 1.2);
});

test("a wrong answer gets its share of numbers in place", async () => {
  const { value, parts } = await grade("2 4 9 7");
  assert.deepEqual(parts, { right: 0, placed: 0.5 });
  assert.equal(value, 0.1);
});
`,
  "train.config.ts": `// What to train, on what, and how. Run it:  guerdon train train.config.ts
import { defineJob, grpo } from "guerdon/training";
import { environment, quality } from "./reward.ts";

export default defineJob({
  name: "my-first-run",

  // Poses the tasks. Anything with a \`draw\` function is an environment.
  environment,
  // Scores the answers. Without it, the environment's own check is the reward.
  reward: quality,

  // A transformer from scratch. Its vocabulary is the environment's.
  model: { layers: 2, width: 32, heads: 4 },
  // The longest prompt in tokens: four numbers and ":".
  longestPrompt: 5,

  // First the notation, from demonstrations ...
  warmUp: { steps: 120, tasksPerStep: 64 },

  // ... then the skill, from the reward alone. \`as\` names a convention: paper, trl, verl, dr-grpo or dapo. A method is plain data:
  // replace its \`credit\` or its \`objective\` with your own.
  method: grpo({ as: "trl", groupSize: 8 }),
  // Tasks in a step (each gets groupSize answers), and steps.
  tasksPerStep: 16,
  steps: 100,

  // Held-out tasks, which training never sees.
  evaluation: { tasks: 200, samples: 8 },
});
`,
};
