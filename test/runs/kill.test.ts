import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { shuffled, stream } from "../../src/statistics/stream.ts";
import { checkpointSteps, readCheckpoint } from "../../src/training/runs/checkpoint.ts";
import { diskFiles } from "../../src/training/runs/files.ts";
import { readMetrics, readRollouts } from "../../src/training/runs/read.ts";
import { watched } from "./faults.ts";
import { tinyRun } from "./tiny-run.ts";
import { tinyTrain } from "./tiny-train.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-kill-"));
afterAll(() => rmSync(root, { recursive: true }));
const steps = 30;

/** Metrics without measured times. */
const timeless = (directory: string) => readMetrics(directory).map((row) => ({ ...row, clock: null }));

/** All that a run leaves behind that must not depend on whether it was interrupted: everything but measured times. */
function remains(directory: string) {
  const last = readCheckpoint(diskFiles, directory, checkpointSteps(diskFiles, directory).at(-1)!);
  if ("damaged" in last) throw new Error(last.damaged);
  const { engine, loop } = last.snapshots;
  return {
    metrics: timeless(directory),
    rollouts: readRollouts(directory),
    checkpoints: checkpointSteps(diskFiles, directory),
    best: readFileSync(join(directory, "checkpoints", "best.json"), "utf8"),
    engine,
    step: (loop!.json as { step: number }).step,
  };
}

async function killed(directory: string, at: number, program = "kill-child.ts"): Promise<void> {
  const child = spawn(
    process.execPath,
    ["--conditions=guerdon-source", join(import.meta.dirname, program), directory, String(at), String(steps)],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  let said = "";
  child.stderr.on("data", (data) => (said += String(data)));
  const [, signal] = (await once(child, "exit")) as [number | null, string | null];
  expect(signal, said).toBe("SIGKILL");
}

test("SIGKILL at 20 points, 8 of them inside a checkpoint write: the resumed run is the uninterrupted one, bit by bit", async () => {
  const changes: string[] = [];
  const whole = join(root, "whole");
  const weights = await tinyRun(whole, { steps, files: watched((_, what) => changes.push(what)) });
  const expected = remains(whole);
  expect(expected.metrics.filter((row) => row.kind === "step")).toHaveLength(steps);

  const inside = changes.flatMap((what, i) => (/checkpoints[/\\]\d+\.partial/.test(what) ? [i] : []));
  const elsewhere = changes.flatMap((_, i) => (inside.includes(i) ? [] : [i]));
  const rng = stream(1, "kill points");
  const points = [...shuffled(inside, rng).slice(0, 8), ...shuffled(elsewhere, rng).slice(0, 12)];
  expect(points).toHaveLength(20);
  for (const at of points) {
    const directory = join(root, `killed-${at}`);
    await killed(directory, at);
    const again = await tinyRun(directory, { steps });
    expect(again, `killed at ${at}: ${changes[at]}`).toEqual(weights);
    expect(remains(directory), `killed at ${at}: ${changes[at]}`).toEqual(expected);
  }
});

test("killed again and again, a run still ends where the uninterrupted one does", async () => {
  const directory = join(root, "often");
  // Each process lives for a little longer than what lies between two checkpoints, so that all make progress.
  for (let at = 25; at < 60; at += 7) await killed(directory, at);
  await tinyRun(directory, { steps });
  expect(remains(directory)).toEqual(remains(join(root, "whole")));
});

test("train with a transformer, killed six times on its way: metrics and weights of the uninterrupted run, bit by bit", async () => {
  const whole = join(root, "train-whole");
  const directory = join(root, "train-killed");
  const weights = await tinyTrain(whole);
  const rng = stream(2, "kill points of train");
  // A step is about 30 calls, most of them for its checkpoint; starting takes about 15.
  for (let i = 0; i < 6; i++) await killed(directory, 45 + Math.floor(rng() * 45), "kill-train-child.ts");
  const before = readMetrics(directory).length;
  expect(before).toBeGreaterThan(0);
  expect(await tinyTrain(directory)).toEqual(weights);
  const expected = timeless(whole);
  expect(before).toBeLessThan(expected.length);
  expect(timeless(directory)).toEqual(expected);
  expect(readRollouts(directory)).toEqual(readRollouts(whole));
  expect(expected.at(-1)).toMatchObject({ kind: "evaluation", step: 18 });
  expect(expected.filter((row) => row.phase === "GRPO" && (row.values["gradientNorm"] ?? 0) > 0).length).toBeGreaterThan(5);
});
