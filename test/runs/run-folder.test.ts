import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, cpSync, existsSync, mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { GuerdonError } from "../../src/error.ts";
import { stream } from "../../src/statistics/stream.ts";
import type { Snapshot } from "../../src/statistics/snapshot.ts";
import {
  createRun,
  firstDifference,
  openRun,
  type RunDescription,
  type RunFolder,
  type RunFolderOptions,
} from "../../src/training/run-folder.ts";
import { readMetrics, readRollouts, readRun, runFolders } from "../../src/training/runs/read.ts";
import { full, watched } from "./faults.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-runs-"));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
const fresh = (): string => join(root, `run-${count++}`);

const description: RunDescription = {
  configuration: { method: { name: "grpo", groupSize: 4, ddof: 1 }, seed: 7, steps: 12 },
  source: { recipe: "toy" },
  seed: 7,
  device: "host",
  threads: 1,
};
/** Same times in every run, so that whole files can be compared. */
const options: RunFolderOptions = { clock: () => 1.7e12 };

const snapshots = (step: number): Record<string, Snapshot> => {
  const rng = stream(7, "weights", step);
  return {
    engine: {
      version: 1,
      json: { step, bias: 0.1 + step },
      tensors: { "layers.0.weight": { shape: [4, 3], data: Float32Array.from({ length: 12 }, rng) } },
    },
    curriculum: { version: 2, json: { seen: [step, null, "x"] }, tensors: {} },
  };
};

/** The steps of a run from where it stands, with a checkpoint every third step; scores rise and fall. */
function work(run: RunFolder, to: number): void {
  for (let step = (run.latest?.step ?? 0) + 1; step <= to; step++) {
    run.metrics({ step, phase: "rl", kind: "step", values: { loss: stream(7, "loss", step)(), reward: step } });
    run.rollouts([
      {
        step,
        phase: "rl",
        prompt: `p${step}`,
        completion: "c\n",
        reward: 1,
        parts: { right: 1 },
        advantage: 0.5,
        stop: "stop",
        group: "g",
      },
    ]);
    if (step % 3 === 0) run.checkpoint(step, snapshots(step), step === 6 ? 0.9 : 0.5);
  }
}

function contents(directory: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" }).sort())
    if (!/(^|\/)(run|status)\.json$/.test(name) && existsSync(join(directory, name)))
      try {
        out[name] = readFileSync(join(directory, name)).toString("base64");
      } catch {
        out[name] = "folder";
      }
  return out;
}

const errorOf = (f: () => unknown): GuerdonError => {
  try {
    f();
  } catch (cause) {
    if (cause instanceof GuerdonError) return cause;
    throw cause;
  }
  throw new Error("nothing was thrown");
};

