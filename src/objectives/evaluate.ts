import { host, take, valueAndGradient, values } from "../arrays/index.ts";
import type { Arr, Arrays } from "../arrays/index.ts";
import { rowName } from "../credit/examples.ts";
import type { Examples, Sets } from "../credit/examples.ts";
import type { Outputs } from "../engines/engine.ts";
import { GuerdonError } from "../error.ts";
import { outputsOf } from "./objective.ts";
import type { Batch, Objective } from "./objective.ts";

/** An objective's value on given outputs. `gradients` has one array a row for each output that the objective reads. */
export interface Evaluated {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly gradients: Outputs;
}

/**
 * Evaluates an objective and its gradient with respect to the policy outputs, on the host in float64. Padding happens here and is seen
 * by nobody else: the gradients are ragged like the outputs, and zero in masked cells.
 *
 * A row without an unmasked cell, and a set without members, has weight 0. What outputs and columns hold in masked cells is ignored.
 *
 * @param outputs ragged, one array a row with one number an action: at least those named by `outputsOf(objective)`
 * @param coefficients overrides of the objective's own, by name
 * @throws GuerdonError "usage" for an unknown coefficient or an output that is not there; "input" when a needed column is missing, a
 *   length is wrong or nothing is unmasked; "non-finite" naming the row, when an output, a column, the loss or a gradient is not finite
 */
export function gradientOf<X>(
  objective: Objective,
  examples: Examples<X>,
  outputs: Outputs,
  coefficients: Readonly<Record<string, number>> = {},
): Evaluated {
  const layout = layoutOf(objective, examples);
  const batch = batchOf(objective, examples, layout);
  const c = coefficientsOf(objective, coefficients);
  const padded: Record<string, Arr> = {};
  for (const name of outputsOf(objective)) padded[name] = paddedOutput(objective, outputs, name, examples, layout);

  const { value, aux, gradient } = valueAndGradient((policy: Arrays) => {
    const { loss, metrics } = objective.loss(policy, batch, c);
    return { value: loss, aux: metrics };
  }, padded);

  const gradients: Record<string, Float32Array[]> = {};
  for (const name of Object.keys(padded)) gradients[name] = raggedGradient(objective, name, values(gradient[name]!), examples, layout);
  const loss = values(value)[0]!;
  if (!Number.isFinite(loss)) throw nonFinite(`the loss of ${objective.name} is ${loss}; ${extremeRow(outputs, padded, examples)}`);
  const metrics: Record<string, number> = {};
  for (const [name, metric] of Object.entries(aux)) metrics[name] = values(metric)[0]!;
  return { loss, metrics, gradients };
}

/** Shape of the padded table, and where row i's cell j lies in it: i * width + j. */
interface Layout {
  readonly rows: number;
  readonly width: number;
}

function layoutOf<X>(objective: Objective, examples: Examples<X>): Layout {
  const { offsets, rows, mask, weight } = examples;
  const cells = offsets[rows.length] ?? 0;
  if (offsets.length !== rows.length + 1 || mask.length !== cells || weight.length !== rows.length)
    throw input(
      `the examples are inconsistent: ${rows.length} rows, ${offsets.length} offsets ending at ${cells}, ${mask.length} mask cells, ${weight.length} row weights`,
    );
  let width = 0;
  let anything = false;
  for (let i = 0; i < rows.length; i++) {
    const from = offsets[i]!;
    const to = offsets[i + 1]!;
    if (to < from) throw input(`offsets must not decrease; row ${i} goes from ${from} to ${to}`);
    width = Math.max(width, to - from);
    if (!(weight[i]! >= 0 && Number.isFinite(weight[i]!))) throw nonFinite(`${rowName(examples, i)} has the weight ${weight[i]}`);
    for (let k = from; k < to; k++) {
      if (!(mask[k]! >= 0 && Number.isFinite(mask[k]!)))
        throw nonFinite(`${rowName(examples, i)} has the mask value ${mask[k]} at action ${k - from}`);
      if (mask[k]! > 0 && weight[i]! > 0) anything = true;
    }
  }
  if (!anything) throw input(`${objective.name} has nothing to learn from: no row of the examples has an unmasked action and a weight`);
  return { rows: rows.length, width };
}

