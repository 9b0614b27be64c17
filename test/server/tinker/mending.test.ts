import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { backward, datum, folder, forward, hold, intercept, logProbs, open, step, type Client } from "./client.ts";
import { tinyModel } from "./model.ts";

let tiny: Awaited<ReturnType<typeof tinyModel>>;
beforeAll(async () => {
  tiny = await tinyModel({ context: 70_000 });
});
afterAll(() => tiny.remove());

let data: ReturnType<typeof folder>;
let server: Client;
beforeEach(async () => {
  data = folder();
  server = await open(tiny.folder, data.path);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await server.close();
  data.remove();
});

const rows = [datum([5, 6, 7, 8]), datum([9, 10, 11])];
/** One table of attention over so many positions has 31 GiB. */
const tooLong = datum(Array.from({ length: 65_000 }, () => 5));

const train = async (model: string, from: number): Promise<void> => {
  expect((await server.run("forward_backward", backward(model, from, rows))).status).toBe(200);
  expect((await server.run("optim_step", step(model, from + 1))).status).toBe(200);
};
const read = async (model: string, seq: number) => logProbs(await server.run("forward", forward(model, seq, rows)));
/** Until the next thread is there. */
const mended = () => expect.poll(async () => (await server.get("healthz")).status).toBe(200);

/** The thread ends when it is given its next job of this name. */
const killAt = (job: string): void => intercept(job, (thread) => void thread.terminate());

const snapshot = async (model: string, seq: number): Promise<string> =>
  (
    (await server.run("save_weights_for_sampler", { model_id: model, seq_id: seq, sampling_session_seq_id: 0 })).body as unknown as {
      sampling_session_id: string;
    }
  ).sampling_session_id;
const ask = (sampling_session_id: string) => ({
  sampling_session_id,
  seq_id: 1,
  prompt: { chunks: [{ tokens: [5] }] },
  sampling_params: { max_tokens: 4, seed: 1, stop: [] },
});

test("a thread that ended is replaced: models are as they were last saved, and say so", async () => {
  const [saved, plain] = [await server.adapter(), await server.adapter()];
  await train(saved, 1);
  const { path } = (await server.run("save_weights", { model_id: saved, seq_id: 3, path: "three" })).body;
  await train(saved, 4);
  const expected = await read(saved, 6);
  const fresh = await read(plain, 1);
  await train(plain, 2);
  const sampler = await snapshot(plain, 4);

  killAt("pass");
  const lost = await server.run("forward_backward", backward(saved, 7, rows));
  expect([lost.status, lost.body]).toEqual([
    400,
    expect.objectContaining({
      category: "server",
      detail: expect.stringMatching(
        /^The computing thread ended: .*since it was last saved.*tinker:.*\/weights\/three, can be loaded/,
      ) as string,
    }),
  ]);
  await mended();
  expect(server.events).toContainEqual(expect.stringMatching(/The computing thread ended.*as they are: 0; as they were last saved: 2/));

  // As after a restart of the server: exactly from there on, or not at all.
  const refused = await server.post("optim_step", step(saved, 8));
  expect([refused.status, refused.body.detail]).toEqual([
    409,
    expect.stringMatching(/^The computing thread was started anew.*before request 4.*\/weights\/three/),
  ]);
  await train(saved, 4);
  expect(await read(saved, 6)).toEqual(expected);
  expect((await server.post("asample", ask(sampler))).body.detail).toMatch(/no longer in memory: save them again/);
  expect((await server.post("optim_step", step(plain, 5))).body.detail).toMatch(/No state of it was saved/);
  expect(await read(plain, 1)).toEqual(fresh);
  const other = await server.adapter();
  await server.run("load_weights", { model_id: other, seq_id: 1, path, optimizer: true });
  await train(other, 2);
  expect(await read(other, 4)).toEqual(expected);
});

