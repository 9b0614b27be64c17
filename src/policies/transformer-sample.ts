import type { Arrays } from "../arrays/index.ts";
import type { Sampled, SampleOptions, SampleRequest } from "../engines/engine.ts";
import type { Task } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import { drawer, entropyOf } from "./draw.ts";
import type { Choice } from "./draw.ts";
import type { Parameters, TextSequence } from "./policy.ts";
import { paddedLength, powerOfTwo } from "./shapes.ts";
import { endings } from "./tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { Resolved } from "./transformer-config.ts";
import { openCache } from "./transformer-cache.ts";
import { decodePrograms } from "./transformer-decode.ts";
import type { DecodePrograms } from "./transformer-decode.ts";
import { checkRow } from "./transformer-inputs.ts";
import type { Model } from "./transformer-layers.ts";

/** The most of a batch: rows x slots, and in units of these many numbers the attention's scores and the logits. Bounds the memory. */
const CELLS = 16384;
const SCORES = 2048;
const LOGITS = 512;

interface Setting {
  readonly config: Resolved;
  /** Parameters as the policy applies them. */
  readonly modelOf: (parameters: Arrays) => Model;
  readonly tokenizer: Tokenizer;
  readonly begin: (task: Task) => TextSequence;
}

type Request = SampleRequest<TextSequence>;

/** What a request continues, and how many tokens it may draw. */
interface Start {
  readonly index: number;
  /** For errors. */
  readonly name: string;
  readonly from: TextSequence;
  /** Prompt and earlier actions. */
  readonly shown: Int32Array;
  readonly limit: number;
}

/** The tokens drawn for a batch, row-major [rows, most]. */
interface Draws {
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly recorded: Readonly<Record<string, Float32Array>>;
  readonly lengths: Int32Array;
  readonly stopped: Uint8Array;
}

export interface Sampler {
  sample(parameters: Parameters, requests: readonly Request[], options: SampleOptions): Promise<Sampled<TextSequence>[]>;
  /** Programs compiled so far. */
  readonly shapes: () => number;
  readonly dispose: () => void;
}

/**
 * Draws answers with a cache of keys and values. Each distinct prompt of a batch is run once, then each token costs one compiled step and
 * one draw on the host from the request's own stream. Every 16 tokens, rows that have ended leave the batch if that halves it. Neither the
 * order nor the composition of a batch changes what a request draws, except where float32 rounding of the logits tips a draw.
 */
export function sampler(setting: Setting): Sampler {
  const programs = decodePrograms(setting.modelOf);
  return {
    sample: async (parameters, requests, options) => {
      const choice = checkOptions(options, setting.config);
      const starts = requests.map((request, index) => start(setting, request, index, options.maxActions));
      // Prompts of like length share a batch, and equal ones stay together.
      const ordered = starts.toSorted((a, b) => a.shown.length - b.shown.length);
      const results: Sampled<TextSequence>[] = [];
      for (let from = 0; from < ordered.length;) {
        const rows = batchSize(ordered, from, setting.config);
        const batch = ordered.slice(from, from + rows);
        const draws = await drawBatch(setting, programs, parameters, batch, requests, options, choice);
        batch.forEach((row, i) => (results[row.index] = result(setting.tokenizer, row, i, draws)));
        from += rows;
      }
      return results;
    },
    shapes: () => programs.shapes(),
    dispose: () => programs.dispose(),
  };
}

function checkOptions(options: SampleOptions, config: Resolved): Choice {
  const { maxActions, temperature = 1, topK = 0, topP = 1, record = [] } = options;
  const refuse = (what: string) => new GuerdonError("usage", `sample: ${what}`);
  if (!Number.isInteger(maxActions) || maxActions < 1) throw refuse(`maxActions must be a whole number of at least 1, not ${maxActions}.`);
  if (!(temperature >= 0 && temperature < Infinity)) throw refuse(`temperature must be at least 0, not ${temperature}.`);
  if (!Number.isInteger(topK) || topK < 0) throw refuse(`topK must be a whole number, 0 for all, not ${topK}.`);
  if (!(topP > 0 && topP <= 1)) throw refuse(`topP must be above 0 and at most 1, not ${topP}.`);
  for (const name of record)
    if (name !== "entropy" && !(name === "value" && config.valueHead)) throw refuse(`this model cannot record "${name}" while sampling.`);
  return { temperature, topK, topP };
}

