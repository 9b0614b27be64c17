import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";

/** Uniform numbers in [0, 1) with 53 random bits each. */
export type Rng = () => number;

/** 32-bit avalanche of one word into a running hash (the finaliser of MurmurHash3). */
function mix(hash: number, word: number): number {
  let h = Math.imul(hash ^ word, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * A random stream derived from a seed and a name, never stored: the same arguments give the same numbers on every machine, and
 * different names give unrelated numbers. Name streams by what they decide, for instance `stream(seed, "rollout", step, row)`, so that
 * neither the order of sampling nor a resume changes results.
 *
 * @param seed any finite number
 * @param name strings and numbers; `1` and `"1"` are different names
 */
export function stream(seed: number, ...name: readonly (string | number)[]): Rng {
  const text = JSON.stringify([seed, ...name]);
  const state = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x6a09e667];
  for (let i = 0; i < text.length; i++) for (let k = 0; k < 4; k++) state[k] = mix(state[k]! + k, text.charCodeAt(i) + i * 0x10001);
  const generator = xoroshiro128plusFromState(state.map((s) => s | 0));
  return () => ((generator.next() >>> 5) * 0x4000000 + (generator.next() >>> 6)) / 0x20000000000000;
}

/** A whole number in [0, n). */
export const below = (rng: Rng, n: number): number => Math.floor(rng() * n);

/** A standard normal number (Box-Muller; draws two uniforms). */
export const normal = (rng: Rng): number => Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng());

/** A shuffled copy (Fisher-Yates). */
export function shuffled<T>(items: readonly T[], rng: Rng): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = below(rng, i + 1);
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}
