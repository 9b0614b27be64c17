import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stateTidier } from "../../../src/cli/service-states.ts";
import { tinkerClient } from "../../../src/engines/tinker/client.ts";
import type { Snapshot } from "../../../src/statistics/snapshot.ts";
import { fakeServer, hangsUp, json, type Behaviour } from "../../policies/remote/server.ts";
import { service } from "./service.ts";

const pathOf = ({ json }: Snapshot): string => (json as { readonly path: string }).path;
const row = { prompt: Int32Array.of(5, 6), actions: Int32Array.of(7, 8) };
const step = { learningRate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8 };

test("an engine deletes what was saved; a snapshot of weights whose state is gone saves them anew", async () => {
  const served = await service();
  const engine = await served.engine();
  const first = await engine.snapshot();
  await engine.backward([row], { logProbs: [Float32Array.of(1, 1)] });
  await engine.update(step);
  const second = await engine.snapshot();
  await engine.deleteCheckpoint(pathOf(first));
  await engine.deleteCheckpoint(pathOf(first));
  await expect(engine.restore(first)).rejects.toThrow(/There is no checkpoint/);
  await engine.deleteCheckpoint(pathOf(second));
  const third = await engine.snapshot();
  expect(pathOf(third)).not.toBe(pathOf(second));
  await engine.restore(third);
  await engine.deleteCheckpoint(await engine.saveForSampling("x"));
  await expect(engine.deleteCheckpoint("elsewhere")).rejects.toMatchObject({ code: "usage" });
  await engine.dispose();
  await served.close();
});

test("a deletion is asked again after what may pass; nothing there, or no such call, is no failure", async () => {
  await using server = await fakeServer(json({ detail: "not yours" }, 403));
  const client = tinkerClient({ baseUrl: server.url, apiKey: "tml-test-key", backoffMs: 1 });
  const gone: Behaviour = (response) => void response.writeHead(204).end();
  server.next(
    hangsUp,
    json({ detail: "busy" }, 503),
    gone,
    json({ detail: "no such checkpoint" }, 404),
    json({ detail: "no such call" }, 405),
  );
  for (let i = 0; i < 3; i++) await client.remove("tinker://m:train:0/weights/x");
  expect(server.seen.map(({ method, path }) => `${method} ${path}`)).toEqual(
    Array.from({ length: 5 }, () => "DELETE /api/v1/training_runs/m:train:0/checkpoints/weights/x"),
  );
  await expect(client.remove("tinker://m:train:0/weights/x")).rejects.toMatchObject({
    code: "io",
    message: expect.stringMatching(/not yours/) as string,
  });
});

test("states are deleted that a job's checkpoints referred to and no longer do, and no others", async () => {
  const directory = mkdtempSync(join(tmpdir(), "guerdon-states-"));
  const deleted: string[] = [];
  const tidy = stateTidier(directory, async (path) => void deleted.push(path));
  const checkpoint = (part: string, number: number, ...paths: string[]): void => {
    const folder = join(directory, part, "checkpoints", String(number).padStart(8, "0"));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(directory, part, "run.json"), JSON.stringify({ format: "guerdon-run", version: 1 }));
    writeFileSync(join(folder, "checkpoint.json"), JSON.stringify({ parts: paths.map((path) => ({ json: { path } })) }));
  };
  const drop = (part: string, number: number): void =>
    rmSync(join(directory, part, "checkpoints", String(number).padStart(8, "0")), { recursive: true });
  await tidy();
  checkpoint("warm-up", 3, "tinker://m/weights/a");
  checkpoint("grpo", 1, "tinker://m/weights/b", "tinker://m/weights/reference");
  checkpoint("grpo", 2, "tinker://m/weights/c", "tinker://m/weights/reference");
  await tidy();
  expect(deleted).toEqual([]);
  checkpoint("grpo", 3, "tinker://m/weights/d", "tinker://m/weights/reference");
  drop("grpo", 1);
  await tidy();
  await tidy();
  expect(deleted).toEqual(["tinker://m/weights/b"]);
  rmSync(directory, { recursive: true });
});
