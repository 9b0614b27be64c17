import { GuerdonError } from "../../error.ts";

/*
 * The wire of Protocol Buffers, as far as messages need it that are taken apart and put together by hand: the Python SDK sends and expects
 * three messages in this form. Own code, because pbf 5.1.2 reads a field that is cut off as a shorter one without a word, and
 * @bufbuild/protobuf 2.17.0 takes 2.9 MB, a fifth of this package.
 */

/** One field of a message: a number for varints and fixed numbers, bytes for everything that has a length. */
export interface Field {
  readonly number: number;
  readonly value: number | Uint8Array;
}

const broken = (what: string): GuerdonError => new GuerdonError("input", `The body is no protobuf message: ${what}.`);

/** The fields of a message, in their order. Whole numbers must be below 2^53. @throws GuerdonError "input" for broken bytes */
export function* fields(bytes: Uint8Array): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const need = (count: number): void => {
    if (count > bytes.length - at) throw broken(`it ends within a field at byte ${at}`);
  };
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      need(1);
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) break;
      if (scale > 2 ** 49) throw broken(`a number at byte ${at} is too large`);
    }
    if (!Number.isSafeInteger(value)) throw broken(`a number at byte ${at} is too large`);
    return value;
  };
  while (at < bytes.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    if (number === 0) throw broken(`field 0 at byte ${at}`);
    switch (key % 8) {
      case 0:
        yield { number, value: varint() };
        break;
      case 1:
        need(8);
        yield { number, value: view.getFloat64(at, true) };
        at += 8;
        break;
      case 2: {
        const length = varint();
        need(length);
        yield { number, value: bytes.subarray(at, at + length) };
        at += length;
        break;
      }
      case 5:
        need(4);
        yield { number, value: view.getFloat32(at, true) };
        at += 4;
        break;
      default:
        throw broken(`wire type ${key % 8} at byte ${at}`);
    }
  }
}

/** The bytes of a field that has a length. */
export function bytesOf({ number, value }: Field): Uint8Array {
  if (typeof value === "number") throw broken(`field ${number} is a number`);
  return value;
}
export function numberOf({ number, value }: Field): number {
  if (typeof value !== "number") throw broken(`field ${number} is no number`);
  return value;
}
export const textOf = (field: Field): string => new TextDecoder().decode(bytesOf(field));

const encoder = new TextEncoder();

/** A message that is written field by field. Fields that hold their default may be left out by the caller. */
export interface Message {
  readonly bytes: number;
  /** A field with a length: bytes, a text, or another message. */
  add(number: number, value: Uint8Array | string | Message): Message;
  /** A whole number from 0. */
  whole(number: number, value: number): Message;
  double(number: number, value: number): Message;
  finish(): Uint8Array;
}

export function message(): Message {
  const parts: Uint8Array[] = [];
  let length = 0;
  const push = (part: Uint8Array): void => {
    parts.push(part);
    length += part.length;
  };
  const varint = (value: number): void => {
    const out: number[] = [];
    let rest = value;
    while (rest >= 128) {
      out.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    out.push(rest);
    push(Uint8Array.from(out));
  };
  const self: Message = {
    get bytes() {
      return length;
    },
    add(number, value) {
      const content = typeof value === "string" ? encoder.encode(value) : value instanceof Uint8Array ? value : value.finish();
      varint(number * 8 + 2);
      varint(content.length);
      push(content);
      return self;
    },
    whole(number, value) {
      varint(number * 8);
      varint(value);
      return self;
    },
    double(number, value) {
      varint(number * 8 + 1);
      const content = new Uint8Array(8);
      new DataView(content.buffer).setFloat64(0, value, true);
      push(content);
      return self;
    },
    finish() {
      const out = new Uint8Array(length);
      let at = 0;
      for (const part of parts) {
        out.set(part, at);
        at += part.length;
      }
      return out;
    },
  };
  return self;
}
