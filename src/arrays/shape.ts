import { GuerdonError } from "../error.ts";

/** Number of elements. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

export const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

export const show = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** A non-negative axis number. */
export function axisOf(what: string, shape: readonly number[], axis: number): number {
  const k = axis < 0 ? axis + shape.length : axis;
  if (!(Number.isInteger(k) && k >= 0 && k < shape.length))
    throw new GuerdonError("usage", `${what}: shape ${show(shape)} has no axis ${axis}`);
  return k;
}

/** The common shape of operands, as in NumPy: aligned at the end, a length of 1 stretches. */
export function broadcast(what: string, shapes: readonly (readonly number[])[]): number[] {
  const out = Array.from({ length: Math.max(...shapes.map((s) => s.length)) }, () => 1);
  for (const shape of shapes)
    shape.forEach((n, i) => {
      const k = out.length - shape.length + i;
      if (n !== 1 && out[k] !== 1 && out[k] !== n)
        throw new GuerdonError("usage", `${what}: shapes ${shapes.map(show).join(" and ")} do not fit`);
      if (n !== 1) out[k] = n;
    });
  return out;
}