describe("a run's folder", () => {
  test("holds what was written, and keeps the last two checkpoints and the best", () => {
    const directory = fresh();
    const run = createRun(directory, description, options);
    expect(run.latest).toBeNull();
    work(run, 12);
    run.results({ pass1: 0.5 });
    run.close("finished");
    run.close("failed");
    expect(readdirSync(join(directory, "checkpoints")).sort()).toEqual(["00000006", "00000009", "00000012", "best.json", "latest.json"]);
    const summary = readRun(directory);
    expect(summary).toMatchObject({
      state: "finished",
      step: 12,
      best: { step: 6, score: 0.9 },
      last: { reward: 12 },
      results: { pass1: 0.5 },
    });
    expect(summary.manifest.configuration).toEqual(description.configuration);
    expect(summary.manifest.machine.versions.node).toBe(process.versions.node);
    expect(readMetrics(directory)).toHaveLength(12);
    expect(readRollouts(directory)[11]).toMatchObject({ step: 12, prompt: "p12", completion: "c\n" });
    expect(runFolders(root)).toContain(directory);
    for (const name of [
      "run.json",
      "status.json",
      "results.json",
      "checkpoints/latest.json",
      "checkpoints/best.json",
      "checkpoints/00000012/checkpoint.json",
    ])
      expect(JSON.parse(readFileSync(join(directory, name), "utf8"))).toMatchObject({
        format: expect.stringMatching(/^guerdon-/),
        version: 1,
      });
    for (const name of ["metrics.jsonl", "rollouts.jsonl"])
      expect(JSON.parse(readFileSync(join(directory, name), "utf8").split("\n")[0]!)).toMatchObject({
        format: expect.stringMatching(/^guerdon-/),
        version: 1,
      });
  });

  test("gives snapshots back bit by bit", () => {
    const directory = fresh();
    const run = createRun(directory, description, options);
    work(run, 3);
    run.close("interrupted");
    const again = createRun(directory, description, options);
    expect(again.latest?.snapshots).toEqual(snapshots(3));
    again.close("finished");
  });

  test("refuses a snapshot that JSON cannot hold, and names the place", () => {
    const directory = fresh();
    const run = createRun(directory, description, options);
    expect(errorOf(() => run.checkpoint(1, { engine: { version: 1, json: { a: [1, NaN] }, tensors: {} } })).message).toContain(
      "engine.json.a.1 is NaN",
    );
    expect(readdirSync(join(directory, "checkpoints"))).toEqual([]);
    run.close("failed");
  });

  test("refuses a run of another configuration and a folder that is no run", () => {
    const directory = fresh();
    createRun(directory, description, options).close("finished");
    const other = { ...description, configuration: { ...description.configuration, method: { name: "grpo", groupSize: 8, ddof: 1 } } };
    const error = errorOf(() => createRun(directory, other, options));
    expect(error.code).toBe("input");
    expect(error.message).toContain("method.groupSize: 4 -> 8");
    mkdirSync(join(root, "photos"));
    writeFileSync(join(root, "photos", "cat.jpg"), "");
    expect(errorOf(() => createRun(join(root, "photos"), description)).message).toContain("is not empty and holds no run (it has cat.jpg)");
    expect(errorOf(() => openRun(join(root, "photos"))).message).toContain("is not a run");
  });

  test("differences are found at any depth", () => {
    expect(firstDifference({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] })).toBeNull();
    expect(firstDifference({ a: [1, { b: 2 }] }, { a: [1, { b: 3 }] })).toBe("a.1.b: 2 -> 3");
    expect(firstDifference({ a: 1 }, {})).toBe("a: 1 -> absent");
    expect(firstDifference({ a: null }, { a: {} })).toBe("a: null -> {}");
  });
});

