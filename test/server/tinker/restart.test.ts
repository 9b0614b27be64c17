import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serveEngine } from "../../../src/server/index.ts";
import { backward, datum, folder, forward, logProbs, open, step, type Client, type Reply } from "./client.ts";
import { tinyModel } from "./model.ts";

let tiny: Awaited<ReturnType<typeof tinyModel>>;
beforeAll(async () => {
  tiny = await tinyModel();
});
afterAll(() => tiny.remove());

const rows = [datum([5, 6, 7, 8]), datum([9, 10, 11])];

const train = async (server: Client, model: string, from: number) => {
  await server.run("forward_backward", backward(model, from, rows));
  return server.run("optim_step", step(model, from + 1));
};
const read = async (server: Client, model: string, seq: number) => logProbs(await server.run("forward", forward(model, seq, rows)));
const idOf = ({ body }: Reply) => (body as unknown as { sampling_session_id: string }).sampling_session_id;

describe("after a restart", () => {
  const data = folder();
  let server: Client;
  beforeAll(async () => {
    const before = await open(tiny.folder, data.path);
    for (const prepare of [saved, others, unplaced, samplers]) await prepare(before);
    await before.close();
    server = await open(tiny.folder, data.path);
  });
  afterAll(async () => {
    await server.close();
    data.remove();
  });

  const one = { model: "", path: "", lost: "", expected: [] as number[] };
  async function saved(before: Client): Promise<void> {
    one.model = await before.adapter();
    await train(before, one.model, 1);
    one.path = (await before.run("save_weights", { model_id: one.model, seq_id: 3, path: "three" })).body.path!;
    await train(before, one.model, 4);
    one.expected = await read(before, one.model, 6);
    one.lost = (await before.post("forward", forward(one.model, 8, rows))).body.request_id!;
  }

  test("a model goes on from its last saved state, as if nothing had happened", async () => {
    const { model, path, expected } = one;
    expect((await server.post("session_heartbeat", { session_id: model.slice(0, 36) })).status).toBe(200);
    expect((await server.post("get_info", { model_id: model })).body).toMatchObject({ model_id: model, status: "saved", lora_rank: 4 });
    // What went with the server is gone, and is to be sent again.
    const gone = await server.post("retrieve_future", { request_id: one.lost });
    expect([gone.status, gone.body.detail]).toEqual([410, expect.stringMatching(/send it again/)]);
    // A step whose pass is lost would step with another gradient.
    for (const seq of [5, 7, 9]) {
      const reply = await server.post("optim_step", step(model, seq));
      expect([reply.status, reply.body.detail]).toEqual([409, expect.stringMatching(/before request 4.*\/weights\/three/s)]);
    }
    expect((await server.post("forward", forward(model, null, rows))).status).toBe(409);
    // The request that the state is of, and one before it.
    expect((await server.run("save_weights", { model_id: model, seq_id: 3, path: "three" })).body.path).toBe(path);
    expect((await server.post("forward_backward", backward(model, 2, rows))).status).toBe(409);
    await train(server, model, 4);
    expect(await read(server, model, 6)).toEqual(expected);
    // And its state can begin another model.
    const other = await server.adapter();
    await server.run("load_weights", { model_id: other, seq_id: 1, path, optimizer: true });
    await train(server, other, 2);
    expect(await read(server, other, 4)).toEqual(expected);
  });

  const more = { fresh: "", unloaded: "", loaded: "", first: [] as number[], early: [] as number[], body: {} };
  async function others(before: Client): Promise<void> {
    const session_id = await before.session();
    more.body = { session_id, model_seq_id: 0, base_model: "tiny", lora_config: { rank: 4 } };
    more.fresh = (await before.run("create_model", more.body)).body.model_id!;
    more.first = await read(before, more.fresh, 1);
    await train(before, more.fresh, 2);
    more.unloaded = await before.adapter();
    await train(before, more.unloaded, 1);
    const { path } = (await before.run("save_weights", { model_id: more.unloaded, seq_id: 3, path: "x" })).body;
    more.loaded = (await before.run("load_weights", { session_id, model_seq_id: 1, path, optimizer: true })).body.model_id!;
    more.early = await read(before, more.loaded, 1);
    await train(before, more.loaded, 2);
    await before.run("unload_model", { model_id: more.unloaded });
  }

  test("a model of which nothing was saved begins again as it began; an unloaded one stays unloaded", async () => {
    // Asked for again, it is the same one.
    expect((await server.run("create_model", more.body)).body.model_id).toBe(more.fresh);
    expect(await read(server, more.fresh, 1)).toEqual(more.first);
    expect(await read(server, more.loaded, 1)).toEqual(more.early);
    expect((await server.post("forward", forward(more.unloaded, 4, rows))).status).toBe(404);
  });

  const loose: (readonly [model: string, seq: number | null])[] = [];
  async function unplaced(before: Client): Promise<void> {
    const [plain, waiting] = [await before.adapter(), await before.adapter()];
    loose.push([plain, null], [waiting, 3]);
    await before.run("forward_backward", backward(plain, null, rows));
    await before.run("optim_step", step(plain, null));
    await before.run("save_weights", { model_id: plain, path: "x" });
    await before.run("forward_backward", backward(waiting, 1, rows));
    await before.run("save_weights", { model_id: waiting, seq_id: 2, path: "x" });
  }

  test("without numbers, or with a gradient that waited, a model cannot be continued, only its state loaded", async () => {
    for (const [id, seq] of loose) {
      const reply = await server.post("optim_step", step(id, seq));
      expect([reply.status, reply.body.detail]).toEqual([409, expect.stringContaining(`tinker://${id}/weights/x`)]);
      const next = await server.adapter();
      expect((await server.run("load_weights", { model_id: next, seq_id: 1, path: `tinker://${id}/weights/x` })).status).toBe(200);
    }
  });

  const ids: string[] = [];
  const answers: unknown[] = [];
  const ask = (sampling_session_id: string) => ({
    sampling_session_id,
    seq_id: 1,
    prompt: { chunks: [{ tokens: [5] }] },
    sampling_params: { max_tokens: 4, seed: 1, stop: [] },
  });
  async function samplers(before: Client): Promise<void> {
    const model = await before.adapter();
    const session_id = model.slice(0, 36);
    await train(before, model, 1);
    const { path } = (await before.run("save_weights_for_sampler", { model_id: model, seq_id: 3, path: "x" })).body;
    for (const [i, from] of [{ base_model: "tiny" }, { model_path: path }].entries())
      ids.push(idOf(await before.post("create_sampling_session", { session_id, sampling_session_seq_id: i, ...from })));
    ids.push(idOf(await before.run("save_weights_for_sampler", { model_id: model, seq_id: 4, sampling_session_seq_id: 2 })));
    for (const id of ids) answers.push((await before.run("asample", ask(id))).body);
  }

  test("sampling sessions on the base and on checkpoints are found again, those on weights in memory are gone", async () => {
    for (const i of [0, 1]) expect((await server.run("asample", ask(ids[i]!))).body).toEqual(answers[i]);
    expect((await server.post("asample", ask(ids[2]!))).status).toBe(404);
  });
});

