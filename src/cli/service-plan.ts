import { existsSync } from "node:fs";
import { mostRows } from "../engines/tinker/passes.ts";
import { outputsOf } from "../objectives/index.ts";
import { readTokenizer } from "../policies/index.ts";
import { stream } from "../statistics/stream.ts";
import type { Json } from "../statistics/snapshot.ts";
import { needsReference, type Job } from "../training/index.ts";
import type { ServiceChoice } from "./service.ts";

/** What a run will ask of a training service, counted without asking it anything. Tokens are upper bounds: answers may end earlier. */
export interface Plan {
  /** Mean over a few tasks, and how it was found out. */
  readonly prompt: { readonly tokens: number; readonly by: "tokenizer" | "four characters a token" };
  readonly steps: number;
  /** Requests of one step by call, without questions for results and signs of life. */
  readonly requests: { readonly [call: string]: number };
  /** Of one step: prompts read and answers drawn when sampling, and tokens through forward and backward passes. */
  readonly tokens: { readonly read: number; readonly drawn: number; readonly passes: number };
  readonly evaluations: { readonly count: number; readonly requests: number; readonly read: number; readonly drawn: number };
  /** Of the whole run. */
  readonly total: { readonly requests: number; readonly sampled: number; readonly passes: number };
}

/** Counts what a job asks of a service. Sampling in several rounds (DAPO) is counted as one. */
export async function planOf(job: Job, choice: ServiceChoice): Promise<Plan> {
  const { environment, contender, steps, evaluation } = job;
  const { method, tasksPerStep } = contender;
  const prompt = await promptLength(job, choice.tokenizer);
  const longest = prompt.tokens + environment.maxActions;
  const rollouts = method.data === "rollouts";
  const rows = tasksPerStep * (rollouts ? method.groupSize : 1);
  const epochs = rollouts ? method.epochs : 1;
  const updates = epochs * (rollouts ? method.minibatches : 1);
  const pass = (count: number) => Math.ceil(count / mostRows);

  // The first update of a step is on the weights that drew its rollouts, so that their own log-probabilities do for a forward pass.
  const needs = method.objective.needs.token;
  const known = rollouts && needs.includes("behaviour") && outputsOf(method.objective).every((name) => name === "logProbs");
  const { temperature = 1, topK = 0, topP = 1 } = rollouts ? method.sampling : {};
  const first = known && temperature === 1 && topK === 0 && topP === 1 ? 1 : 0;
  const oneCall = method.objective.linear || (choice.serverLosses && method.objective.served !== undefined);
  const twice = oneCall ? 0 : updates - first;
  const reads = (rollouts && (method.correction !== null || needs.includes("old")) ? 1 : 0) + (needsReference(method) ? 1 : 0);

  const perUpdate = pass(Math.ceil((rows * epochs) / updates));
  const requests = {
    ...(rollouts && { save_weights_for_sampler: 1, asample: tasksPerStep }),
    forward: twice * perUpdate + reads * pass(rows),
    forward_backward: updates * perUpdate,
    optim_step: updates,
  };
  const rowPasses = rows * epochs + (twice * rows * epochs) / updates + reads * rows;
  const tokens = {
    read: rollouts ? tasksPerStep * prompt.tokens : 0,
    drawn: rollouts ? rows * environment.maxActions : 0,
    passes: Math.round(rowPasses * longest),
  };

  const count = 2 + (evaluation.every === undefined ? 0 : Math.max(0, Math.ceil(steps / evaluation.every) - 1));
  const evaluations = {
    count,
    requests: 2 * evaluation.tasks,
    read: 2 * evaluation.tasks * prompt.tokens,
    drawn: evaluation.tasks * (evaluation.samples + 1) * environment.maxActions,
  };
  const sum = Object.values(requests).reduce((a, b) => a + b, 0);
  return {
    prompt,
    steps,
    requests,
    tokens,
    evaluations,
    total: {
      requests: steps * sum + count * evaluations.requests,
      sampled: steps * (tokens.read + tokens.drawn) + count * (evaluations.read + evaluations.drawn),
      passes: steps * tokens.passes,
    },
  };
}

/** Mean length of prompts. A tokenizer of the hub is not downloaded for it. */
async function promptLength({ environment, seed }: Job, name: string): Promise<Plan["prompt"]> {
  const prompts = Array.from({ length: 20 }, (_, i) => environment.draw("train", stream(seed, "plan", i)).prompt);
  const mean = (lengths: readonly number[]) => Math.ceil(lengths.reduce((a, b) => a + b, 0) / lengths.length);
  if (existsSync(name)) {
    const tokenizer = await readTokenizer(name);
    return { tokens: mean(prompts.map((prompt) => tokenizer.encodePrompt(prompt).length)), by: "tokenizer" };
  }
  const characters = (prompt: (typeof prompts)[number]) =>
    typeof prompt === "string" ? prompt.length : prompt.reduce((sum, { content }) => sum + content.length + 16, 0);
  return { tokens: mean(prompts.map((prompt) => characters(prompt) / 4)), by: "four characters a token" };
}

const n = (value: number) => value.toLocaleString("en-US");

/** The plan in lines. */
export function planLines({ baseUrl, model, rank, tokenizer, keyEnv }: ServiceChoice, plan: Plan): [string, string][] {
  const { prompt, steps, requests, tokens, evaluations, total } = plan;
  return [
    ["service", `${baseUrl}, model ${model}, an adapter of rank ${rank}; key from ${keyEnv}${process.env[keyEnv] ? "" : " (not set)"}`],
    ["tokenizer", `${tokenizer}; prompts have about ${n(prompt.tokens)} tokens (${prompt.by})`],
    [
      "a step asks",
      Object.entries(requests)
        .flatMap(([call, count]) => (count > 0 ? [`${n(count)} ${call}`] : []))
        .join(", "),
    ],
    ["of tokens", `${n(tokens.read)} read and up to ${n(tokens.drawn)} drawn by sampling, up to ${n(tokens.passes)} through passes`],
    [
      "evaluations",
      `${evaluations.count} of ${n(evaluations.requests)} asample, ${n(evaluations.read)} tokens read and up to ${n(evaluations.drawn)} drawn each`,
    ],
    [
      "in all",
      `${steps} steps, ${n(total.requests)} requests, up to ${n(total.sampled)} tokens sampled and ${n(total.passes)} through passes`,
    ],
  ];
}

/** The plan as JSON. */
export const planJson = (plan: Plan): Json => JSON.parse(JSON.stringify(plan)) as Json;
