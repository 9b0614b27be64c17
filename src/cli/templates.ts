/** The files that `guerdon init` writes: a reward, ten rows, a test, and a configuration. Trained in well under a minute. */
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
  "rows.jsonl": `{"prompt": "7 2 9 4 :", "completion": "2 4 7 9", "reference": "2 4 7 9"}
{"prompt": "7 2 9 4 :", "completion": "2 4 9 7", "reference": "2 4 7 9"}
{"prompt": "5 5 1 3 :", "completion": "1 3 5 5", "reference": "1 3 5 5"}
{"prompt": "5 5 1 3 :", "completion": "5 5 3 1", "reference": "1 3 5 5"}
{"prompt": "8 6 0 9 :", "completion": "0 6 8 9", "reference": "0 6 8 9"}
{"prompt": "8 6 0 9 :", "completion": "0 6 8", "reference": "0 6 8 9"}
{"prompt": "1 2 3 4 :", "completion": "1 2 3 4", "reference": "1 2 3 4"}
{"prompt": "1 2 3 4 :", "completion": "", "reference": "1 2 3 4"}
{"prompt": "9 8 7 6 :", "completion": "6 7 8 9", "reference": "6 7 8 9"}
{"prompt": "9 8 7 6 :", "completion": "sorted", "reference": "6 7 8 9"}
`,
  "reward.test.ts": `// Does the reward prefer what is better? Claims about it, for node:test, vitest or any other runner.
import { readFileSync } from "node:fs";
import test from "node:test";
import { expectReward } from "guerdon/rewards";
import { quality, right } from "./reward.ts";

// Ten rows, the better answer to each task first:  guerdon score rows.jsonl --reward reward.ts#quality
const rows = readFileSync(new URL("rows.jsonl", import.meta.url), "utf8").trim().split("\\n").map((line) => JSON.parse(line));

test("a right answer gets both parts", () => expectReward(quality).toScore(rows[0], 1.2));

test("a wrong answer gets its share of numbers in place", () => expectReward(quality).toScore(rows[1], 0.1));

for (let i = 0; i < rows.length; i += 2)
  test(\`the better answer to \${rows[i].prompt} is preferred\`, () => expectReward(quality).toPrefer(rows[i], rows[i + 1], { margin: 0.5 }));

test("without a reference nobody can say", () => expectReward(right).toBeUnscorable({ prompt: "2 1 :", completion: "1 2" }, "missing-column"));
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
