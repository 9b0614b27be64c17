import type { Examples } from "../credit/examples.ts";
import type { Engine, Outputs, UpdateOptions } from "../engines/engine.ts";
import type { Objective } from "../objectives/index.ts";
import type { TextSequence } from "../policies/policy.ts";
import { rowName } from "../credit/examples.ts";
import { GuerdonError } from "../error.ts";
import { gradientOf, outputsOf, servedLoss } from "../objectives/index.ts";

/** Data and what to do with it. Several data sources are several terms; a row that terms share (the same object) is computed once. */
export interface Term<X = TextSequence> {
  readonly examples: Examples<X>;
  readonly objective: Objective;
  /** Default 1. */
  readonly weight?: number;
  /** Overrides of the objective's coefficients by name, for instance from a schedule. */
  readonly coefficients?: Readonly<Record<string, number>>;
  /** In metrics and errors; default the objective's name. */
  readonly name?: string;
}

export interface StepResult {
  /** Weighted sum over terms, at the weights before the update. */
  readonly loss: number;
  /** Of the objectives. With several terms each name is prefixed with "<term>." and there is a "<term>.loss". */
  readonly metrics: Readonly<Record<string, number>>;
  /** Before clipping; null where the engine is not told it. */
  readonly gradientNorm: number | null;
  /** Passes through the policy: 1 backward, or 1 forward and 1 backward. */
  readonly calls: 1 | 2;
  /**
   * |log-probability of the trainer - of the sampler| over unmasked actions in nats, where terms have the token column "behaviour" and
   * log-probabilities were computed.
   */
  readonly gap?: { readonly mean: number; readonly maximum: number };
}

/**
 * One optimizer step on a sum of terms, the same for every engine: forward, objectives and their gradient on the host in float64,
 * backward, update.
 *
 * The forward call is left out when no term needs it: every objective reads log-probabilities alone and either is linear in them (its
 * gradient does not depend on them) or has examples that this engine drew at its present weights (`Examples.origin`), so that
 * `token.old`, or else `token.behaviour`, is the forward pass. Where a service samples by another arithmetic than it trains by, that is an
 * approximation: the gap says how good, and a method with a correction has a pass of its own. Loss, metrics and gap are then evaluated on
 * the outputs that backward returns. In a step with two calls, rows whose gradient is zero everywhere (groups with equal rewards) are not
 * sent to backward.
 *
 * @throws GuerdonError "non-finite" when an output, loss or gradient is not finite, naming the term and row: nothing has changed and the
 *   engine's gradient is cleared; "usage" and "input" as `gradientOf`
 */
export async function step<X>(engine: Engine<X>, terms: readonly Term<X>[], options: UpdateOptions): Promise<StepResult> {
  if (terms.length === 0) throw new GuerdonError("usage", "step() needs at least one term.");
  const { rows, lengths, places } = union(terms);
  const names = [...new Set(terms.flatMap((term) => outputsOf(term.objective)))];
  const calls = terms.every((term) => forwardIsKnown(engine, term)) ? 1 : 2;
  const [only] = terms;
  if (calls === 2 && terms.length === 1 && engine.backwardLoss && only!.objective.served) return served(engine, only!, options);

  const known = calls === 1 ? null : await engine.forward(rows, names);
  const inputs = terms.map((term, k) => (known ? rowsOf(known, places[k]!) : presumed(term)));
  const evaluated = terms.map((term, k) => evaluate(term, k, inputs[k]!));
  const gradients = addUp(terms, evaluated, names, lengths, places);

  try {
    const keep =
      calls === 1
        ? rows.map((_, i) => i)
        : rows.map((_, i) => i).filter((i) => names.some((name) => gradients[name]![i]!.some((g) => g !== 0)));
    const own = await engine.backward(
      keep.map((i) => rows[i]!),
      rowsOf(gradients, keep),
    );
    const outputs = known ?? own;
    const final = terms.map((term, k) => {
      const actual = rowsOf(outputs, places[k]!);
      return known || equal(actual, inputs[k]!) ? evaluated[k]! : evaluate(term, k, actual);
    });
    const { gradientNorm } = await engine.update(options);
    const gap = gapOf(terms, outputs, places);
    return { ...summary(terms, final), gradientNorm, calls, ...(gap ? { gap } : {}) };
  } catch (error) {
    await engine.discard();
    throw error;
  }
}

/** The step with the loss in the service's hands: one call instead of two. Loss and metrics are evaluated on what its pass returned. */
async function served<X>(engine: Engine<X>, term: Term<X>, options: UpdateOptions): Promise<StepResult> {
  const { examples, objective, weight, coefficients } = term;
  try {
    const outputs = await engine.backwardLoss!(examples.rows, servedLoss(objective, objective.served!, examples, weight, coefficients));
    const final = evaluate(term, 0, outputs);
    const { gradientNorm } = await engine.update(options);
    const gap = gapOf([term], outputs, [examples.rows.map((_, i) => i)]);
    return { ...summary([term], [final]), gradientNorm, calls: 1, ...(gap ? { gap } : {}) };
  } catch (error) {
    await engine.discard();
    throw error;
  }
}

/** All rows once, the number of actions of each, and for each term where its rows are. */
function union<X>(terms: readonly Term<X>[]): { rows: X[]; lengths: number[]; places: number[][] } {
  const index = new Map<X, number>();
  const rows: X[] = [];
  const lengths: number[] = [];
  const places = terms.map(({ examples }) =>
    examples.rows.map((row, i) => {
      let place = index.get(row);
      if (place === undefined) {
        index.set(row, (place = rows.push(row) - 1));
        lengths.push(examples.offsets[i + 1]! - examples.offsets[i]!);
      }
      return place;
    }),
  );
  return { rows, lengths, places };
}