function start({ begin, config }: Setting, request: Request, index: number, maxActions: number): Start {
  const from = request.from ?? begin(request.task);
  const name = `Request ${index} (task ${request.task.id})`;
  checkRow(config, from, name);
  const shown = new Int32Array(from.prompt.length + from.actions.length);
  shown.set(from.prompt);
  shown.set(from.actions, from.prompt.length);
  const limit = Math.min(maxActions, config.context - shown.length);
  if (limit < 1) throw new GuerdonError("input", `${name} fills the context of ${config.context} tokens: there is no room for an answer.`);
  return { index, name, from, shown, limit };
}

/** How many of the rows from `from` on, sorted by length, fit into one batch. */
function batchSize(rows: readonly Start[], from: number, { heads, vocabulary }: Resolved): number {
  let each = vocabulary / LOGITS;
  for (let n = 0; from + n < rows.length; n++) {
    const { shown, limit } = rows[from + n]!;
    const slots = paddedLength(shown.length);
    each = Math.max(each, slots + limit, (slots * slots * heads) / SCORES);
    if (n > 0 && powerOfTwo(n + 1) * each > CELLS) return n;
  }
  return rows.length - from;
}

async function drawBatch(
  setting: Setting,
  programs: DecodePrograms,
  parameters: Parameters,
  batch: readonly Start[],
  requests: readonly Request[],
  { maxActions, stopTokens = [], record = [], signal }: SampleOptions,
  choice: Choice,
): Promise<Draws> {
  const { config, tokenizer } = setting;
  const { vocabulary } = config;
  const most = Math.max(...batch.map((row) => row.limit));
  const ends = new Set(endings(tokenizer, stopTokens));
  const draw = drawer(vocabulary, choice);
  const draws: Draws = {
    tokens: new Int32Array(batch.length * most),
    logProbs: new Float32Array(batch.length * most),
    recorded: Object.fromEntries(record.map((name) => [name, new Float32Array(batch.length * most)])),
    lengths: new Int32Array(batch.length),
    stopped: new Uint8Array(batch.length),
  };
  const { entropy, value: values } = draws.recorded;
  const prompts = batch.map((row) => row.shown);
  const cache = openCache(programs, config, parameters, prompts, Math.min(maxActions, config.context) - 1);
  try {
    let state = await cache.prompts();
    for (let j = 0; ; j++) {
      if (signal?.aborted) throw new GuerdonError("interrupted", "Sampling was interrupted.", { cause: signal.reason });
      const going: number[] = [];
      for (let b = 0; b < batch.length; b++) {
        const row = batch[b]!;
        if (draws.stopped[b] || draws.lengths[b]! >= row.limit) continue;
        const source = state.rowOf(b);
        const { token, logProb } = named(row, j, () => draw(state.logits, source, requests[row.index]!.rng));
        const at = b * most + j;
        draws.tokens[at] = cache.next[b] = token;
        draws.logProbs[at] = logProb;
        if (entropy) entropy[at] = entropyOf(state.logits, source, vocabulary);
        if (values) values[at] = state.values![source]!;
        draws.lengths[b] = j + 1;
        if (ends.has(token)) draws.stopped[b] = 1;
        else if (j + 1 < row.limit) going.push(b);
      }
      if (going.length === 0) return draws;
      state = await cache.step(j, going);
    }
  } finally {
    cache.dispose();
  }
}

/** Says of an error which answer and token it is about. */
function named<T>({ name }: Start, j: number, f: () => T): T {
  try {
    return f();
  } catch (cause) {
    if (cause instanceof GuerdonError) throw new GuerdonError(cause.code, `${name}, answer token ${j}: ${cause.message}`, { cause });
    throw cause;
  }
}

/** Row i of a batch as the engine wants it. */
function result(tokenizer: Tokenizer, { from }: Start, i: number, draws: Draws): Sampled<TextSequence> {
  const most = draws.tokens.length / draws.lengths.length;
  const [first, end] = [i * most, i * most + draws.lengths[i]!];
  const tokens = draws.tokens.subarray(first, end);
  const actions = new Int32Array(from.actions.length + tokens.length);
  actions.set(from.actions);
  actions.set(tokens, from.actions.length);
  const stopped = draws.stopped[i] === 1;
  const recorded = Object.entries(draws.recorded).map(([name, column]) => [name, column.slice(first, end)] as const);
  return {
    row: { prompt: from.prompt, actions },
    logProbs: draws.logProbs.slice(first, end),
    ...(recorded.length > 0 ? { recorded: Object.fromEntries(recorded) } : {}),
    completion: tokenizer.decode(stopped ? tokens.subarray(0, -1) : tokens),
    stop: stopped ? "stop" : "length",
  };
}
