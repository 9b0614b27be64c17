import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test, vi } from "vitest";
import { checkpoints } from "../../../src/server/tinker/checkpoints.ts";
import { newSession, openStore } from "../../../src/server/tinker/store.ts";
import { backward, datum, folder, forward, hold, open, step, type Client } from "./client.ts";
import { tinyModel } from "./model.ts";

let tiny: Awaited<ReturnType<typeof tinyModel>>;
beforeAll(async () => {
  tiny = await tinyModel();
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

const restart = async (): Promise<void> => {
  await server.close();
  server = await open(tiny.folder, data.path);
};
const rows = [datum([5, 6, 7, 8])];
const folderOf = (path: string): string => join(data.path, "models", path.slice("tinker://".length).replaceAll(":", "."));
const save = async (call: "save_weights" | "save_weights_for_sampler", model: string, seq: number, more: object) =>
  (await server.run(call, { model_id: model, seq_id: seq, ...more })).body.path!;
const listed = async (model: string) =>
  (await server.get(`training_runs/${model}/checkpoints`)).body as unknown as {
    readonly checkpoints: readonly { readonly checkpoint_id: string; readonly expires_at: string | null }[];
  };
/** As the Python SDK asks: by the training run and the rest of the address. */
const ask = async (method: "DELETE" | "PUT", path: string, body?: object) => {
  const [model, ...rest] = path.slice("tinker://".length).split("/");
  const response = await fetch(`${server.url}/api/v1/training_runs/${model}/checkpoints/${rest.join("/")}${body ? "/ttl" : ""}`, {
    method,
    ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, detail: text === "" ? null : (JSON.parse(text) as { readonly detail: string }).detail };
};

test("a checkpoint that is deleted is gone, and only that one", async () => {
  const model = await server.adapter();
  const [a, b] = [await save("save_weights", model, 1, { path: "a" }), await save("save_weights", model, 2, { path: "b" })];
  const sampler = await save("save_weights_for_sampler", model, 3, { path: "a" });
  expect(await ask("DELETE", a)).toEqual({ status: 204, detail: null });
  expect(await ask("DELETE", a)).toEqual({ status: 404, detail: `There is no checkpoint ${a}.` });
  expect((await listed(model)).checkpoints.map((one) => one.checkpoint_id).sort()).toEqual(["sampler_weights/a", "weights/b"]);
  expect(readdirSync(join(folderOf(a), ".."))).toEqual(["b"]);
  const other = await server.adapter();
  expect((await server.post("load_weights", { model_id: other, seq_id: 1, path: a })).status).toBe(404);
  await server.run("load_weights", { model_id: other, seq_id: 1, path: b });
  expect((await ask("DELETE", sampler)).status).toBe(204);
  expect((await ask("DELETE", "tinker://..%2f..%2fx/weights/a")).status).toBe(400);
});

test("the model goes on; after a restart it begins again as it began, since its last state is gone", async () => {
  const model = await server.adapter();
  await server.run("forward_backward", backward(model, 1, rows));
  await server.run("optim_step", step(model, 2));
  const path = await save("save_weights", model, 3, { path: "x" });
  expect((await ask("DELETE", path)).status).toBe(204);
  expect((await server.run("forward", forward(model, 4, rows))).status).toBe(200);
  await restart();
  const refused = await server.post("forward", forward(model, 5, rows));
  expect([refused.status, refused.body.detail]).toEqual([409, expect.stringMatching(/before request 1.*No state of it was saved/)]);
  expect((await server.run("forward", forward(model, 1, rows))).status).toBe(200);
});

test("weights for sampling are no state to go on from, whatever their name", async () => {
  const model = await server.adapter();
  await save("save_weights", model, 1, { path: "x" });
  const sampler = await save("save_weights_for_sampler", model, 2, { path: "x" });
  expect((await ask("DELETE", sampler)).status).toBe(204);
  await restart();
  expect((await server.run("forward", forward(model, 2, rows))).status).toBe(200);
});

test("the state that a model would go on from can be deleted before it does", async () => {
  const model = await server.adapter();
  await server.run("forward_backward", backward(model, 1, rows));
  await server.run("optim_step", step(model, 2));
  const path = await save("save_weights", model, 3, { path: "x" });
  await restart();
  expect((await ask("DELETE", path)).status).toBe(204);
  expect((await server.post("forward", forward(model, 4, rows))).body.detail).toMatch(/before request 1/);
});

test("a request that waits to go on from a state that is deleted is told so, and none after it waits for ever", async () => {
  const [model, other] = [await server.adapter(), await server.adapter()];
  await server.run("forward_backward", backward(model, 1, rows));
  await server.run("optim_step", step(model, 2));
  const path = await save("save_weights", model, 3, { path: "x" });
  await restart();
  const held = hold("create");
  const busy = await server.post("forward", forward(other, 1, rows));
  await held.reached;
  const waits = await server.post("forward", forward(model, 4, rows));
  expect((await ask("DELETE", path)).status).toBe(204);
  expect((await server.result(waits)).body.detail).toMatch(/^The state that the model was to go on from was deleted\./);
  expect((await server.post("forward", forward(model, 5, rows))).body.detail).toMatch(/was deleted: .*before request 1/);
  held.release();
  expect((await server.result(busy)).status).toBe(200);
  expect((await server.run("forward", forward(model, 1, rows))).status).toBe(200);
});

test("a deletion waits for what is being written", async () => {
  const model = await server.adapter();
  const path = await save("save_weights", model, 1, { path: "x" });
  const held = hold("save");
  const taken = await server.post("save_weights", { model_id: model, seq_id: 2, path: "x", overwrite: true });
  await held.reached;
  const deletions = [ask("DELETE", path), ask("DELETE", path)];
  const lifetime = ask("PUT", path, { ttl_seconds: 3600 });
  await server.get("healthz");
  expect(existsSync(folderOf(path))).toBe(true);
  held.release();
  expect((await server.result(taken)).status).toBe(200);
  expect(new Set((await Promise.all(deletions)).map(({ status }) => status))).toEqual(new Set([204, 404]));
  expect([204, 404]).toContain((await lifetime).status);
  expect(existsSync(folderOf(path))).toBe(false);
  expect(server.events).toEqual([]);
});

test("what a killed server left half done is removed; a checkpoint that is no longer there is not told of", async () => {
  const model = await server.adapter();
  const path = await save("save_weights", model, 1, { path: "x" });
  await server.close();
  for (const name of ["moving.partial", "gone.4f6c.partial"]) mkdirSync(join(folderOf(path), "..", name));
  symlinkSync(join(data.path, "nowhere"), join(folderOf(path), "..", "lost"));
  server = await open(tiny.folder, data.path);
  expect(readdirSync(join(folderOf(path), "..")).sort()).toEqual(["lost", "x"]);
  expect((await listed(model)).checkpoints.map((one) => one.checkpoint_id)).toEqual(["weights/x"]);
});

describe("a lifetime", () => {
  test("is told, changed, taken away, and kept over a restart", async () => {
    const model = await server.adapter();
    const before = Date.now();
    const hour = await save("save_weights", model, 1, { path: "hour", ttl_seconds: 3600 });
    await save("save_weights_for_sampler", model, 2, { path: "day", ttl_seconds: 86_400 });
    const after = Date.now();
    const seconds = async () =>
      Object.fromEntries(
        (await listed(model)).checkpoints.map(({ checkpoint_id, expires_at }) => [checkpoint_id, expires_at && Date.parse(expires_at)]),
      ) as Record<string, number | null>;
    for (const [id, lifetime] of [
      ["weights/hour", 3.6e6],
      ["sampler_weights/day", 8.64e7],
    ] as const) {
      const at = (await seconds())[id]!;
      expect(at).toBeGreaterThanOrEqual(before + lifetime);
      expect(at).toBeLessThanOrEqual(after + lifetime);
    }
    const told = await seconds();
    await restart();
    expect(await seconds()).toEqual(told);
    expect((await ask("PUT", hour, { ttl_seconds: 7200 })).status).toBe(204);
    expect((await seconds())["weights/hour"]).toBeGreaterThan(told["weights/hour"]!);
    expect((await ask("PUT", hour, { ttl_seconds: null })).status).toBe(204);
    expect((await seconds())["weights/hour"]).toBeNull();
    await restart();
    expect((await seconds())["weights/hour"]).toBeNull();
  });

  test("that is over takes the checkpoint along, and no other", async () => {
    const model = await server.adapter();
    const over = await save("save_weights", model, 1, { path: "over", ttl_seconds: 3600 });
    const long = await save("save_weights", model, 2, { path: "long", ttl_seconds: 86_400 });
    await server.close();
    // Two hours pass.
    for (const path of [over, long]) {
      const file = join(folderOf(path), "expires.json");
      const record = JSON.parse(readFileSync(file, "utf8")) as { readonly expires: string };
      writeFileSync(file, JSON.stringify({ ...record, expires: new Date(Date.parse(record.expires) - 7.2e6).toISOString() }));
    }
    server = await open(tiny.folder, data.path);
    expect([over, long].map((path) => existsSync(folderOf(path)))).toEqual([false, true]);
  });

  test("of a checkpoint that somebody took out of the folder ends once", async () => {
    const own = folder();
    const store = await openStore(own.path);
    const events: string[] = [];
    const saved = checkpoints(store, { find: () => null, unsave: async () => undefined }, (event) => events.push(event));
    const address = { model: `${newSession()}:train:0`, kind: "weights", name: "x" } as const;
    await saved.write(address, -1, async () => void mkdirSync(store.folder(address), { recursive: true }));
    rmSync(store.folder(address), { recursive: true });
    await saved.removeExpired();
    await saved.removeExpired();
    expect(events).toEqual([expect.stringMatching(/\/weights\/x could not be deleted: /)]);
    store.close();
    own.remove();
  });

  test("shorter than an hour, or of a checkpoint that is not there, is refused", async () => {
    const model = await server.adapter();
    const path = await save("save_weights", model, 1, { path: "x" });
    for (const ttl_seconds of [3599, 315_360_001, 4000.5]) {
      expect(await ask("PUT", path, { ttl_seconds })).toMatchObject({
        status: 400,
        detail: expect.stringMatching(/^ttl_seconds/) as string,
      });
      expect((await server.post("save_weights", { model_id: model, seq_id: 2, path: "y", ttl_seconds })).status).toBe(422);
    }
    expect((await ask("PUT", `${path}-not`, { ttl_seconds: 3600 })).status).toBe(404);
  });
});
