import { localEngine, type LocalEngine } from "../../src/engines/index.ts";
import type { TextEnvironment } from "../../src/environments/index.ts";
import { countdown } from "../../src/environments/index.ts";
import { symbolTokenizer, transformer, type TextSequence, type TransformerPolicy } from "../../src/policies/index.ts";
import { reward } from "../../src/rewards/index.ts";
import { train, type TrainOptions, type TrainReport } from "../../src/training/index.ts";

/** Two numbers of 1 to 4: 6-token answers, a few dozen tasks. */
export const tinyCountdown = (): TextEnvironment => countdown({ count: 2, highest: 4 });

export interface TinyEngine extends LocalEngine<TextSequence> {
  readonly policy: TransformerPolicy;
}

/** One layer, 16 wide: trains in milliseconds. */
export async function tinyEngine(
  environment: TextEnvironment,
  seed = 1,
  heads: { readonly valueHead?: boolean; readonly scoreHead?: boolean } = {},
): Promise<TinyEngine> {
  const tokenizer = symbolTokenizer(environment.symbols!);
  const policy = transformer(
    {
      layers: 1,
      width: 16,
      heads: 2,
      vocabulary: tokenizer.vocabulary,
      context: 24,
      norm: "layer",
      positions: "learned",
      activation: "gelu",
      tied: false,
      ...heads,
    },
    { tokenizer },
  );
  return (await localEngine({ policy, seed })) as TinyEngine;
}

export const environment = tinyCountdown();

/** A mixed batch: the task's text decides nothing, the answer's tokens do. */
export const someRight = reward("even", ({ text }) => text.length % 2 === 0);
export const small = { environment, reward: someRight, tasksPerStep: 4, seed: 7 };

export async function all(options: TrainOptions): Promise<TrainReport[]> {
  const reports = [];
  for await (const report of train(options)) reports.push(report);
  return reports;
}

export async function withEngine<T>(f: (engine: TinyEngine) => Promise<T>): Promise<T> {
  const engine = await tinyEngine(environment);
  try {
    return await f(engine);
  } finally {
    engine.dispose();
    engine.policy.dispose();
  }
}
