import type { Engine, SampleOptions, SampleRequest } from "../../src/engines/engine.ts";
import { toRollouts } from "../../src/engines/rollouts.ts";
import type { TextSequence } from "../../src/policies/policy.ts";
import type { Tokenizer } from "../../src/policies/tokenizer.ts";

/** What a fake policy draws for a request: tokens, the last of them the end token when it stops. */
export type Draw = (request: SampleRequest<TextSequence>, options: SampleOptions) => readonly number[];

/**
 * An engine without a model: it samples what it is told to and learns nothing. Log-probabilities are minus the token, recorded outputs
 * the token itself, so that a test can see which belongs to which.
 */
export function fakeEngine(tokenizer: Tokenizer, draw: Draw): Engine<TextSequence> & { readonly asked: SampleRequest<TextSequence>[][] } {
  const asked: SampleRequest<TextSequence>[][] = [];
  const nothing = (): never => {
    throw new Error("the fake engine only samples");
  };
  const engine = { id: "fake", weightsVersion: 3 };
  return {
    ...engine,
    asked,
    outputs: ["logProbs"],
    sample(requests, options) {
      asked.push([...requests]);
      const sampled = requests.map((request) => {
        const drawn = Int32Array.from(draw(request, options));
        const row = request.from ?? { prompt: tokenizer.encodePrompt(request.task.prompt as string), actions: new Int32Array(0) };
        const stopped = drawn.at(-1) === tokenizer.end;
        return {
          row: { prompt: row.prompt, actions: Int32Array.of(...row.actions, ...drawn) },
          logProbs: Float32Array.from(drawn, (token) => -token),
          ...(options.record ? { recorded: Object.fromEntries(options.record.map((name) => [name, Float32Array.from(drawn)])) } : {}),
          completion: tokenizer.decode(stopped ? drawn.subarray(0, -1) : drawn),
          stop: stopped ? ("stop" as const) : ("length" as const),
        };
      });
      return Promise.resolve(toRollouts(engine, requests, sampled, options, ({ actions }) => actions.length));
    },
    forward: nothing,
    backward: nothing,
    update: nothing,
    discard: nothing,
    freeze: nothing,
    resetOptimizer: nothing,
    snapshot: nothing,
    restore: nothing,
  };
}
