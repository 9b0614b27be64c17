import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytesOf, fields, message, numberOf, textOf, type Field, type Message } from "../../../src/server/tinker/protobuf.ts";
import { passFrom } from "../../../src/server/tinker/messages.ts";
import { backward, datum, folder, logProbs, open, type Client } from "./client.ts";
import { tinyModel } from "./model.ts";

const raw = (data: Int32Array | Float32Array | BigInt64Array) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const entry = (key: string, value: Uint8Array | Message) => message().add(1, key).add(2, value);

describe("the wire", () => {
  // The examples of protobuf.dev/programming-guides/encoding.
  test("known bytes", () => {
    expect(hex(message().whole(1, 150).finish())).toBe("089601");
    expect(hex(message().add(2, "testing").finish())).toBe("120774657374696e67");
    expect(hex(message().add(3, message().whole(1, 150)).finish())).toBe("1a03089601");
    expect([...fields(Buffer.from("089601", "hex"))]).toEqual([{ number: 1, value: 150 }]);
    expect(textOf([...fields(Buffer.from("120774657374696e67", "hex"))][0]!)).toBe("testing");
    expect(hex(message().double(2, 1.5).finish())).toBe("11000000000000f83f");
  });

  test("numbers of every length come back", () => {
    for (const value of [0, 1, 127, 128, 16_383, 16_384, 2 ** 31, 2 ** 40 + 3, Number.MAX_SAFE_INTEGER]) {
      const [field] = [...fields(message().whole(5, value).finish())];
      expect(numberOf(field!)).toBe(value);
    }
  });

  test.each([
    ["a number without an end", "08ff"],
    ["a number that is too large", `08${"ff".repeat(9)}01`],
    ["a length beyond the end", "12ff01"],
    ["a length far beyond the end", "12ffffffffffff7f"],
    ["a group", "0b"],
    ["field 0", "00"],
    ["half of a double", "09000000"],
  ])("%s is refused", (_, bytes) => {
    expect(() => [...fields(Buffer.from(bytes, "hex"))]).toThrow(/no protobuf message/);
  });
});

const tensor = (dtype: number, data: Int32Array | Float32Array | BigInt64Array, shape: number[]) => {
  const made = message().add(1, raw(data)).whole(3, dtype);
  return made.add(4, Uint8Array.from(shape));
};
const int64 = (...values: number[]) => BigInt64Array.from(values, BigInt);

/** A request as the Python SDK makes it. */
function sent(
  model: string,
  seq: number,
  tokens: readonly number[],
  weights: readonly number[],
  more: (request: Message) => Message = (r) => r,
) {
  const inputs = tokens.slice(0, -1);
  const row = message()
    .add(1, message().add(1, message().add(1, raw(Int32Array.from(inputs)))))
    .add(2, entry("target_tokens", tensor(2, int64(...tokens.slice(1)), [inputs.length])))
    .add(2, entry("weights", tensor(1, Float32Array.from(weights), [inputs.length])));
  return more(message().add(1, model).whole(2, seq).add(3, row).add(4, "cross_entropy")).finish();
}

test("a body of millions of empty rows, or of axes, is refused before it fills the memory", () => {
  const rows = new Uint8Array(2 * 70_000).map((_, i) => (i % 2 === 0 ? 3 * 8 + 2 : 0));
  expect(() => passFrom(rows)).toThrow(/more than 65536 data/);
  const axes = message().add(4, new Uint8Array(200_000).fill(1)).whole(3, 1);
  const inside = message().add(3, message().add(2, entry("weights", axes)));
  expect(() => passFrom(inside.finish())).toThrow(/weights has more than 8 axes/);
});

