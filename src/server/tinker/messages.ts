import { mostEntries } from "../../engines/tinker/lists.ts";
import { losses } from "../../engines/tinker/protocol.ts";
import type { Loss } from "../../engines/tinker/protocol.ts";
import { bytesOf, fields, message, numberOf, textOf } from "./protobuf.ts";
import { Refused } from "./refused.ts";
import type { Top } from "./top.ts";
import type { Drawn } from "./wire.ts";

/*
 * The three messages that the Python SDK (0.25 and later) sends and expects as protobuf: the request of a forward or backward pass, its
 * result, and that of sampling. Field numbers are those of its `tinker_public.proto`.
 */

/** A tensor as it was sent. */
export interface SentTensor {
  readonly data: ArrayLike<number>;
  readonly shape: readonly number[] | null;
}

/** A pass as it was sent, in either form. */
export interface SentPass {
  readonly modelId: string;
  readonly seqId: number | null;
  readonly loss: Loss;
  readonly config: Readonly<Record<string, number>>;
  readonly backward: boolean;
  readonly data: readonly { readonly tokens: ArrayLike<number>; readonly tensors: ReadonlyMap<string, SentTensor> }[];
}

const dtype = { float32: 1, int64: 2, int32: 3 } as const;

/** @throws Refused 422 for what the message may hold and this server cannot use; GuerdonError "input" for broken bytes */
export function passFrom(body: Uint8Array): SentPass {
  let modelId = "";
  let seqId = 0;
  let loss = "";
  let forwardOnly = false;
  const config = new Map<string, number>();
  const data: SentPass["data"][number][] = [];
  for (const field of fields(body)) {
    if (field.number === 1) modelId = textOf(field);
    else if (field.number === 2) seqId = numberOf(field);
    else if (field.number === 3) {
      // A row can be two bytes here, and is many in memory.
      if (data.length === mostEntries) throw new Refused(422, `There are more than ${mostEntries} data.`);
      data.push(datumFrom(bytesOf(field), data.length));
    } else if (field.number === 4) loss = textOf(field);
    else if (field.number === 5) {
      const [key, value] = entryFrom(bytesOf(field));
      if (typeof value === "number") config.set(key, value);
    } else if (field.number === 6) forwardOnly = numberOf(field) !== 0;
    else if (field.number === 7) {
      const [key, value] = entryFrom(bytesOf(field));
      config.set(key, configValueFrom(key, value));
    }
  }
  const known = losses.find((name) => name === loss);
  if (!known) throw new Refused(422, `loss_fn ${JSON.stringify(loss)} is not known here; there is ${losses.join(", ")}.`);
  if (modelId === "") throw new Refused(422, "model_id is missing.");
  return {
    modelId,
    // Not optional in this form: 0 stands for none.
    seqId: seqId === 0 ? null : seqId,
    loss: known,
    config: Object.fromEntries(config),
    backward: !forwardOnly,
    data,
  };
}

/** An entry of a map: its key and its value as it stands. */
function entryFrom(bytes: Uint8Array): [key: string, value: number | Uint8Array] {
  let key = "";
  let value: number | Uint8Array = new Uint8Array(0);
  for (const field of fields(bytes)) {
    if (field.number === 1) key = textOf(field);
    else if (field.number === 2) value = field.value;
  }
  return [key, value];
}

function configValueFrom(key: string, value: number | Uint8Array): number {
  if (typeof value !== "number") for (const field of fields(value)) if (field.number === 1) return numberOf(field);
  throw new Refused(422, `loss_fn_config.${key} must be a number.`);
}

function datumFrom(bytes: Uint8Array, index: number): SentPass["data"][number] {
  const chunks: Int32Array[] = [];
  const tensors = new Map<string, SentTensor>();
  for (const field of fields(bytes)) {
    if (field.number === 1) chunks.push(chunkFrom(bytesOf(field), index));
    else if (field.number === 2) {
      const [name, value] = entryFrom(bytesOf(field));
      if (typeof value !== "number") tensors.set(name, tensorFrom(value, `Datum ${index}, ${name}`));
    }
  }
  const tokens = new Int32Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    tokens.set(chunk, at);
    at += chunk.length;
  }
  return { tokens, tensors };
}

function chunkFrom(bytes: Uint8Array, index: number): Int32Array {
  for (const field of fields(bytes)) {
    if (field.number !== 1) break;
    for (const inner of fields(bytesOf(field)))
      if (inner.number === 1) return new Int32Array(aligned(bytesOf(inner), 4, `Datum ${index}, model_input`));
    return new Int32Array(0);
  }
  throw new Refused(422, `Datum ${index}: model_input may hold text chunks only; this model reads nothing else.`);
}