test("what waits for a thread that ended is told so; a model that was not made yet is made", async () => {
  const model = await server.adapter();
  killAt("pass");
  const all = await Promise.all([1, 3, 2].map((seq) => server.post("forward_backward", backward(model, seq, rows))));
  for (const taken of all)
    if (taken.status === 200)
      expect((await server.result(taken)).body).toMatchObject({
        category: "server",
        detail: expect.stringMatching(/No state of it was saved/) as string,
      });
    else expect(taken.status).toBe(503);
  await mended();

  killAt("create");
  const body = { session_id: await server.session(), model_seq_id: 0, base_model: "tiny", lora_config: { rank: 2, seed: 1 } };
  expect((await server.run("create_model", body)).body).toMatchObject({ category: "server" });
  await mended();
  const again = (await server.run("create_model", body)).body.model_id!;
  await train(again, 1);
});

test("answers that were to be drawn together are drawn by the next thread", async () => {
  const together = (seed: number) => ({
    base_model: "tiny",
    prompt: { chunks: [{ tokens: [5] }] },
    sampling_params: { max_tokens: 4, seed, stop: [] },
  });
  const expected = await Promise.all([1, 2, 3].map(async (seed) => (await server.run("asample", together(seed))).body));
  killAt("sample");
  const taken = await Promise.all([1, 2, 3].map((seed) => server.post("asample", together(seed))));
  expect(await Promise.all(taken.map(async (one) => (await server.result(one)).body))).toEqual(expected);
});

test("after a pass that did not fit, models go on as they are, but for one with a gradient that waits", async () => {
  const [one, two, three] = [await server.adapter(), await server.adapter(), await server.adapter()];
  for (const model of [one, two, three]) await train(model, 1);
  const now = await read(one, 3);
  await server.run("forward_backward", backward(two, 3, rows));
  const refused = await server.run("forward_backward", backward(three, 3, [tooLong]));
  expect([refused.status, refused.body]).toEqual([
    400,
    expect.objectContaining({ category: "user", detail: expect.stringMatching(/^There is no room for/) as string }),
  ]);
  await mended();
  expect(server.events).toContainEqual(expect.stringMatching(/no memory left.*as they are: 2; as they were last saved: 1/));
  expect(await read(one, 4)).toEqual(now);
  expect((await server.post("optim_step", step(two, 4))).body.detail).toMatch(/started anew.*before request 1/);
  // A smaller one fits: the memory is that of another thread. Adam's moments came along.
  await train(three, 4);
  await train(one, 5);
  expect(await read(three, 6)).toEqual(await read(one, 7));
  expect(readdirSync(join(data.path, "models", one.replaceAll(":", "."), "weights"))).toEqual([]);
});

test("where no other thread can be had the server says so, and what waits fails", async () => {
  const lost = await tinyModel();
  const own = folder();
  const without = await open(lost.folder, own.path);
  const model = await without.adapter();
  lost.remove();
  killAt("pass");
  expect((await without.run("forward_backward", backward(model, 1, rows))).body).toMatchObject({ category: "server" });
  await expect.poll(async () => (await without.get("healthz")).body.detail).toMatch(/^The server can compute no more: .*Start it again\.$/);
  expect((await without.post("forward_backward", backward(model, 1, rows))).status).toBe(503);
  expect(without.events).toContainEqual(expect.stringMatching(/^No other computing thread can be had: /));
  await without.close();
  own.remove();
});

test("a thread that is lost while models are taken to it is replaced in turn; who was there already is as last saved", async () => {
  const [one, two] = [await server.adapter(), await server.adapter()];
  await train(one, 1);
  await server.run("save_weights", { model_id: one, seq_id: 3, path: "three" });
  const expected = await read(one, 4);
  await train(one, 5);
  await train(two, 1);
  // The second model's way into the next thread is that thread's end.
  intercept("load", (_, send) => {
    send();
    killAt("load");
  });
  await server.run("forward_backward", backward(two, 3, [tooLong]));
  await mended();
  expect(server.events).toContainEqual(expect.stringMatching(/no memory left.*as they are: 1; as they were last saved: 1/));
  expect(server.events).toContainEqual(expect.stringMatching(/^The computing thread ended: .*as they are: 0; as they were last saved: 1/));
  expect((await server.post("forward", forward(one, 7, rows))).body.detail).toMatch(/before request 4/);
  expect(await read(one, 4)).toEqual(expected);
  await train(two, 1);
});

