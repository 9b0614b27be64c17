/** Work for the browser check: it runs in Node and in a page, and must give the same JSON in both. */
import { convention, examples, groupAdvantage } from "../../src/credit/index.ts";
import { localEngine } from "../../src/engines/index.ts";
import { sorting } from "../../src/environments/index.ts";
import { clippedSurrogate, gradientOf, sft } from "../../src/objectives/index.ts";
import { symbolTokenizer, transformer } from "../../src/policies/index.ts";
import { codeTests, gate, reward, score, scored, sum } from "../../src/rewards/index.ts";
import { rollOut } from "../../src/rollouts/index.ts";
import { meanInterval, shareInterval, stream } from "../../src/statistics/index.ts";
import { demonstrations } from "../../src/credit/index.ts";
import { step } from "../../src/training/step.ts";

const environment = sorting({ count: 3, highest: 5 });

function tinyEngine() {
  const tokenizer = symbolTokenizer(environment.symbols ?? []);
  const config = {
    layers: 1,
    width: 16,
    heads: 2,
    vocabulary: tokenizer.vocabulary,
    context: 16,
    norm: "layer",
    positions: "learned",
    activation: "gelu",
    tied: false,
  } as const;
  return localEngine({ policy: transformer(config, { tokenizer }), seed: 1 });
}

/** Scores, advantages, a loss with its gradient, and intervals: host arithmetic in float64, equal to the last bit. */
export async function work(): Promise<unknown> {
  const short = reward("short", ({ text }) => text.length < 12);
  const polite = reward("polite", ({ text }) => (text === "" ? null : text.includes("please")));
  const quality = gate(short, sum({ polite, mild: polite }, { weights: { mild: 0.5 } }));
  const rows = ["please", "no", "", "please sit down over there"].map((completion) => ({ prompt: "say it", completion }));
  const scores = await score(quality, rows);

  const rollouts = [1, 0, 0, 1].map((_, i) => ({
    task: { id: "a", prompt: "a" },
    row: { prompt: Int32Array.of(1), actions: Int32Array.of(2, 3) },
    group: "a",
    behaviourLogProbs: Float32Array.of(-0.5, -0.25 * i),
    mask: Uint8Array.of(1, 1),
    stop: "stop" as const,
    sampling: { engine: "page", temperature: 1, topK: 0, topP: 1 },
    weightsVersion: 0,
  }));
  const { table } = scored(
    rollouts,
    [1, 0, 0, 1].map((value) => ({ value })),
  );
  const trl = convention("trl", { maxActions: 2 });
  const batch = examples(table, { advantage: groupAdvantage(table.reward, table.keys.group, trl) });
  const objective = clippedSurrogate({ low: 0.2, high: 0.28, ratio: "token", aggregation: "token-mean", divisor: null });
  const { loss, metrics, gradients } = gradientOf(objective, batch, { logProbs: rollouts.map(() => Float32Array.of(-0.4, -0.3)) });
  const programs = ["const f = (x) => 2 * x", "for (;;);", "const f = () => 2"].map((completion) => ({ prompt: "double it", completion }));
  const tests = [{ call: "f", args: [1], returns: 2 }, "assert.equal(f(2), 4)"];
  const code = await score(
    codeTests({ language: "javascript", credit: "share", timeoutMs: 500 }),
    programs.map((row) => ({ ...row, tests })),
  );
  return {
    scores,
    code,
    advantages: [...groupAdvantage(table.reward, table.keys.group, trl)],
    loss,
    metrics,
    gradients: gradients["logProbs"]?.map((row) => [...row]),
    intervals: [meanInterval([1, 2, 3, 4]), shareInterval(9, 10)],
    stream: Array.from({ length: 4 }, stream(7, "page")),
  };
}

/** Trains a one-layer transformer for a few steps on demonstrations and draws an answer: the loss by step, and the answer. */
export async function train(): Promise<{ losses: number[]; answer: string | undefined }> {
  const engine = await tinyEngine();
  const tokenizer = symbolTokenizer(environment.symbols ?? []);
  const losses: number[] = [];
  for (let at = 0; at < 8; at++) {
    const rows = Array.from({ length: 8 }, (_, i) => {
      const task = environment.draw("train", stream(1, "page", at, i));
      const answer = environment.demonstrate?.(task, stream(2, "page", at, i)) ?? "";
      return { prompt: tokenizer.encodePrompt(task.prompt), actions: Int32Array.from([...tokenizer.encode(answer), tokenizer.end ?? 0]) };
    });
    const result = await step(engine, [{ examples: demonstrations(rows), objective: sft({ aggregation: "token-mean", divisor: null }) }], {
      learningRate: 5e-3,
      beta1: 0.9,
      beta2: 0.99,
      epsilon: 1e-8,
    });
    losses.push(Math.round(result.loss * 1e4) / 1e4);
  }
  const [rollout] = await rollOut(engine, environment, [environment.draw("test", stream(3, "page"))], {
    groupSize: 1,
    seed: 1,
    step: 0,
    sampling: { temperature: 0 },
  });
  engine.dispose();
  return { losses, answer: rollout?.completion };
}