function tensorFrom(bytes: Uint8Array, name: string): SentTensor {
  let dense = new Uint8Array(0);
  let type = 0;
  const shape: number[] = [];
  for (const field of fields(bytes)) {
    if (field.number === 1) dense = new Uint8Array(bytesOf(field));
    else if (field.number === 2) throw new Refused(422, `${name} is a sparse tensor: send it dense.`);
    else if (field.number === 3) type = numberOf(field);
    else if (field.number === 4) {
      const sizes = typeof field.value === "number" ? [field.value] : packed(field.value.subarray(0, 100));
      if (shape.length + sizes.length > 8) throw new Refused(422, `${name} has more than 8 axes.`);
      shape.push(...sizes);
    }
  }
  const data =
    type === dtype.float32
      ? new Float32Array(aligned(dense, 4, name))
      : type === dtype.int64
        ? Float64Array.from(new BigInt64Array(aligned(dense, 8, name)), Number)
        : type === dtype.int32
          ? new Int32Array(aligned(dense, 4, name))
          : null;
  if (!data) throw new Refused(422, `${name} must be of float32 or int64.`);
  return { data, shape: shape.length > 0 ? shape : null };
}

/** Varints without keys between them. */
function packed(bytes: Uint8Array): number[] {
  const found: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of bytes) {
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    found.push(value);
    value = 0;
    scale = 1;
  }
  return found;
}

/** A copy that begins where an array of numbers may. */
function aligned(bytes: Uint8Array, size: number, name: string): ArrayBuffer {
  if (bytes.length % size !== 0) throw new Refused(422, `${name} has ${bytes.length} bytes, which is not a whole count of numbers.`);
  return bytes.slice().buffer;
}

const raw = (data: Int32Array | Float32Array | BigInt64Array): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** The result of a pass: one log-probability a target. */
export function passResult(logProbs: readonly Float32Array[], metrics: Readonly<Record<string, number>>): Uint8Array {
  const data = new Float32Array(logProbs.reduce((sum, row) => sum + row.length, 0));
  const offsets = new BigInt64Array(logProbs.length + 1);
  let at = 0;
  logProbs.forEach((row, i) => {
    data.set(row, at);
    at += row.length;
    offsets[i + 1] = BigInt(at * 4);
  });
  const tensor = message().add(1, raw(data)).add(2, raw(offsets)).whole(3, dtype.float32);
  const record = message().add(1, passType).add(2, message().add(1, "logprobs").add(2, tensor)).whole(3, logProbs.length);
  const result = message().add(1, passType).add(2, record);
  for (const [name, value] of Object.entries(metrics)) result.add(3, message().add(1, name).double(2, value));
  return result.finish();
}

/** What a pass's outputs are called. */
export const passType = "ArrayRecord";

/** What stands where nothing is told. */
const untold = { token: 0, logProb: -99_999 };

export interface SampleResult extends Pick<Drawn, "sequences"> {
  /** One a prompt token, NaN where it is not told. */
  readonly promptLogProbs: Float32Array | null;
  /** From the second prompt token on. */
  readonly promptTop: Top | null;
  readonly isTold: (place: number) => boolean;
}

/** The result of sampling. */
export function sampleResult({ sequences, promptLogProbs, promptTop, isTold }: SampleResult): Uint8Array {
  const result = message();
  for (const { tokens, logProbs, stop } of sequences)
    result.add(
      1,
      message()
        .whole(1, stop === "stop" ? 0 : 1)
        .add(2, raw(tokens))
        .add(3, raw(logProbs)),
    );
  if (promptLogProbs) result.add(2, raw(promptLogProbs));
  if (!promptTop) return result.finish();
  const { k } = promptTop;
  const tokens = new Int32Array(promptTop.tokens.length + k).fill(untold.token);
  const logProbs = new Float32Array(tokens.length).fill(untold.logProb);
  for (let i = 1; i * k < tokens.length; i++) {
    if (!isTold(i)) continue;
    tokens.set(promptTop.tokens.subarray((i - 1) * k, i * k), i * k);
    logProbs.set(promptTop.logProbs.subarray((i - 1) * k, i * k), i * k);
  }
  const top = message()
    .add(1, raw(tokens))
    .add(2, raw(logProbs))
    .whole(3, k)
    .whole(4, tokens.length / k);
  return result.add(3, top).finish();
}
