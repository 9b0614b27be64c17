import { localEngine } from "guerdon/engines";
import { sorting } from "guerdon/environments";
import { symbolTokenizer, transformer } from "guerdon/policies";
import { grpo, supervised, train } from "guerdon/training";

const environment = sorting({ count: 3, highest: 9 });
const tokenizer = symbolTokenizer(environment.symbols ?? []);
const shape = {
  norm: "layer",
  positions: "learned",
  activation: "gelu",
  tied: false,
  vocabulary: tokenizer.vocabulary,
  context: 16,
} as const;
const engine = await localEngine({ policy: transformer({ layers: 1, width: 32, heads: 2, ...shape }, { tokenizer }), seed: 1 });
const warmUp = { method: supervised({ learningRate: 5e-3 }), steps: 60 };
for await (const step of train({ engine, environment, warmUp, method: grpo({ as: "trl" }), steps: 20, seed: 1 }))
  if (step.reward) console.log(step.index, step.reward.mean);
