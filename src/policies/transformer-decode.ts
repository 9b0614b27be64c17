import { compile, div, exp, matmul, maximum, oneHot, take } from "../arrays/index.ts";
import type { Arr, Arrays } from "../arrays/index.ts";
import { block, head, heads, hidden, look, norm, parameter, unembed } from "./transformer-layers.ts";
import type { Model, Rotation } from "./transformer-layers.ts";

/*
 * The compiled programs of sampling with a cache. Keys and values live in up to three segments, each with one array a layer of shape
 * [rows, slots, keyValueHeads * headSize]: the prompt's, which nothing rewrites; the closed slots of the answer, rewritten once in OPEN
 * tokens; and the open slots, which every step rewrites. (Arrays cannot be changed in place, and rewriting all slots at each token would
 * cost as much as the matrix products.)
 */

/** Answer slots that every step rewrites. */
export const OPEN = 16;

/** Keys and values of one segment, one array a layer. */
export interface Segment<A> {
  readonly keys: readonly A[];
  readonly values: readonly A[];
}

/** A segment as a step sees it; `hide` [rows or 1, slots] is added to the scores: 0, or very negative for slots that hold nothing. */
interface Visible<A> extends Segment<A> {
  readonly hide: A;
}

/** What a program returns of a state: logits [rows, vocabulary] and, with a value head, value [rows]. */
type Read = { readonly logits: Arr; readonly value?: Arr };

/** Logits (and value) of final hidden states [rows, width]. */
function read(model: Model, x: Arr): Read {
  return { logits: unembed(model, x), ...(model.config.valueHead ? { value: head(model, "value_head.weight", x) } : {}) };
}

/**
 * Attention of one query a row over several segments: q [B, heads, headSize] -> [B, heads * headSize]. The softmax runs over all slots of
 * all segments.
 */
function attendSegments(q: Arr, segments: readonly { readonly k: Arr; readonly v: Arr; readonly hide: Arr }[], groups: number): Arr {
  const [B, H, size] = q.shape as [number, number, number];
  const share = H / groups;
  const queries = q.mul(1 / Math.sqrt(size)).reshape([B, groups, share, size]);
  const parts = segments.map(({ k, v, hide }) => {
    const slots = k.shape[1]!;
    const split = (x: Arr) => x.reshape([B, slots, groups, size]);
    const scores = matmul(queries, split(k).transpose([0, 2, 3, 1]));
    return { scores: scores.add(hide.reshape([hide.shape[0]!, 1, 1, slots])), values: split(v).transpose([0, 2, 1, 3]) };
  });
  const top = parts.map(({ scores }) => scores.max(-1, true)).reduce((a, b) => maximum(a, b));
  const weighted = parts.map(({ scores, values }) => {
    const weights = exp(scores.sub(top));
    return { mixed: matmul(weights, values), total: weights.sum(-1, true) };
  });
  const { mixed, total } = weighted.reduce((a, b) => ({ mixed: a.mixed.add(b.mixed), total: a.total.add(b.total) }));
  return mixed.mul(div(1, total)).reshape([B, H * size]);
}

export type DecodePrograms = ReturnType<typeof decodePrograms>;

/** The programs for one model. `modelOf` says how parameters are applied (with or without adapters). */
export function decodePrograms(modelOf: (parameters: Arrays) => Model) {
  const { config } = modelOf({});
  const width = config.keyValueHeads * config.headSize;

  /** Runs distinct prompts [U, P] and spreads their keys and values over the rows: `rows` [B] says which prompt each row has. */
  const prompts = compile((parameters: Arrays, inputs: Arrays) => {
    const model = modelOf(parameters);
    const [U, P] = parameter(inputs, "tokens").shape as [number, number];
    const keys: Arr[] = [];
    const values: Arr[] = [];
    const rows = inputs["rows"];
    const spread = (x: Arr) =>
      rows ? take(x.reshape([U, P * width]), rows).reshape([rows.shape[0]!, P, width]) : x.reshape([U, P, width]);
    const x = hidden(model, inputs, (_, k, v) => {
      keys.push(spread(k));
      values.push(spread(v));
    });
    const last = oneHot(parameter(inputs, "last"), P).reshape([U, P, 1]);
    return { ...read(model, x.reshape([U, P, config.width]).mul(last).sum(1)), keys, values };
  });

  /** One token a row: tokens [B], write [OPEN] (1 at the token's open slot), places [B] or cos and sin [B, headSize / 2]. */
  const step = compile((parameters: Arrays, inputs: Arrays, open: Visible<Arr>, others: readonly Visible<Arr>[]) => {
    const model = modelOf(parameters);
    const tokens = parameter(inputs, "tokens");
    const B = tokens.shape[0]!;
    const around = (name: string) => parameter(inputs, name).reshape([B, 1, config.headSize >> 1]);
    const turn: Rotation | null = config.positions === "rotary" ? { cos: around("cos"), sin: around("sin") } : null;
    let x = look(parameter(parameters, "model.embed_tokens.weight"), tokens);
    if (!turn) x = x.add(look(parameter(parameters, "model.embed_positions.weight"), parameter(inputs, "places")));
    const write = parameter(inputs, "write");
    const slots = write.shape[0]!;
    const put = (cache: Arr, row: Arr) => cache.add(write.reshape([1, slots, 1]).mul(row.reshape([B, 1, width])));
    const keys: Arr[] = [];
    const values: Arr[] = [];
    for (let layer = 0; layer < config.layers; layer++)
      x = block(model, layer, x, (normed) => {
        const { q, k, v } = heads(model, layer, normed, [B], turn);
        keys.push(put(open.keys[layer]!, k));
        values.push(put(open.values[layer]!, v));
        const segments = others.map((segment) => ({ k: segment.keys[layer]!, v: segment.values[layer]!, hide: segment.hide }));
        return attendSegments(q, [...segments, { k: keys[layer]!, v: values[layer]!, hide: open.hide }], config.keyValueHeads);
      });
    return { ...read(model, norm(model, "model.norm", x)), keys, values };
  });

  /** Copies full open segments into a closed one: `place` [closed slots / OPEN] is 1 where they belong. */
  const close = compile((open: Segment<Arr>, closed: Segment<Arr>, place: Arr) => {
    const blocks = place.shape[0]!;
    const put = (target: Arr, source: Arr) => {
      const [B, slots] = target.shape as [number, number];
      const added = source.reshape([B, 1, OPEN, width]).mul(place.reshape([1, blocks, 1, 1]));
      return target.add(added.reshape([B, slots, width]));
    };
    return {
      keys: closed.keys.map((target, layer) => put(target, open.keys[layer]!)),
      values: closed.values.map((target, layer) => put(target, open.values[layer]!)),
    };
  });

  /** Only some rows of segments: `rows` [fewer] says which. */
  const narrow = compile((segments: readonly Segment<Arr>[], rows: Arr) => {
    const pick = (x: Arr) => {
      const [B, slots] = x.shape as [number, number];
      return take(x.reshape([B, slots * width]), rows).reshape([rows.shape[0]!, slots, width]);
    };
    return segments.map(({ keys, values }) => ({ keys: keys.map(pick), values: values.map(pick) }));
  });

  const all = [prompts, step, close, narrow];
  return {
    prompts,
    step,
    close,
    narrow,
    shapes: () => all.reduce((sum, program) => sum + program.shapes, 0),
    dispose() {
      for (const program of all) program.dispose();
    },
  };
}
