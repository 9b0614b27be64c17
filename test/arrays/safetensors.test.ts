import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatSafetensors, parseSafetensors } from "../../src/arrays/index.ts";
import { GuerdonError } from "../../src/error.ts";

/** A file with any header, true or not. */
function file(header: unknown, data: Uint8Array | number = 0, length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const body = typeof data === "number" ? new Uint8Array(data) : data;
  const out = new Uint8Array(8 + text.length + body.length);
  new DataView(out.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  out.set(text, 8);
  out.set(body, 8 + text.length);
  return out;
}
const bytesOf = (data: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const tensor = fc.array(fc.nat({ max: 4 }), { maxLength: 3 }).chain((shape) => {
  const n = shape.reduce((a, b) => a * b, 1);
  return fc.oneof(
    fc.float32Array({ minLength: n, maxLength: n }).map((data) => ({ shape, data })),
    fc.int32Array({ minLength: n, maxLength: n }).map((data) => ({ shape, data })),
  );
});
const names = fc.string().filter((name) => name !== "__metadata__");

describe("round trip", () => {
  test("any tensors, names and metadata come back bit by bit", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(names, tensor)), fc.dictionary(fc.string(), fc.string()), (entries, metadata) => {
        const tensors = Object.fromEntries(entries);
        const bytes = formatSafetensors(tensors, metadata);
        const back = parseSafetensors(bytes);
        expect(Object.keys(back.tensors).sort()).toEqual(Object.keys(tensors).sort());
        for (const [name, { shape, data }] of Object.entries(tensors)) {
          expect(back.tensors[name]!.shape).toEqual(shape);
          expect(back.tensors[name]!.data.constructor).toBe(data.constructor);
          expect(bytesOf(back.tensors[name]!.data)).toEqual(bytesOf(data));
        }
        expect(new Map(Object.entries(back.metadata))).toEqual(new Map(Object.entries(metadata)));
        expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0);
      }),
      { seed: 7, numRuns: 200 },
    );
  });

  test("a tensor called __proto__ is a tensor", () => {
    const tensors = Object.fromEntries([["__proto__", { shape: [1], data: Float32Array.of(3) }]]);
    expect(Object.entries(parseSafetensors(formatSafetensors(tensors)).tensors)).toEqual([
      ["__proto__", { shape: [1], data: Float32Array.of(3) }],
    ]);
  });

  test("a view into a larger buffer is read and written as the view", () => {
    const data = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
    const bytes = formatSafetensors({ x: { shape: [2], data } });
    const inside = new Uint8Array(bytes.length + 3);
    inside.set(bytes, 3);
    expect([...parseSafetensors(inside.subarray(3)).tensors.x!.data]).toEqual([2, 3]);
  });

  test("the data does not follow later changes of the file's bytes", () => {
    const bytes = formatSafetensors({ x: { shape: [1], data: Float32Array.of(1) } });
    const { x } = parseSafetensors(bytes).tensors;
    bytes.fill(0);
    expect([...x!.data]).toEqual([1]);
  });

  test("what cannot be written is refused", () => {
    expect(() => formatSafetensors({ x: { shape: [3], data: new Float32Array(2) } })).toThrow(/tensor x of shape \[3\] has 2 elements/);
    expect(() => formatSafetensors({ __metadata__: { shape: [], data: new Float32Array(1) } })).toThrow(/cannot be called __metadata__/);
  });
});

describe("other types", () => {
  const read = (dtype: string, data: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number; length: number }) =>
    parseSafetensors(file({ x: { dtype, shape: [data.length], data_offsets: [0, data.byteLength] } }, bytesOf(data))).tensors.x!.data;

  test("BF16", () =>
    expect(read("BF16", Uint16Array.of(0x3f80, 0xc049, 0x0000, 0x7f80))).toEqual(Float32Array.of(1, -3.140625, 0, Infinity)));
  test("F16, subnormal numbers and infinities too", () =>
    expect(read("F16", Uint16Array.of(0x3c00, 0xc248, 0x0001, 0x8000, 0xfc00, 0x7e00, 0x7bff))).toEqual(
      Float32Array.of(1, -3.140625, 2 ** -24, -0, -Infinity, NaN, 65504),
    ));
  test("I64 that fits", () => expect(read("I64", BigInt64Array.of(5n, -(2n ** 31n)))).toEqual(Int32Array.of(5, -(2 ** 31))));
  test("I64 that does not fit", () => expect(() => read("I64", BigInt64Array.of(2n ** 31n))).toThrow(/tensor x holds 2147483648/));
  test("F64 is refused by name", () =>
    expect(() => read("F64", Float64Array.of(1))).toThrow(/Tensor x has type "F64"; F32, I32, BF16, F16, I64 can be read/));
  test("a type called like a method of every object", () =>
    expect(() => read("constructor", Float32Array.of(1))).toThrow(/has type "constructor"/));
});