test("two threads compute what one does", async () => {
  const seen: number[][] = [];
  for (const threads of [1, 2]) {
    const data = folder();
    const server = await open(tiny.folder, data.path, { threads });
    const model = await server.adapter();
    const { body } = await train(server, model, 1);
    expect(body.metrics!["grad_norm"]).toBeGreaterThan(0);
    seen.push(logProbs(await server.run("forward", forward(model, 3, rows))));
    await server.close();
    data.remove();
  }
  expect(seen[1]).toEqual(seen[0]);
});

describe("the data folder", () => {
  test("has nothing half-written, and what is half-written is not taken for a checkpoint", async () => {
    const data = folder();
    const server = await open(tiny.folder, data.path);
    const model = await server.adapter();
    await server.run("save_weights", { model_id: model, seq_id: 1, path: "whole" });
    const weights = join(data.path, "models", model.replaceAll(":", "."), "weights");
    expect(readdirSync(weights)).toEqual(["whole"]);
    expect(readdirSync(join(weights, "whole")).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "optimizer.safetensors",
      "state.json",
    ]);
    mkdirSync(join(weights, "half.partial"));
    expect((await server.get(`training_runs/${model}/checkpoints`)).body).toMatchObject({
      checkpoints: [{ checkpoint_id: "weights/whole" }],
    });
    // A damaged file is the request's failure, and no more.
    writeFileSync(join(weights, "whole", "adapter_model.safetensors"), "no tensors");
    const other = await server.adapter();
    const failed = await server.run("load_weights", { model_id: other, seq_id: 1, path: `tinker://${model}/weights/whole` });
    expect([failed.status, failed.body.detail]).toEqual([400, expect.stringMatching(/adapter_model\.safetensors/)]);
    expect((await server.get("healthz")).status).toBe(200);
    await server.close();
    data.remove();
  });

  test("of another version is refused, naming the file", async () => {
    const data = folder();
    mkdirSync(join(data.path, "models", "x"), { recursive: true });
    writeFileSync(join(data.path, "models", "x", "model.json"), "{}");
    await expect(serveEngine(tiny.folder, { port: 0, data: data.path })).rejects.toThrow(/model\.json was not written by this version/);
    data.remove();
  });

  test("belongs to one base model: on another its adapters would be nonsense", async () => {
    const data = folder();
    await (await open(tiny.folder, data.path)).close();
    await (await open(tiny.folder, data.path, { name: "renamed" })).close();
    const other = await tinyModel({ width: 24 });
    await expect(serveEngine(other.folder, { port: 0, data: data.path })).rejects.toThrow(/another model, called tiny/);
    other.remove();
    data.remove();
  });

  test("an ended session leaves no file", async () => {
    const data = folder();
    const server = await open(tiny.folder, data.path);
    const session = await server.session();
    const file = join(data.path, "sessions", `${session}.json`);
    expect(existsSync(file)).toBe(true);
    const finished = await fetch(`${server.url}/api/v1/sessions/${session}/finish`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: "{}",
    });
    expect(finished.status).toBe(204);
    await expect.poll(() => existsSync(file)).toBe(false);
    expect((await server.post("session_heartbeat", { session_id: session })).status).toBe(410);
    await server.close();
    data.remove();
  });
});
