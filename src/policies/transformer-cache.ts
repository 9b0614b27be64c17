import { Tensor, upload } from "../arrays/index.ts";
import type { HostArray } from "../arrays/index.ts";
import type { Parameters } from "./policy.ts";
import { paddedLength, paddedRows } from "./shapes.ts";
import type { Resolved } from "./transformer-config.ts";
import { OPEN } from "./transformer-decode.ts";
import type { DecodePrograms, Segment } from "./transformer-decode.ts";
import { collate, rotation } from "./transformer-inputs.ts";
import { HIDDEN } from "./transformer-layers.ts";

/** The first closed segment has this many slots, the second too, then 2, 4, .. times as many: few shapes. */
const CLOSED = 64;

/** What the host needs to draw the next tokens. */
export interface State {
  /** [.., vocabulary] flat. */
  readonly logits: Float32Array | Int32Array;
  /** With a value head. */
  readonly values?: Float32Array | Int32Array;
  /** Where the batch's row b stands in `logits` and `values`. */
  rowOf(b: number): number;
}

/** The device side of one batch: its keys and values, and the tokens drawn so far. */
export interface Cache {
  /** The tokens that the next step is given, one a row of the batch; the caller writes them. */
  readonly next: Int32Array;
  /** Runs the prompts. */
  prompts(): Promise<State>;
  /** Takes `next`, every row's answer token number j. The state that comes back has at least the rows `going`, and no others from then on. */
  step(j: number, going: readonly number[]): Promise<State>;
  dispose(): void;
}

