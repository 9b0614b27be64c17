import { GuerdonError } from "../error.ts";
import { namesUnder, notesOf, requireDistinct, under, versionOf, versions, widest, type Parts } from "./compose-parts.ts";
import { quoted, unscorable, type Score } from "./grade.ts";
import type { Answer, Reward } from "./reward.ts";

/** A row's column says which reward it is for, and the row has what that reward needs. */
export type RouteNeeds<Column extends string, P extends Parts> = {
  [K in keyof P & string]: { readonly [C in Column]: K } & (P[K] extends Reward<infer Needs> ? Needs : never);
}[keyof P & string];

/**
 * Each row is scored by the reward that its column names: `route("task", { math: mathAnswer(), code: codeTests() })`. The reward becomes a
 * part under its key; parts of the others are absent. A row whose column names no route is unscorable with the reason "wrong-column", and
 * "missing-column" without one: a misspelt key never passes for a low score. In code a wrong key is a compile error.
 *
 * A reward of groups needs all answers of a group on its own route.
 *
 * @param column for instance "data_source"
 * @throws GuerdonError "usage" for no routes
 */
export function route<const Column extends string, const P extends Parts>(
  column: Column,
  routes: P,
  { name }: { readonly name?: string } = {},
): Reward<RouteNeeds<Column, P>> {
  const entries = Object.entries<Reward<never>>(routes);
  if (entries.length === 0) throw new GuerdonError("usage", "route needs at least one reward.");
  const own = name ?? `route(${column}: ${Object.keys(routes).join(", ")})`;
  const names = entries.flatMap(([key, one]) => namesUnder(key, one));
  requireDistinct(names, "route: two parts would be called");
  const scope = widest(entries.map(([, one]) => one.scope));
  return {
    name: own,
    version: versionOf("route", { column, routes: versions(routes) }),
    scope,
    parts: names,
    async evaluate(answers, calls) {
      const lots = Map.groupBy(answers, ({ row }) => row[column]);
      const scores = new Map<Answer, Score>();
      for (const [key, lot] of lots)
        if (typeof key !== "string" || !Object.hasOwn(routes, key))
          for (const answer of lot) scores.set(answer, unknownKey(own, column, key, routes));
      await Promise.all(
        entries.map(async ([key, one]) => {
          const lot = lots.get(key) ?? [];
          const torn = one.scope === "group" ? tornGroups(lot, answers) : new Set<string>();
          const whole = lot.filter(({ group }) => !torn.has(group));
          for (const answer of lot)
            if (torn.has(answer.group))
              scores.set(
                answer,
                unscorable(
                  "wrong-column",
                  `The reward "${key}" needs whole groups, and other answers of this one have another "${column}".`,
                ),
              );
          const inner = whole.length > 0 ? await one.evaluate(whole, calls) : [];
          whole.forEach((answer, i) => scores.set(answer, routed(key, inner[i]!)));
        }),
      );
      return answers.map((answer) => scores.get(answer)!);
    },
  };
}

function routed(key: string, score: Score): Score {
  const { value, steps, error } = score;
  const parts = Object.fromEntries(under(key, score));
  const reason = error === undefined ? {} : { error: { kind: error.kind, message: `The route "${key}": ${error.message}` } };
  return { value, parts, ...(steps ? { steps } : {}), ...notesOf([[key, score]]), ...reason };
}

function tornGroups(lot: readonly Answer[], answers: readonly Answer[]): ReadonlySet<string> {
  const here = new Set(lot);
  const groups = new Set(lot.map(({ group }) => group));
  return new Set(answers.flatMap((answer) => (groups.has(answer.group) && !here.has(answer) ? [answer.group] : [])));
}

const unknownKey = (name: string, column: string, key: unknown, routes: Parts): Score =>
  key === undefined
    ? unscorable("missing-column", `"${column}" is missing (needed by the reward "${name}").`)
    : unscorable(
        "wrong-column",
        `"${column}" is ${quoted(key)}, and the reward "${name}" has routes for ${Object.keys(routes).join(", ")}.`,
      );