/** Everything the objective declared, as host arrays: the only padding code outside of policies. */
function batchOf<X>(objective: Objective, examples: Examples<X>, layout: Layout): Batch<string, string, string, string> {
  const { needs, name } = objective;
  const { rows, width } = layout;
  const mask = pad(examples.mask, examples, layout);
  const weight = Float64Array.from(examples.weight, (w, i) => (mask.subarray(i * width, (i + 1) * width).some((m) => m > 0) ? w : 0));

  const token: Record<string, Arr> = {};
  for (const column of needs.token) {
    const data = columnOf(name, "token", column, examples.token, examples.mask.length);
    token[column] = host(
      pad(data, examples, layout, (i, j, v) => `the token column ${column} is ${v} in ${rowName(examples, i)}, action ${j}`),
      [rows, width],
    );
  }
  const row: Record<string, Arr> = {};
  for (const column of needs.row)
    row[column] = host(
      finite(columnOf(name, "row", column, examples.row, rows), (i, v) => `the row column ${column} is ${v} in ${rowName(examples, i)}`),
      [rows],
    );
  return { mask: host(mask, [rows, width]), weight: host(weight, [rows]), token, row, sets: setsOf(objective, examples) };
}

function setsOf<X>(objective: Objective, examples: Examples<X>): Batch<string, string, string, string>["sets"] {
  const { needs, name } = objective;
  if (!needs.sets) {
    const none = host([0], [1, 1]);
    const of = (): never => {
      throw new GuerdonError("usage", `${name} reads sets without declaring them: say \`sets: true\``);
    };
    return { mask: none, weight: none, member: {}, set: {}, of };
  }
  const { sets } = examples;
  if (sets === undefined) throw input(`the objective ${name} needs sets (pairs or lists); the examples have none`);
  const { size, members } = sets;
  const count = sets.weight.length;
  if (!(size > 0) || members.length !== count * size)
    throw input(`the sets are inconsistent: ${count} weights, size ${size}, ${members.length} members`);
  if (needs.setSize !== null && needs.setSize !== size)
    throw input(`the objective ${name} needs sets of ${needs.setSize}; the examples have sets of ${size}`);
  checkMembers(sets, examples.rows.length, needs.setSize === null ? null : name);

  const present = Float64Array.from(members, (m) => (m < 0 ? 0 : 1));
  const indices = host(
    members.map((m) => Math.max(m, 0)),
    [count * size],
  );
  const mask = host(present, [count, size]);
  const weight = Float64Array.from(sets.weight, (w, s) => (present.subarray(s * size, (s + 1) * size).some((p) => p > 0) ? w : 0));
  if (!weight.some((w) => w > 0)) throw input(`${name} has nothing to learn from: no set has a member and a weight`);
  const member: Record<string, Arr> = {};
  for (const column of needs.member) {
    const data = columnOf(name, "member", column, sets.member, count * size);
    const present0 = data.map((v, k) => (members[k]! < 0 ? 0 : v));
    member[column] = host(
      finite(present0, (k, v) => `the member column ${column} is ${v} in set ${Math.floor(k / size)}`),
      [count, size],
    );
  }
  const set: Record<string, Arr> = {};
  for (const column of needs.set)
    set[column] = host(
      finite(columnOf(name, "set", column, sets.set, count), (s, v) => `the set column ${column} is ${v} in set ${s}`),
      [count],
    );
  return {
    mask,
    weight: host(weight, [count]),
    member,
    set,
    of: (perRow) =>
      take(perRow.reshape([perRow.shape[0]!, 1]), indices)
        .reshape([count, size])
        .mul(mask),
  };
}

function checkMembers(sets: Sets, rows: number, full: string | null): void {
  for (const [k, member] of sets.members.entries()) {
    const set = Math.floor(k / sets.size);
    if (member >= rows || member < -1) throw input(`set ${set} has row ${member} as a member; there are ${rows} rows`);
    if (member === -1 && full !== null) throw input(`the objective ${full} needs full sets; set ${set} has an empty place`);
  }
  for (const [s, w] of sets.weight.entries()) if (!(w >= 0 && Number.isFinite(w))) throw nonFinite(`set ${s} has the weight ${w}`);
}

function coefficientsOf(objective: Objective, overrides: Readonly<Record<string, number>>): Arrays {
  const known = Object.keys(objective.coefficients);
  for (const name of Object.keys(overrides))
    if (!known.includes(name))
      throw new GuerdonError("usage", `the objective ${objective.name} has no coefficient ${name}; it has ${known.join(", ") || "none"}`);
  const c: Record<string, Arr> = {};
  for (const [name, value] of Object.entries({ ...objective.coefficients, ...overrides })) {
    if (!Number.isFinite(value)) throw nonFinite(`the coefficient ${name} of ${objective.name} is ${value}`);
    c[name] = host([value], []);
  }
  return c;
}