describe("a pass in this form", () => {
  test("is read as it was sent", () => {
    const config = message().add(1, "clip_low_threshold").add(2, message().double(1, 0.5));
    const read = passFrom(sent("m", 7, [5, 6, 300], [1, -0.5], (request) => request.add(7, config).whole(6, 1)));
    expect(read).toMatchObject({ modelId: "m", seqId: 7, loss: "cross_entropy", config: { clip_low_threshold: 0.5 }, backward: false });
    expect([...(read.data[0]!.tokens as Int32Array)]).toEqual([5, 6]);
    expect(Array.from(read.data[0]!.tensors.get("target_tokens")!.data)).toEqual([6, 300]);
    expect(read.data[0]!.tensors.get("weights")).toEqual({ data: Float32Array.of(1, -0.5), shape: [2] });
  });

  let tiny: Awaited<ReturnType<typeof tinyModel>>;
  let server: Client;
  const data = folder();
  beforeAll(async () => {
    tiny = await tinyModel();
    server = await open(tiny.folder, data.path);
  });
  afterAll(async () => {
    await server.close();
    tiny.remove();
    data.remove();
  });
  const protobuf = "application/x-protobuf";
  const post = async (body: Uint8Array) => {
    const response = await fetch(`${server.url}/api/v1/forward_backward`, {
      method: "POST",
      headers: { "Content-Type": protobuf },
      body: body.slice().buffer,
    });
    return { status: response.status, body: (await response.json()) as { request_id: string; detail?: string } };
  };
  const result = async (request_id: string) => {
    const response = await fetch(`${server.url}/api/v1/retrieve_future`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: protobuf },
      body: JSON.stringify({ request_id }),
    });
    expect(response.headers.get("content-type")).toBe(protobuf);
    return [...fields(new Uint8Array(await response.arrayBuffer()))];
  };
  const inside = (list: readonly Field[], number: number) =>
    list.filter((field) => field.number === number).map((field) => [...fields(bytesOf(field))]);

  test("gives what the same pass in JSON gives, and is the same request", async () => {
    const model = await server.adapter();
    const taken = await post(sent(model, 1, [5, 6, 7], [1, -0.5]));
    expect(taken.status).toBe(200);
    const json = await server.post("forward_backward", backward(model, 1, [datum([5, 6, 7], { weights: [1, -0.5] })]));
    expect(json.body.request_id).toBe(taken.body.request_id);
    const expected = await server.result(json);

    const output = await result(taken.body.request_id);
    const [record] = inside(output, 2);
    expect(numberOf(record!.find(({ number }) => number === 3)!)).toBe(1);
    const [field] = inside(record!, 2);
    expect(textOf(field![0]!)).toBe("logprobs");
    const batched = [...fields(bytesOf(field![1]!))];
    expect([...new Float32Array(bytesOf(batched[0]!).slice().buffer)]).toEqual(logProbs(expected));
    expect([...new BigInt64Array(bytesOf(batched[1]!).slice().buffer)]).toEqual([0n, 8n]);
    expect(numberOf(batched[2]!)).toBe(1);
    const [metric] = inside(output, 3);
    expect([textOf(metric![0]!), numberOf(metric![1]!)]).toEqual(["loss:sum", expected.body.metrics!["loss:sum"]]);
  });

  test("samples come in this form too", async () => {
    const body = {
      num_samples: 2,
      prompt: { chunks: [{ tokens: [5, 6] }] },
      sampling_params: { max_tokens: 3, seed: 1 },
      prompt_logprobs: true,
    };
    const taken = await server.post("asample", { ...body, base_model: "tiny" });
    const expected = await server.result(taken);
    const output = await result(taken.body.request_id!);
    const read = inside(output, 1).map((sequence) => ({
      tokens: [...new Int32Array(bytesOf(sequence[1]!).slice().buffer)],
      logprobs: [...new Float32Array(bytesOf(sequence[2]!).slice().buffer)],
      stop_reason: numberOf(sequence[0]!) === 0 ? "stop" : "length",
    }));
    expect(read).toEqual(expected.body.sequences);
    const prompt = new Float32Array(bytesOf(output.find(({ number }) => number === 2)!).slice().buffer);
    expect([...prompt]).toEqual([NaN, expected.body.prompt_logprobs![1]]);
  });

  test.each([
    ["broken bytes", Uint8Array.of(0x12, 0xff, 1), /no protobuf message/],
    ["an unknown loss", message().add(1, "m").add(4, "hinge").finish(), /"hinge" is not known/],
    ["no model", message().add(4, "cross_entropy").finish(), /model_id is missing/],
    ["weights that are no numbers", sent("m", 1, [5, 6], [NaN]), /weights\[0\] is NaN/],
    ["an infinite weight", sent("m", 1, [5, 6], [-Infinity]), /weights\[0\] is -Infinity/],
    [
      "three bytes of float32",
      message()
        .add(1, "m")
        .add(4, "cross_entropy")
        .add(3, message().add(2, entry("weights", message().add(1, new Uint8Array(3)).whole(3, 1))))
        .finish(),
      /3 bytes/,
    ],
    [
      "a sparse tensor",
      message()
        .add(1, "m")
        .add(4, "cross_entropy")
        .add(3, message().add(2, entry("weights", message().add(2, new Uint8Array(0)))))
        .finish(),
      /sparse/,
    ],
    [
      "an image",
      message()
        .add(1, "m")
        .add(4, "cross_entropy")
        .add(3, message().add(1, message().add(2, new Uint8Array(3))))
        .finish(),
      /text chunks only/,
    ],
    [
      "a text as coefficient",
      message()
        .add(1, "m")
        .add(4, "ppo")
        .add(7, entry("clip_low_threshold", message().add(2, "x")))
        .finish(),
      /must be a number/,
    ],
  ])("%s: refused", async (_, body, detail) => {
    const reply = await post(body);
    expect([reply.status, reply.body.detail]).toEqual([422, expect.stringMatching(detail)]);
  });
});
