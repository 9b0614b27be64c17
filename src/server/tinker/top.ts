import { compile, type Arrays, type Tensor } from "../../arrays/index.ts";
import { paddedLength } from "../../policies/shapes.ts";
import { resolve } from "../../policies/transformer-config.ts";
import { collate } from "../../policies/transformer-inputs.ts";
import { hidden, unembed } from "../../policies/transformer-layers.ts";
import type { TransformerPolicy } from "../../policies/transformer.ts";

/** The k most likely tokens at each of some positions, most likely first, row-major [positions, k]. */
export interface Top {
  readonly k: number;
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
}

/** What a model expects at each place of a text. */
export interface TopReader {
  /** The k most likely tokens after each token but the last. Equal ones: the lower id first. */
  at(parameters: Readonly<Record<string, Tensor>>, tokens: Int32Array, k: number): Promise<Top>;
}

/** One text at a time: all its logits are read, [tokens, vocabulary]. */
export function topReader({ architecture, lora }: Pick<TransformerPolicy, "architecture" | "lora">): TopReader {
  const config = resolve(architecture);
  const { vocabulary } = config;
  const program = compile((parameters: Arrays, inputs: Arrays) => {
    const model = { config, parameters, ...(lora && { lora }) };
    return { logits: unembed(model, hidden(model, inputs)) };
  });
  return {
    async at(parameters, tokens, k) {
      const length = tokens.length - 1;
      const row = { prompt: tokens.subarray(0, length), actions: new Int32Array(0) };
      const { logits: made } = program.run(parameters, collate(config, [row], 1, paddedLength(length)));
      let logits: Float32Array;
      try {
        logits = (await made.read()) as Float32Array;
      } finally {
        made.dispose();
      }
      const top: Top = { k, tokens: new Int32Array(length * k), logProbs: new Float32Array(length * k) };
      for (let i = 0; i < length; i++) {
        const all = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
        const best = mostLikely(all, k);
        const highest = all[best[0]!]!;
        let sum = 0;
        for (const logit of all) sum += Math.exp(logit - highest);
        best.forEach((id, j) => {
          top.tokens[i * k + j] = id;
          top.logProbs[i * k + j] = all[id]! - highest - Math.log(sum);
        });
      }
      return top;
    },
  };
}

/** Places of the k largest numbers, the largest first. */
function mostLikely(values: Float32Array, k: number): readonly number[] {
  const best: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (best.length === k && values[i]! <= values[best[k - 1]!]!) continue;
    let place = best.length;
    while (place > 0 && values[i]! > values[best[place - 1]!]!) place--;
    best.splice(place, 0, i);
    if (best.length > k) best.pop();
  }
  return best;
}