function columnOf(
  objective: string,
  kind: string,
  column: string,
  columns: Readonly<Record<string, Float32Array>>,
  length: number,
): Float32Array {
  const data = columns[column];
  if (data === undefined)
    throw input(
      `the objective ${objective} needs the ${kind} column ${column}; the examples have ${Object.keys(columns).join(", ") || "none"}`,
    );
  if (data.length !== length) throw input(`the ${kind} column ${column} has ${data.length} numbers; the examples need ${length}`);
  return data;
}

function paddedOutput<X>(objective: Objective, outputs: Outputs, name: string, examples: Examples<X>, layout: Layout): Arr {
  const perRow = outputs[name];
  if (perRow === undefined)
    throw new GuerdonError(
      "usage",
      `the objective ${objective.name} needs the output ${name}; there are ${Object.keys(outputs).join(", ") || "none"}`,
    );
  if (perRow.length !== layout.rows) throw input(`the output ${name} has ${perRow.length} rows; the examples have ${layout.rows}`);
  const { offsets } = examples;
  const flat = new Float32Array(examples.mask.length);
  for (const [i, row] of perRow.entries()) {
    const actions = offsets[i + 1]! - offsets[i]!;
    if (row.length !== actions) throw input(`the output ${name} of row ${i} has ${row.length} numbers; the row has ${actions} actions`);
    flat.set(row, offsets[i]!);
  }
  const told = (i: number, j: number, v: number): string => `the output ${name} is ${v} in ${rowName(examples, i)}, action ${j}`;
  return host(pad(flat, examples, layout, told), [layout.rows, layout.width]);
}

/** Ragged cells as a padded table, 0 where padded or masked; a cell that counts and is not finite throws with the given sentence. */
function pad<X>(
  data: Float32Array,
  examples: Examples<X>,
  layout: Layout,
  told?: (row: number, action: number, value: number) => string,
): Float64Array {
  const { offsets, mask } = examples;
  const table = new Float64Array(layout.rows * layout.width);
  for (let i = 0; i < layout.rows; i++) {
    for (let k = offsets[i]!; k < offsets[i + 1]!; k++) {
      if (mask[k]! === 0) continue;
      const value = data[k]!;
      if (told !== undefined && !Number.isFinite(value)) throw nonFinite(told(i, k - offsets[i]!, value));
      table[i * layout.width + k - offsets[i]!] = value;
    }
  }
  return table;
}

function raggedGradient<X>(
  objective: Objective,
  output: string,
  gradient: Float64Array,
  examples: Examples<X>,
  layout: Layout,
): Float32Array[] {
  const { offsets, mask } = examples;
  return Array.from({ length: layout.rows }, (_, i) => {
    const from = offsets[i]!;
    const row = new Float32Array(offsets[i + 1]! - from);
    for (let j = 0; j < row.length; j++) {
      if (mask[from + j]! === 0) continue;
      row[j] = gradient[i * layout.width + j]!;
      if (!Number.isFinite(row[j]!))
        throw nonFinite(
          `the gradient of ${objective.name} with respect to ${output} is ${gradient[i * layout.width + j]} in ${rowName(examples, i)}, action ${j}`,
        );
    }
    return row;
  });
}

function finite(data: Float32Array, told: (index: number, value: number) => string): Float32Array {
  for (const [index, value] of data.entries()) if (!Number.isFinite(value)) throw nonFinite(told(index, value));
  return data;
}

/** A pointer to where to look when only the loss overflowed. */
function extremeRow<X>(outputs: Outputs, read: Arrays, examples: Examples<X>): string {
  let worst = { row: 0, value: 0, name: "" };
  for (const name of Object.keys(read))
    for (const [row, numbers] of outputs[name]!.entries())
      for (const [j, value] of numbers.entries())
        if (examples.mask[examples.offsets[row]! + j]! > 0 && Math.abs(value) > Math.abs(worst.value)) worst = { row, value, name };
  return `the most extreme output is ${worst.name} = ${worst.value} in ${rowName(examples, worst.row)}`;
}

const input = (message: string): GuerdonError => new GuerdonError("input", message);
const nonFinite = (message: string): GuerdonError => new GuerdonError("non-finite", `${message}. No gradient was used.`);
