import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { computer } from "../../../src/server/tinker/computer.ts";
import type { LossRow } from "../../../src/server/tinker/losses.ts";
import { expectNoLeak } from "../../kit/leaks.ts";
import { tinyModel } from "./model.ts";

const adapter = { rank: 2, seed: 1, targets: ["q_proj", "up_proj"] as const };
const row: LossRow = { inputs: Int32Array.of(5, 6, 7), targets: Int32Array.of(6, 7, 8), weights: Float32Array.of(1, 1, 1) };
const settings = { maxTokens: 2, temperature: 1, topK: 0, topP: 1, stopTokens: [], stopTexts: [] };
const request = { prompt: Int32Array.of(5, 6), samples: 1, seed: 1, promptLogProbs: true, promptTop: 2 };
const options = { learningRate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8 };

test("models, snapshots and checkpoints that are dropped leave nothing on the device", async () => {
  const tiny = await tinyModel({ width: 48 });
  const root = mkdtempSync(join(tmpdir(), "guerdon-computer-"));
  const one = computer();
  await one.open({ folder: tiny.folder, threads: null });
  // Keeps the compiled programs, which are shared by all adapters of this shape.
  await one.create({ model: "kept", adapter });
  const pass = { rows: [row], loss: "cross_entropy", config: {}, backward: true } as const;
  const folder = join(root, "x");
  await expectNoLeak(async () => {
    await one.create({ model: "a", adapter });
    await one.pass({ model: "a", ...pass });
    await one.update({ model: "a", options });
    await one.snapshot({ model: "a", name: "s" });
    await one.pass({ model: "a", ...pass });
    expect(await one.save({ model: "a", folder, state: true, base: "tiny" })).toEqual({ hasGradient: true });
    for (const from of [{ base: true as const }, { snapshot: "s" }, { folder }])
      expect(await one.sample({ from, settings, requests: [request, request] })).toHaveLength(2);
    await one.load({ model: "a", folder, optimizer: true, adapter });
    await one.drop({ model: "a" });
    await one.drop({ snapshot: "s" });
  });
  await expect(one.sample({ from: { snapshot: "s" }, settings, requests: [request] })).rejects.toThrow(/are gone/);
  tiny.remove();
  rmSync(root, { recursive: true, force: true });
});
