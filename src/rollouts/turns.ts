import type { Message } from "../data/row.ts";
import type { Engine, SampleOptions, SampleRequest } from "../engines/engine.ts";
import type { Task } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import { endings, type Tokenizer } from "../policies/tokenizer.ts";
import type { TextSequence } from "../policies/policy.ts";
import type { Rng } from "../statistics/stream.ts";
import type { Rollout, Span } from "./rollout.ts";

/** What taking turns needs of a tokenizer: to show the environment's text to the policy, and the policy's tokens to the environment. */
export type TurnTokens = Pick<Tokenizer, "encode" | "decode" | "end" | "stops">;

export interface Conversation {
  readonly engine: Pick<Engine<TextSequence>, "sample">;
  readonly respond: (task: Task, turns: readonly Message[]) => string | null;
  readonly requests: readonly SampleRequest<TextSequence>[];
  readonly sampleOptions: SampleOptions;
  readonly tokenizer: TurnTokens;
  readonly maxTurns: number;
  /** The stream of a request's later turn (from 1). */
  readonly rng: (request: number, turn: number) => Rng;
}

/** A rollout in the making. All columns grow together, one entry an action. */
interface Draft {
  readonly request: SampleRequest<TextSequence>;
  readonly turns: Message[];
  readonly steps: Span[];
  rollout: Rollout<TextSequence> | null;
  /** The row so far, with the environment's last answer. */
  row: TextSequence | null;
  logProbs: Float32Array;
  mask: Uint8Array;
  recorded: Record<string, Float32Array>;
}

/**
 * Policy and environment take turns until the environment has no more to say, an answer is cut by its length limit, or `maxTurns` is
 * reached (both end with stop "length"). Tokens in, tokens out: what the policy drew is carried on as the tokens it drew and is decoded
 * only to be shown; only the environment's text is encoded. Its tokens stand among the actions with mask 0 and log-probability 0. `steps`
 * has one span for each of the policy's turns, `turns` the whole conversation, `completion` the policy's last turn.
 */
export async function takeTurns(conversation: Conversation): Promise<Rollout<TextSequence>[]> {
  const { engine, respond, requests, sampleOptions, tokenizer, maxTurns, rng } = conversation;
  const stops = new Set(endings(tokenizer, sampleOptions.stopTokens));
  const drafts = requests.map((request): Draft => ({
    request,
    turns: [],
    steps: [],
    rollout: null,
    row: null,
    logProbs: new Float32Array(0),
    mask: new Uint8Array(0),
    recorded: {},
  }));
  let speaking = drafts.map((draft, i) => ({ draft, i }));
  for (let turn = 0; speaking.length > 0; turn++) {
    const asked = speaking.map(({ draft, i }) =>
      draft.row === null ? draft.request : { ...draft.request, rng: rng(i, turn), from: draft.row },
    );
    const sampled = await engine.sample(asked, sampleOptions);
    speaking = speaking.filter(({ draft }, k) => {
      const said = hear(draft, sampled[k]!, tokenizer, stops);
      draft.turns.push({ role: "assistant", content: said });
      if (sampled[k]!.stop !== "stop") return false;
      const reply = respond(draft.request.task, draft.turns);
      if (reply === null) return false;
      if (turn + 1 >= maxTurns) {
        draft.rollout = { ...draft.rollout!, stop: "length" };
        return false;
      }
      draft.turns.push({ role: "user", content: reply });
      addReply(draft, tokenizer.encode(reply));
      return true;
    });
  }
  return drafts.map(({ rollout, row, logProbs, mask, recorded, turns, steps }) => ({
    ...rollout!,
    row: row!,
    behaviourLogProbs: logProbs,
    mask,
    ...(rollout!.recorded ? { recorded } : {}),
    completion: turns.findLast(({ role }) => role === "assistant")!.content,
    turns,
    steps,
  }));
}

/** Takes over the tokens that the policy drew in this turn; returns their text. */
function hear(draft: Draft, rollout: Rollout<TextSequence>, tokenizer: TurnTokens, stops: ReadonlySet<number>): string {
  const before = draft.row?.actions.length ?? 0;
  const { actions } = rollout.row;
  if (draft.row?.actions.some((token, j) => token !== actions[j]) || actions.length < before)
    throw new GuerdonError("internal", "The engine did not continue from the row it was given: the tokens of earlier turns have changed.");
  const drawn = actions.length - before;
  draft.rollout = rollout;
  draft.row = rollout.row;
  draft.logProbs = joined(Float32Array, draft.logProbs, tail(rollout.behaviourLogProbs, drawn));
  draft.mask = joined(Uint8Array, draft.mask, tail(rollout.mask, drawn));
  for (const [name, column] of Object.entries(rollout.recorded ?? {}))
    draft.recorded[name] = joined(Float32Array, draft.recorded[name] ?? new Float32Array(before), tail(column, drawn));
  draft.steps.push({ from: before, to: actions.length });
  const stopped = rollout.stop === "stop" && drawn > 0 && stops.has(actions.at(-1)!);
  return tokenizer.decode(actions.subarray(before, stopped ? actions.length - 1 : actions.length));
}

/** Appends the environment's tokens: not actions of the policy. */
function addReply(draft: Draft, tokens: Int32Array): void {
  const { prompt, actions } = draft.row!;
  const zeros = new Float32Array(tokens.length);
  draft.row = { prompt, actions: joined(Int32Array, actions, tokens) };
  draft.logProbs = joined(Float32Array, draft.logProbs, zeros);
  draft.mask = joined(Uint8Array, draft.mask, new Uint8Array(tokens.length));
  for (const [name, column] of Object.entries(draft.recorded)) draft.recorded[name] = joined(Float32Array, column, zeros);
}

/** The last `count` entries: an engine's columns cover all actions of a row, of which only these were drawn now. */
const tail = <A extends Float32Array | Uint8Array>(column: A, count: number): A => column.subarray(column.length - count) as A;

function joined<A extends Float32Array | Uint8Array | Int32Array>(Kind: new (length: number) => A, a: A, b: A): A {
  const out = new Kind(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
