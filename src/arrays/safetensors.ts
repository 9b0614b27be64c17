import { GuerdonError } from "../error.ts";
import type { HostTensor } from "../statistics/snapshot.ts";

/** What a safetensors file holds. `metadata` is its `__metadata__`, free text by name. */
export interface TensorFile {
  readonly tensors: Record<string, HostTensor>;
  readonly metadata: Record<string, string>;
}

/** The format's own limit. */
const longestHeader = 100_000_000;

/** Bytes an element, and how to read n of them. Views copy, because the data need not be aligned. */
const types: Readonly<Record<string, { bytes: number; read(data: Uint8Array, name: string): Float32Array | Int32Array }>> = {
  F32: { bytes: 4, read: (data) => new Float32Array(data.slice().buffer) },
  I32: { bytes: 4, read: (data) => new Int32Array(data.slice().buffer) },
  BF16: { bytes: 2, read: (data) => new Float32Array(Uint32Array.from(new Uint16Array(data.slice().buffer), (half) => half << 16).buffer) },
  F16: { bytes: 2, read: (data) => Float32Array.from(new Uint16Array(data.slice().buffer), fromHalf) },
  I64: {
    bytes: 8,
    read: (data, name) =>
      Int32Array.from(
        Array.from(new BigInt64Array(data.slice().buffer), (x) => {
          if (BigInt.asIntN(32, x) !== x) throw broken(`tensor ${name} holds ${x}, which does not fit into 32 bits`);
          return Number(x);
        }),
      ),
  },
};

/**
 * Reads a safetensors file: F32, F16 and BF16 become Float32Array, I32 and I64 Int32Array. The data is copied.
 *
 * @throws GuerdonError "input" for anything but a well-formed file, before memory is set aside for it; "unsupported" for other types
 */
export function parseSafetensors(bytes: Uint8Array): TensorFile {
  if (bytes.length < 8) throw broken(`the file has ${bytes.length} bytes, and its header length alone takes 8`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(longestHeader) || length > BigInt(bytes.length - 8))
    throw broken(`its header should take ${length} bytes, of ${bytes.length - 8} in the file; it is cut short or no safetensors file`);
  // A plain Uint8Array: `slice` of a Node Buffer does not copy.
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(8 + Number(length));
  const { __metadata__: metadata = {}, ...entries } = header(bytes.subarray(8, 8 + Number(length)));
  if (!isRecord(metadata) || !Object.values(metadata).every((v) => typeof v === "string"))
    throw broken("its __metadata__ is not a record of strings");

  const found = Object.entries(entries).map(([name, entry]) => described(name, entry));
  let end = 0;
  for (const { name, from, to } of found.toSorted((a, b) => a.from - b.from || a.to - b.to)) {
    if (from !== end) throw broken(`tensor ${name} starts at byte ${from} of the data, and the one before it ends at ${end}`);
    end = to;
  }
  if (end !== data.length) throw broken(`its tensors take ${end} bytes, and ${data.length} follow the header`);
  // fromEntries, because a tensor may be called __proto__.
  const tensors = Object.fromEntries(
    found.map(({ name, shape, from, to, type }) => [name, { shape, data: type.read(data.subarray(from, to), name) }]),
  );
  return { tensors, metadata: metadata as Record<string, string> };
}

/** Writes a safetensors file (F32 and I32), tensors in the order given. */
export function formatSafetensors(tensors: Readonly<Record<string, HostTensor>>, metadata?: Readonly<Record<string, string>>): Uint8Array {
  let end = 0;
  const entries = Object.entries(tensors).map(([name, { shape, data }]) => {
    if (name === "__metadata__") throw new GuerdonError("usage", "formatSafetensors: a tensor cannot be called __metadata__");
    if (shape.reduce((product, n) => product * n, 1) !== data.length)
      throw new GuerdonError("usage", `formatSafetensors: tensor ${name} of shape [${shape.join(", ")}] has ${data.length} elements`);
    const from = end;
    end += data.byteLength;
    return [name, { dtype: data instanceof Float32Array ? "F32" : "I32", shape, data_offsets: [from, end] }] as const;
  });
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(metadata ? [["__metadata__", metadata], ...entries] : entries)));
  const length = Math.ceil(text.length / 8) * 8; // padded with spaces, so that the data is aligned
  const out = new Uint8Array(8 + length + end).fill(32, 8, 8 + length);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(text, 8);
  let at = 8 + length;
  for (const { data } of Object.values(tensors)) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return out;
}

function header(bytes: Uint8Array): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw broken("its header is not JSON", cause);
  }
  if (!isRecord(parsed)) throw broken("its header is not a record of tensors");
  return parsed;
}

function described(name: string, entry: unknown) {
  if (!isRecord(entry)) throw broken(`tensor ${name} is not described by a record`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isCounts(shape)) throw broken(`tensor ${name} has shape ${JSON.stringify(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2) throw broken(`tensor ${name} has data_offsets ${JSON.stringify(offsets)}`);
  const type = typeof dtype === "string" && Object.hasOwn(types, dtype) ? types[dtype] : undefined;
  if (typeof dtype !== "string" || !type)
    throw new GuerdonError(
      "unsupported",
      `Tensor ${name} has type ${JSON.stringify(dtype)}; ${Object.keys(types).join(", ")} can be read.`,
    );
  const [from, to] = offsets as [number, number];
  const size = shape.reduce((product, n) => product * n, type.bytes);
  if (to - from !== size)
    throw broken(`tensor ${name} of shape [${shape.join(", ")}] and type ${dtype} takes ${size} bytes, not ${to - from}`);
  return { name, shape, from, to, type };
}

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === "object" && x !== null && !Array.isArray(x);
const isCounts = (x: unknown): x is number[] => Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && n >= 0);
const broken = (what: string, cause?: unknown): GuerdonError =>
  new GuerdonError("input", `Not a valid safetensors file: ${what}.`, { cause });

/** IEEE half precision: 1 sign, 5 exponent, 10 fraction bits. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}