/** Makes room for a batch of prompts and answers of which at most `capacity` tokens will be given to `step`. */
export function openCache(
  programs: DecodePrograms,
  config: Resolved,
  parameters: Parameters,
  prompts: readonly Int32Array[],
  capacity: number,
): Cache {
  const { layers } = config;
  /** The rows of the batch that are on the device, in order, and their number there. */
  let rows: readonly number[] = [...prompts.keys()];
  let B = paddedRows(rows.length);
  const openSlots = Math.min(OPEN, capacity);
  const held = new Set<Tensor>();
  const hold = (tensor: Tensor): Tensor => {
    held.add(tensor);
    return tensor;
  };
  const drop = (tensor: Tensor): void => {
    tensor.dispose();
    held.delete(tensor);
  };
  const release = (segment: Segment<Tensor>): void => [...segment.keys, ...segment.values].forEach(drop);
  /** An empty segment: one tensor of zeros stands for all its arrays. */
  const empty = (slots: number): Segment<Tensor> => {
    const shape = [B, slots, config.keyValueHeads * config.headSize];
    const zeros = hold(upload({ shape, data: new Float32Array(shape[0]! * shape[1]! * shape[2]!) }));
    const all = Array.from({ length: layers }, () => zeros);
    return { keys: all, values: all };
  };
  const owned = ({ keys, values }: Segment<Tensor>): Segment<Tensor> => ({ keys: keys.map(hold), values: values.map(hold) });
  const read = async (logits: Tensor, value: Tensor | undefined, rowOf: (b: number) => number): Promise<State> => {
    hold(logits);
    if (value) hold(value);
    const state = {
      logits: await logits.read(),
      ...(value ? { values: await value.read() } : {}),
      rowOf,
    };
    drop(logits);
    if (value) drop(value);
    return state;
  };

  const next = new Int32Array(prompts.length);
  /** The prompt's segment, then closed ones. */
  const fixed: { segment: Segment<Tensor>; hide: HostArray | Tensor; slots: number; filled: number }[] = [];
  let open: Segment<Tensor> | null = null;
  let closedSlots = 0;

  /** Moves the full open segment into the last closed one, after opening a further one where that is full. */
  function close(full: Segment<Tensor>): void {
    let last = fixed.at(-1)!;
    if (fixed.length === 1 || last.filled === last.slots) {
      const rest = OPEN * Math.ceil(capacity / OPEN) - OPEN - closedSlots;
      const slots = Math.min(rest, Math.max(CLOSED, closedSlots));
      closedSlots += slots;
      fixed.push(
        (last = { segment: empty(slots), hide: { shape: [1, slots], data: new Float32Array(slots).fill(HIDDEN) }, slots, filled: 0 }),
      );
    }
    const place = new Float32Array(last.slots / OPEN);
    place[last.filled / OPEN] = 1;
    const closed = owned(programs.close.run(full, last.segment, { shape: [place.length], data: place }));
    release(full);
    release(last.segment);
    last.segment = closed;
    last.filled += OPEN;
    last.hide = { shape: [1, last.slots], data: Float32Array.from({ length: last.slots }, (_, i) => (i < last.filled ? 0 : HIDDEN)) };
  }

  /** Hides the slots of a prompt's segment that hold nothing; `slots` is its length. */
  function hidePrompts(slots: number): Tensor {
    const hide = new Float32Array(B * slots);
    for (let r = 0; r < B; r++) hide.fill(HIDDEN, r * slots + prompts[rows[r] ?? 0]!.length, (r + 1) * slots);
    return hold(upload({ shape: [B, slots], data: hide }));
  }

  /** Leaves out rows that have ended, when that halves the batch. There must be no open segment. */
  function narrow(going: readonly number[]): void {
    const fewer = paddedRows(going.length);
    if (fewer >= B) return;
    const place = new Map(rows.map((row, r) => [row, r]));
    const picked = Int32Array.from({ length: fewer }, (_, r) => (r < going.length ? place.get(going[r]!)! : 0));
    const narrowed = programs.narrow.run(
      fixed.map(({ segment }) => segment),
      { shape: [fewer], data: picked },
    );
    rows = going;
    B = fewer;
    fixed.forEach((part, k) => {
      release(part.segment);
      part.segment = owned(narrowed[k]!);
    });
    const prompt = fixed[0]!;
    if (prompt.hide instanceof Tensor) drop(prompt.hide);
    prompt.hide = hidePrompts(prompt.slots);
  }

  return {
    next,
    async prompts() {
      const numbers = new Map<string, number>();
      const distinct: Int32Array[] = [];
      const numberOf = new Int32Array(B);
      prompts.forEach((prompt, b) => {
        const key = prompt.join();
        let number = numbers.get(key);
        if (number === undefined) {
          numbers.set(key, (number = distinct.length));
          distinct.push(prompt);
        }
        numberOf[b] = number;
      });
      const U = paddedRows(distinct.length);
      const P = paddedLength(Math.max(...prompts.map((prompt) => prompt.length)));
      const none = new Int32Array(0);
      const sequences = distinct.map((prompt) => ({ prompt, actions: none }));
      const { tokens, last, order, cos, sin } = collate(config, sequences, U, P);
      const result = programs.prompts.run(parameters, {
        tokens: tokens!,
        last: last!,
        order: order!,
        ...(cos && sin ? { cos, sin } : {}),
        ...(distinct.length === prompts.length && U === B ? {} : { rows: { shape: [B], data: numberOf } }),
      });
      fixed.push({ segment: owned(result), hide: hidePrompts(P), slots: P, filled: P });
      return read(result.logits, result.value, (b) => numberOf[b]!);
    },
    async step(j, going) {
      const slot = j % OPEN;
      if (open && slot === 0) {
        close(open);
        open = null;
        narrow(going);
      }
      open ??= empty(openSlots);
      const before = open;
      const perRow = (of: (row: number) => number) => Int32Array.from({ length: B }, (_, r) => (r < rows.length ? of(rows[r]!) : 0));
      const places = perRow((row) => Math.min(prompts[row]!.length + j, config.context - 1));
      const rowOf = new Map(rows.map((row, r) => [row, r]));
      const write = new Float32Array(openSlots);
      write[slot] = 1;
      const hide = Float32Array.from({ length: openSlots }, (_, i) => (i <= slot ? 0 : HIDDEN));
      const result = programs.step.run(
        parameters,
        {
          tokens: { shape: [B], data: perRow((row) => next[row]!) },
          write: { shape: [openSlots], data: write },
          ...(config.positions === "rotary" ? rotation(config.frequencies, places) : { places: { shape: [B], data: places } }),
        },
        { ...before, hide: { shape: [1, openSlots], data: hide } },
        fixed.map(({ segment, hide: hidden }) => ({ ...segment, hide: hidden })),
      );
      open = owned(result);
      release(before);
      return read(result.logits, result.value, (b) => rowOf.get(b)!);
    },
    dispose() {
      for (const tensor of held) tensor.dispose();
      held.clear();
    },
  };
}