test("a thread that is lost while its models are written leaves those that were not as they were last saved", async () => {
  const [one, two] = [await server.adapter(), await server.adapter()];
  await train(one, 1);
  const expected = await read(one, 3);
  await train(two, 1);
  intercept("save", (_, send) => {
    send();
    killAt("save");
  });
  await server.run("forward_backward", backward(two, 3, [tooLong]));
  await mended();
  expect(server.events).toContainEqual(expect.stringMatching(/as they are: 1; as they were last saved: 1/));
  expect(await read(one, 4)).toEqual(expected);
  await train(two, 1);
});

test("a model whose session ends while it is on its way is not taken to the next thread", async () => {
  const [one, two] = [await server.adapter(), await server.adapter()];
  for (const model of [one, two]) await train(model, 1);
  intercept("open", (_, send) => void server.post(`sessions/${one.slice(0, one.indexOf(":"))}/finish`, {}).then(send));
  await server.run("forward_backward", backward(two, 3, [tooLong]));
  await mended();
  expect(server.events).toContainEqual(expect.stringMatching(/as they are: 1; as they were last saved: 0/));
  expect((await server.post("forward", forward(one, 3, rows))).status).toBe(404);
  await train(two, 4);
});

test("a save in place of another that is cut off leaves nothing to go on from", async () => {
  const model = await server.adapter();
  await train(model, 1);
  const save = (seq_id: number) => ({ model_id: model, seq_id, path: "x", overwrite: true });
  await server.run("save_weights", save(3));
  await train(model, 4);
  // It has written its files when the thread ends, for all that anybody knows.
  killAt("save");
  expect((await server.run("save_weights", save(6))).body).toMatchObject({ category: "server" });
  await mended();
  expect((await server.post("forward", forward(model, 4, rows))).body.detail).toMatch(/before request 1.*No state of it was saved/);
});

test("a model that was not made in the first thread is there after a restart of the server", async () => {
  const body = { session_id: await server.session(), model_seq_id: 0, base_model: "tiny", lora_config: { rank: 2, seed: 1 } };
  killAt("create");
  expect((await server.run("create_model", body)).body).toMatchObject({ category: "server" });
  await mended();
  const model = (await server.run("create_model", body)).body.model_id!;
  await server.close();
  server = await open(tiny.folder, data.path);
  await train(model, 1);
});

test("a server ends while its thread is replaced", async () => {
  const model = await server.adapter();
  const waiting = Promise.withResolvers<ReturnType<typeof hold>>();
  intercept("pass", (thread) => {
    waiting.resolve(hold("open"));
    void thread.terminate();
  });
  const taken = await server.post("forward", forward(model, 1, rows));
  expect((await server.result(taken)).body).toMatchObject({ category: "server" });
  const next = await waiting.promise;
  await next.reached;
  expect((await server.get("healthz")).body.detail).toMatch(/being replaced/);
  const end = server.close();
  next.release();
  await end;
});

test("another model in the folder takes no other's place", async () => {
  const [first, second] = [await tinyModel(), await tinyModel({ width: 24 })];
  const own = folder();
  const served = await open(first.folder, own.path);
  const model = await served.adapter();
  cpSync(second.folder, first.folder, { recursive: true });
  killAt("pass");
  await served.run("forward", forward(model, 1, rows));
  await expect
    .poll(async () => (await served.get("healthz")).body.detail)
    .toMatch(/^The server can compute no more: The computing thread ended: .*Start it again\.$/);
  expect(served.events).toContainEqual(expect.stringMatching(/holds another model now/));
  await served.close();
  for (const one of [first, second, own]) one.remove();
});

test("an unloading that went with the thread can be asked for again", async () => {
  const model = await server.adapter();
  const waits = Promise.withResolvers<Awaited<ReturnType<Client["post"]>>>();
  intercept("pass", (thread) => {
    const taken = server.post("unload_model", { model_id: model }).finally(() => void thread.terminate());
    waits.resolve(taken);
  });
  await server.run("forward", forward(model, 1, rows));
  expect((await server.result(await waits.promise)).body).toMatchObject({ category: "server" });
  await mended();
  expect((await server.run("unload_model", { model_id: model })).status).toBe(200);
});