describe("hostile files are refused with a reason", () => {
  const good = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
  const cases: [name: string, bytes: Uint8Array, reason: RegExp][] = [
    ["empty", new Uint8Array(0), /the file has 0 bytes/],
    ["cut in the length", new Uint8Array(7), /the file has 7 bytes/],
    ["absurd header length", file({}, 0, 2n ** 63n), /its header should take 9223372036854775808 bytes/],
    ["header length just too long", file({}, 0, 3n), /its header should take 3 bytes, of 2 in the file/],
    ["not JSON", file("{"), /its header is not JSON/],
    ["not UTF-8", file("  ").with(8, 0xff), /its header is not JSON/],
    ["a list", file([]), /its header is not a record/],
    ["null", file("null"), /its header is not a record/],
    ["metadata that is not text", file({ __metadata__: { a: 1 } }), /__metadata__ is not a record of strings/],
    ["a tensor that is a number", file({ x: 3 }), /tensor x is not described/],
    ["no type", file({ x: { ...good, dtype: undefined } }, 8), /Tensor x has type undefined/],
    ["a negative length", file({ x: { ...good, shape: [-2] } }, 8), /tensor x has shape \[-2\]/],
    ["a fraction", file({ x: { ...good, shape: [1.5] } }, 8), /tensor x has shape \[1.5\]/],
    ["an enormous shape", file({ x: { ...good, shape: [2 ** 50, 2 ** 50] } }, 8), /tensor x of shape .* takes .* bytes, not 8/],
    ["offsets backwards", file({ x: { ...good, data_offsets: [8, 0] } }, 8), /takes 8 bytes, not -8/],
    ["three offsets", file({ x: { ...good, data_offsets: [0, 8, 9] } }, 8), /tensor x has data_offsets \[0,8,9\]/],
    ["beyond the end", file({ x: good }, 4), /its tensors take 8 bytes, and 4 follow/],
    [
      "enormous and beyond the end",
      file({ x: { dtype: "F32", shape: [2 ** 48], data_offsets: [0, 2 ** 50] } }, 8),
      /its tensors take 1125899906842624 bytes/,
    ],
    [
      "overlap",
      file({ x: good, y: { ...good, data_offsets: [4, 12] } }, 12),
      /tensor y starts at byte 4 of the data, and the one before it ends at 8/,
    ],
    ["a hole", file({ x: good, y: { ...good, data_offsets: [12, 20] } }, 20), /tensor y starts at byte 12/],
    ["bytes left over", file({ x: good }, 9), /its tensors take 8 bytes, and 9 follow/],
  ];
  for (const [name, bytes, reason] of cases)
    test(name, () => {
      expect(() => parseSafetensors(bytes)).toThrow(reason);
      expect(() => parseSafetensors(bytes)).toThrow(GuerdonError);
    });

  test("any truncation of a good file, and any bytes at all", () => {
    const whole = formatSafetensors(
      { a: { shape: [3], data: Float32Array.of(1, 2, 3) }, b: { shape: [1], data: Int32Array.of(4) } },
      { note: "x" },
    );
    for (let n = 0; n < whole.length; n++) expect(() => parseSafetensors(whole.subarray(0, n))).toThrow(GuerdonError);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }), (noise, place, byte) => {
        for (const bytes of [noise, whole.with(place, byte)])
          try {
            parseSafetensors(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(GuerdonError);
          }
      }),
      { seed: 7, numRuns: 500 },
    );
  });
});
