// TensorBoard's event files: TFRecord frames around `Event` protobuf messages (tensorboard/compat/proto/event.proto, summary.proto).

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

/** CRC-32C (Castagnoli) of some bytes. */
export function crc32c(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = table[(c ^ byte) & 0xff]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/** TFRecord's masking: a CRC of data that holds CRCs is weak, so it is rotated and shifted. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

/** [8 bytes length][4 bytes masked CRC of the length][data][4 bytes masked CRC of the data], little-endian. */
function frame(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(data.length + 16);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length, true);
  view.setUint32(8, masked(crc32c(out.subarray(0, 8))), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return out;
}

function varint(n: number): number[] {
  const out: number[] = [];
  for (; n > 127; n = Math.floor(n / 128)) out.push((n % 128) | 128);
  out.push(n);
  return out;
}

const joined = (parts: readonly ArrayLike<number>[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

/** A length-delimited field. */
const field = (number: number, data: Uint8Array): Uint8Array => joined([varint(number * 8 + 2), varint(data.length), data]);

const double = (number: number, value: number): Uint8Array => {
  const out = new Uint8Array(9);
  out[0] = number * 8 + 1;
  new DataView(out.buffer).setFloat64(1, value, true);
  return out;
};

const float = (number: number, value: number): Uint8Array => {
  const out = new Uint8Array(5);
  out[0] = number * 8 + 5;
  new DataView(out.buffer).setFloat32(1, value, true);
  return out;
};

const text = new TextEncoder();

/** The first record of every event file. `wallTime` in seconds since 1970. */
export const eventFileHeader = (wallTime: number): Uint8Array =>
  frame(joined([double(1, wallTime), field(3, text.encode("brain.Event:2"))]));

/**
 * One record with the scalars of one step.
 *
 * @param wallTime seconds since 1970
 * @param step a whole number >= 0
 * @param scalars tag -> number; stored as float32; null and non-finite values are left out
 */
export function scalarsEvent(wallTime: number, step: number, scalars: Readonly<Record<string, number | null>>): Uint8Array {
  const values = Object.entries(scalars).flatMap(([tag, value]) =>
    value !== null && Number.isFinite(value) ? [field(1, joined([field(1, text.encode(tag)), float(2, value)]))] : [],
  );
  return frame(joined([double(1, wallTime), [2 * 8], varint(step), field(5, joined(values))]));
}
