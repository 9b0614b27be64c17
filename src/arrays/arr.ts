/** An array that may be used any number of times: on the host (float64 with a tape) or inside a compiled program (float32). */
export interface Arr {
  readonly shape: readonly number[];
}
export type Arrays<K extends string = string> = { readonly [P in K]: Arr };