const rowsOf = (outputs: Outputs, places: readonly number[]): Outputs =>
  Object.fromEntries(Object.entries(outputs).map(([name, perRow]) => [name, places.map((i) => perRow[i]!)]));

/** Whether the gradient of a term can be computed before any pass through the policy. */
function forwardIsKnown<X>(engine: Engine<X>, { objective, examples }: Term<X>): boolean {
  if (outputsOf(objective).some((name) => name !== "logProbs")) return false;
  const { origin, token } = examples;
  return (
    objective.linear ||
    (origin?.engine === engine.id && origin.weightsVersion === engine.weightsVersion && token["behaviour"] !== undefined)
  );
}

/**
 * Log-probabilities to evaluate a gradient at when there was no forward pass: the trainer's own where a pass before the step told them
 * ("old", which a correction of the sampler's is measured by), else the sampler's; any (zeros) for a linear objective.
 */
function presumed<X>({ examples, objective }: Term<X>): Outputs {
  const { rows, offsets, mask, token } = examples;
  const flat = objective.linear ? new Float32Array(mask.length) : (token["old"] ?? token["behaviour"]!);
  return { logProbs: rows.map((_, i) => flat.subarray(offsets[i]!, offsets[i + 1]!)) };
}

/** Whether the log-probabilities are the same to the bit. */
const equal = (a: Outputs, b: Outputs): boolean =>
  a["logProbs"]!.every((row, i) => {
    const other = b["logProbs"]![i]!;
    return row.every((v, j) => v === other[j]);
  });

type Evaluated = ReturnType<typeof gradientOf>;

const nameOf = <X>({ name, objective }: Term<X>): string => name ?? objective.name;

function evaluate<X>(term: Term<X>, k: number, outputs: Outputs): Evaluated {
  try {
    return gradientOf(term.objective, term.examples, outputs, term.coefficients);
  } catch (error) {
    if (!(error instanceof GuerdonError)) throw error;
    throw new GuerdonError(error.code, `Term ${k} ("${nameOf(term)}"): ${error.message}`, { cause: error });
  }
}

/** The weighted sum of all terms' gradients, for each row of the union. */
function addUp<X>(
  terms: readonly Term<X>[],
  evaluated: readonly Evaluated[],
  names: readonly string[],
  lengths: readonly number[],
  places: readonly (readonly number[])[],
): Record<string, Float32Array[]> {
  const total = Object.fromEntries(names.map((name) => [name, lengths.map((length) => new Float32Array(length))]));
  terms.forEach((term, k) => {
    const { weight = 1 } = term;
    if (!Number.isFinite(weight)) throw new GuerdonError("non-finite", `The weight of term ${k} ("${nameOf(term)}") is ${weight}.`);
    for (const [name, perRow] of Object.entries(evaluated[k]!.gradients))
      perRow.forEach((gradient, i) => {
        const sum = total[name]![places[k]![i]!]!;
        if (sum.length !== gradient.length)
          throw new GuerdonError(
            "input",
            `Term ${k} ("${nameOf(term)}"): ${rowName(term.examples, i)} has ${gradient.length} actions here and ${sum.length} in another term.`,
          );
        for (let j = 0; j < sum.length; j++) {
          sum[j]! += weight * gradient[j]!;
          if (!Number.isFinite(sum[j]!))
            throw new GuerdonError(
              "non-finite",
              `Term ${k} ("${nameOf(term)}"): the weighted gradient with respect to ${name} is ${sum[j]} in ${rowName(term.examples, i)}, action ${j}. No gradient was used.`,
            );
        }
      });
  });
  return total;
}

function summary<X>(terms: readonly Term<X>[], evaluated: readonly Evaluated[]): { loss: number; metrics: Record<string, number> } {
  if (terms.length === 1) return { loss: (terms[0]!.weight ?? 1) * evaluated[0]!.loss, metrics: { ...evaluated[0]!.metrics } };
  const metrics: Record<string, number> = {};
  let loss = 0;
  terms.forEach((term, k) => {
    const name = nameOf(term);
    // Two terms with one name are told apart by their number.
    const prefix = terms.some((other, i) => i < k && nameOf(other) === name) ? `${name} ${k}` : name;
    metrics[`${prefix}.loss`] = evaluated[k]!.loss;
    for (const [key, value] of Object.entries(evaluated[k]!.metrics)) metrics[`${prefix}.${key}`] = value;
    loss += (term.weight ?? 1) * evaluated[k]!.loss;
  });
  return { loss, metrics };
}

function gapOf<X>(
  terms: readonly Term<X>[],
  outputs: Outputs,
  places: readonly (readonly number[])[],
): { mean: number; maximum: number } | null {
  let total = 0;
  let maximum = 0;
  let count = 0;
  terms.forEach(({ examples: { offsets, mask, token, rows } }, k) => {
    const behaviour = token["behaviour"];
    const trainer = outputs["logProbs"];
    if (!behaviour || !trainer) return;
    for (let i = 0; i < rows.length; i++)
      for (let cell = offsets[i]!; cell < offsets[i + 1]!; cell++) {
        if (mask[cell] === 0) continue;
        const difference = Math.abs(trainer[places[k]![i]!]![cell - offsets[i]!]! - behaviour[cell]!);
        total += difference;
        maximum = Math.max(maximum, difference);
        count++;
      }
  });
  return count > 0 ? { mean: total / count, maximum } : null;
}
