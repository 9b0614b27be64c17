import { GuerdonError } from "../../error.ts";
import type { Counted } from "./reply.ts";

/** What a provider charges for a million tokens, in a currency of the user's. */
export interface Price {
  readonly input: number;
  readonly output: number;
}

/** What requests to a model have cost. */
export interface Usage {
  /** Requests that were answered by the server. */
  readonly requests: number;
  /** Requests that were answered from the cache, at no cost. */
  readonly cached: number;
  /** HTTP requests that went out, failed tries included. A provider may charge for a reply that was lost on the way. */
  readonly tries: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Answered requests whose reply did not say what they cost; their tokens are missing above. */
  readonly uncounted: number;
  /** In the price's currency; null without a price, and where tokens are missing: a bill that leaves some out is no bill. */
  readonly cost: number | null;
}

/** Where summing begins; a cost of null says that there is no price. */
export const nothingUsed = (price: Price | null): Usage => ({ ...noUsage, cost: price === null ? null : 0 });

export const noUsage: Usage = {
  requests: 0,
  cached: 0,
  tries: 0,
  promptTokens: 0,
  completionTokens: 0,
  uncounted: 0,
  cost: 0,
};

export const fromCache = (price: Price | null): Usage => ({ ...nothingUsed(price), cached: 1 });
export const failedTries = (tries: number, price: Price | null): Usage => ({ ...nothingUsed(price), tries });

export function answered({ promptTokens, completionTokens }: Counted, tries: number, price: Price | null): Usage {
  const known = promptTokens !== null && completionTokens !== null;
  return {
    requests: 1,
    cached: 0,
    tries,
    promptTokens: promptTokens ?? 0,
    completionTokens: completionTokens ?? 0,
    uncounted: known ? 0 : 1,
    cost: price === null || !known ? null : (promptTokens * price.input + completionTokens * price.output) / 1e6,
  };
}

export const addUsage = (a: Usage, b: Usage): Usage => ({
  requests: a.requests + b.requests,
  cached: a.cached + b.cached,
  tries: a.tries + b.tries,
  promptTokens: a.promptTokens + b.promptTokens,
  completionTokens: a.completionTokens + b.completionTokens,
  uncounted: a.uncounted + b.uncounted,
  cost: a.cost === null || b.cost === null ? null : a.cost + b.cost,
});

/** One line: "3 requests (1 cached), 1,024 + 80 tokens, 0.0021". */
export function usageText({ requests, cached, promptTokens, completionTokens, uncounted, cost }: Usage): string {
  const grouped = (count: number): string => count.toLocaleString("en-US");
  const all = requests + cached;
  return [
    `${grouped(all)} ${all === 1 ? "request" : "requests"}${cached > 0 ? ` (${grouped(cached)} cached)` : ""}`,
    `${grouped(promptTokens)} + ${grouped(completionTokens)} tokens${uncounted > 0 ? ` (${grouped(uncounted)} not counted by the server)` : ""}`,
    ...(cost === null || cost === 0 ? [] : [`cost ${cost.toPrecision(3)}`]),
  ].join(", ");
}

/** @throws GuerdonError "usage" for a price that is not two numbers of at least 0 */
export function checkedPrice(price: Price | undefined): Price | null {
  if (price === undefined) return null;
  if (!(price.input >= 0 && price.output >= 0 && price.input < Infinity && price.output < Infinity))
    throw new GuerdonError("usage", "price needs input and output: numbers of at least 0, for a million tokens each.");
  return price;
}