describe("after a kill", () => {
  const whole = fresh();
  const complete = () => {
    if (existsSync(whole)) return whole;
    const run = createRun(whole, description, options);
    work(run, 12);
    run.close("finished");
    return whole;
  };

  test("at any change on the disk, the resumed run leaves the files of an uninterrupted one", () => {
    const expected = contents(complete());
    let changes = 0;
    const counting = createRun(fresh(), description, { ...options, files: watched(() => changes++) });
    work(counting, 12);
    counting.close("finished");
    expect(changes).toBeGreaterThan(60);
    for (let at = 0; at < changes; at++) {
      const directory = fresh();
      // Not a real kill, but the disk is left as one leaves it: from this change on nothing else happens, not even cleaning up.
      const files = watched((number, _, half) => {
        if (number === at) half();
        if (number >= at) throw new Error("killed");
      });
      expect(() => {
        const run = createRun(directory, description, { ...options, files });
        work(run, 12);
        run.close("finished");
      }).toThrow("killed");
      rmSync(join(directory, "lock.json"), { force: true }); // its process is this one, which lives
      const run = createRun(directory, description, options);
      work(run, 12);
      run.close("finished");
      expect(contents(directory), `killed at change ${at}`).toEqual(expected);
    }
  });

  test("a torn last line is cut, and said", () => {
    const directory = fresh();
    cpSync(complete(), directory, { recursive: true });
    appendFileSync(join(directory, "metrics.jsonl"), '{"step":13,"pha');
    expect(readMetrics(directory)).toHaveLength(12);
    const run = openRun(directory, options);
    expect(run.repairs).toEqual(["cut 15 bytes of metrics.jsonl that came after the last checkpoint"]);
    run.close("finished");
    expect(contents(directory)).toEqual(contents(whole));
  });

  test("a damaged checkpoint is set aside for the one before it", () => {
    const directory = fresh();
    cpSync(complete(), directory, { recursive: true });
    const path = join(directory, "checkpoints", "00000012", "engine.safetensors");
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    const run = openRun(directory, options);
    expect(run.latest?.step).toBe(9);
    expect(run.repairs[0]).toContain("set checkpoint 12 aside");
    work(run, 12);
    run.close("finished");
    const { "checkpoints/damaged-12": _, ...rest } = contents(directory);
    expect(Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith("checkpoints/damaged-12")))).toEqual(
      contents(whole),
    );
  });

  test("a run none of whose checkpoints can be read says so and stays as it is", () => {
    const directory = fresh();
    cpSync(complete(), directory, { recursive: true });
    for (const step of ["00000006", "00000009", "00000012"]) rmSync(join(directory, "checkpoints", step, "engine.safetensors"));
    const before = contents(directory);
    const error = errorOf(() => openRun(directory, options));
    expect(error.code).toBe("io");
    expect(error.message).toMatch(/no checkpoint of .* can be read: .*engine.safetensors is missing/);
    expect(contents(directory)).toEqual(before);
  });
});

describe("a disk that refuses", () => {
  test("full at any write: one error of code io, and the last checkpoint is intact", () => {
    for (let at = 0; at < 40; at += 3) {
      const directory = fresh();
      let run: RunFolder | undefined;
      const error = errorOf(() => {
        run = createRun(directory, description, { ...options, files: full(at) });
        work(run, 12);
      });
      run?.close("failed", error.message);
      expect(error.code).toBe("io");
      expect(error.message).toMatch(
        /^cannot (write|make the folder) .*: the disk is full: free some space, then continue with the same command \(ENOSPC\)$/,
      );
      const again = createRun(directory, description, options);
      work(again, 12);
      again.close("finished");
      expect(readMetrics(directory).map((row) => row.step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }
  });

  test("a file in the place of the folder", () => {
    const directory = fresh();
    writeFileSync(directory, "mine");
    for (const path of [directory, join(directory, "below")]) {
      const error = errorOf(() => createRun(path, description, options));
      expect(error.code).toBe("io");
      expect(error.message).toContain(path);
    }
    expect(readFileSync(directory, "utf8")).toBe("mine");
  });
});

describe("two processes", () => {
  test("the second is refused; a lock whose process is gone is taken over", async () => {
    const directory = fresh();
    const run = createRun(directory, description, options);
    const error = errorOf(() => openRun(directory, options));
    expect(error.code).toBe("io");
    expect(error.message).toBe(`${directory} is in use by process ${process.pid}: wait until it is done, or stop it first`);
    expect(readRun(directory).state).toBe("running");
    run.close("finished");

    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    const lock = (value: object) => writeFileSync(join(directory, "lock.json"), JSON.stringify({ host: hostname(), born: null, ...value }));
    lock({ pid: child.pid });
    openRun(directory, options).close("finished");
    expect(existsSync(join(directory, "lock.json"))).toBe(false);
    // The number of a living process that was given to a later one, or a lock that was cut short.
    if (process.platform === "linux") {
      lock({ pid: process.pid, born: "an earlier boot:1" });
      openRun(directory, options).close("finished");
    }
    writeFileSync(join(directory, "lock.json"), '{"pid":');
    openRun(directory, options).close("finished");
    lock({ pid: 1, host: "another machine" });
    expect(errorOf(() => openRun(directory, options)).message).toContain("on another machine (if that process is gone, remove");
  });
});
