import type { Row } from "../data/row.ts";
import type { Score } from "../rewards/index.ts";
import { split, type EndTokens } from "./special-tokens.ts";

/** What OpenRLHF posts to a remote reward: `query` is prompt and answer decoded together, with special tokens. All three are lists. */
export interface RewardRequest {
  readonly query: readonly string[];
  readonly prompts: readonly string[];
  readonly labels?: readonly (string | null)[] | undefined;
}

/** Why a request cannot be scored, with its place. */
export interface Refusal {
  readonly row: number | null;
  readonly field: string;
  readonly message: string;
}

/** The rows of a request: the answer is the query without the prompt and without end tokens; the label is the row's `reference`. */
export function rowsOf({ query, prompts, labels }: RewardRequest, endTokens: EndTokens): { readonly rows: readonly Row[] } | Refusal {
  for (const [field, list] of [
    ["prompts", prompts],
    ["labels", labels ?? query],
  ] as const)
    if (list.length !== query.length)
      return { row: null, field, message: `${field} has ${list.length} entries and query has ${query.length}; they must be equally long` };
  const rows: Row[] = [];
  for (const [i, text] of query.entries()) {
    const prompt = prompts[i]!;
    const completion = split(text, prompt, endTokens);
    if (completion === null)
      return {
        row: i,
        field: "query",
        message: `query does not begin with its prompt, so that the answer cannot be told from it: the query begins with ${short(text)}, the prompt with ${short(prompt)}`,
      };
    const label = labels?.[i] ?? null;
    rows.push(label === null ? { prompt, completion } : { prompt, completion, reference: label });
  }
  return { rows };
}

const short = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);

/** What OpenRLHF expects: lists as long as the request's. */
export interface RewardReply {
  readonly rewards: readonly number[];
  /** Numbers only, and the same names in every reply: OpenRLHF stacks them over all rollouts. */
  readonly extra_logs: Readonly<Record<string, readonly number[]>>;
}

/**
 * The reply to a request. Rows that could not be scored count as 0 here and are marked by `unscorable` (1, else 0); so are parts, by
 * `<part>_unscored`. Whether such rows are answered at all is decided before.
 */
export function replyOf(scores: readonly Score[], parts: readonly string[]): RewardReply {
  const logs: Record<string, number[]> = { unscorable: scores.map(({ value }) => (value === null ? 1 : 0)) };
  for (const part of parts) {
    logs[part] = scores.map((score) => score.parts?.[part] ?? 0);
    logs[`${part}_unscored`] = scores.map((score) => (typeof score.parts?.[part] === "number" ? 0 : 1));
  }
  return { rewards: scores.map(({ value }) => value ?? 0), extra_logs: logs };
}
