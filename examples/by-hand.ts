// Steps of GRPO from their parts, without `train`: draw, score, credit, update. The reward is our own: small numbers are good.
import { reward, score } from "guerdon";
import { convention, examples, groupAdvantage } from "guerdon/credit";
import { localEngine } from "guerdon/engines";
import { countdown } from "guerdon/environments";
import { clippedSurrogate } from "guerdon/objectives";
import { symbolTokenizer, transformer } from "guerdon/policies";
import { scored } from "guerdon/rewards";
import { rollOut, toRow } from "guerdon/rollouts";
import { mean, stream } from "guerdon/statistics";
import { step } from "guerdon/training";

const environment = countdown();
const tokenizer = symbolTokenizer(environment.symbols ?? []);
const shape = { norm: "rms", positions: "rotary", activation: "swiglu", tied: true } as const;
const policy = transformer({ layers: 1, width: 32, heads: 2, vocabulary: tokenizer.vocabulary, context: 24, ...shape }, { tokenizer });
const engine = await localEngine({ policy, seed: 1 });

const small = reward("small", ({ text }) => {
  const symbols = text.split(" ").filter((symbol) => symbol !== "");
  return symbols.length === 0 ? 0 : symbols.filter((symbol) => /^\d$/.test(symbol)).length / symbols.length;
});
const settings = convention("trl");
const objective = clippedSurrogate({ ...settings, ratio: "token" });
const optimizer = { learningRate: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, clipNorm: 1 };

for (let at = 0; at < 40; at++) {
  const tasks = Array.from({ length: 4 }, (_, i) => environment.draw("train", stream(1, "task", at, i)));
  const rollouts = await rollOut(engine, environment, tasks, { groupSize: 8, seed: 1, step: at });
  const { table } = scored(rollouts, await score(small, rollouts.map(toRow)));
  const advantage = groupAdvantage(table.reward, table.keys.group, settings);
  const { calls } = await step(engine, [{ examples: examples(table, { advantage }), objective }], optimizer);
  console.log(at, mean([...table.reward]).toFixed(3), `${calls} call`); // from 0.1 to 1
}
