import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readMetrics } from "../../src/training/runs/read.ts";
import { faultyProxy, service, type Service } from "../engines/tinker/service.ts";
import { closedPort } from "../kit/closed-port.ts";
import { guerdon } from "./guerdon.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-cli-tinker-"));
const key = "tml-a-key-that-nobody-may-see";
let served: Service;
beforeAll(async () => {
  served = await service({ key });
  mkdirSync(join(root, "node_modules"));
  symlinkSync(join(import.meta.dirname, "../.."), join(root, "node_modules", "guerdon"), "dir");
  writeFileSync(
    join(root, "even.ts"),
    `
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { reward } from "guerdon/rewards";
import { defineJob, grpo } from "guerdon/training";
// While "hold" is a link to a run's metrics, the answers of its fourth step are not scored.
const steps = () => {
  try {
    return readFileSync(${JSON.stringify(join(root, "hold"))}, "utf8").split('"kind":"step"').length - 1;
  } catch {
    return 0; // nothing is held
  }
};
export default defineJob({
  name: "even",
  environment: {
    name: "even",
    maxActions: 6,
    draw: (_, rng) => {
      const n = Math.floor(rng() * 1000);
      return { id: String(n), prompt: "the reward " + n };
    },
  },
  reward: reward("even", async ({ text }) => {
    while (steps() === 3) await setTimeout(5);
    return text.length % 2 === 0;
  }),
  model: { folder: ${JSON.stringify(served.folder)}, lora: { rank: 4, alpha: 32, targets: ["q_proj"] } },
  method: grpo({ as: "paper", groupSize: 4, learningRate: 1e-2 }),
  tasksPerStep: 4,
  steps: 4,
  evaluation: { tasks: 8, samples: 2, every: 2 },
});
`,
  );
  writeFileSync(
    join(root, "critic.ts"),
    readFileSync(join(root, "even.ts"), "utf8")
      .replace("{ defineJob, grpo }", "{ defineJob, ppo }")
      .replace(/grpo\(.*\)/, "ppo()"),
  );
  vi.stubEnv("TINKER_API_KEY", key);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await served.close();
  rmSync(root, { recursive: true });
});

const line = (...more: string[]) => ["train", "even.ts", "--engine", "tinker", "--base-url", served.url, "--model", "tiny", ...more];
const metrics = (directory: string) => readMetrics(join(root, directory, "grpo")).map((row) => ({ ...row, clock: null }));
const isStep = (row: { readonly kind: string }): boolean => row.kind === "step";
const steps = join(root, "broken", "grpo", "metrics.jsonl");
/** Everything that is written below a folder, as one text. */
const written = (folder: string): string =>
  readdirSync(folder)
    .map((name) => join(folder, name))
    .map((path) => (statSync(path).isDirectory() ? written(path) : readFileSync(path, "latin1")))
    .join("\n");

describe("train --engine tinker", () => {
  test("--dry-run prints the plan, the requests and an estimate of tokens, and sends nothing", async () => {
    const nowhere = ["--base-url", "http://127.0.0.1:9", "--dry-run"];
    const { status, out, said } = await guerdon([...line(), ...nowhere], root);
    expect(status, said).toBe(0);
    expect(said).toContain("Nothing was sent.");
    expect(out).toContain("service: http://127.0.0.1:9, model tiny, an adapter of rank 4; key from TINKER_API_KEY");
    expect(out).toContain("a step asks: 1 save_weights_for_sampler, 4 asample, 1 forward, 1 forward_backward, 1 optim_step");
    expect(out + said).not.toContain(key);
    const { out: json } = await guerdon([...line(), ...nowhere, "--json"], root);
    const { plan } = JSON.parse(json) as { plan: { prompt: { tokens: number; by: string } } };
    const { tokens, by } = plan.prompt;
    expect(by).toBe("tokenizer");
    // 4 tasks x 4 answers of up to 6 tokens; the reference's pass and the update's.
    expect(plan).toMatchObject({
      steps: 4,
      tokens: { read: 4 * tokens, drawn: 96, passes: 2 * 16 * (tokens + 6) },
      evaluations: { count: 3, requests: 16, drawn: 8 * 3 * 6 },
      total: { requests: 4 * 8 + 3 * 16, passes: 4 * 2 * 16 * (tokens + 6) },
    });
  });

  test("trains, keeps no secret, and goes on over a restart of the service as if there had been none", async () => {
    const proxy = await faultyProxy(served.url, { share: 0, seed: 1 });
    const asked: Record<string, number> = {};
    proxy.alterRequests((path, body) => {
      const call = path.split("/").at(-1)!;
      asked[call] = (asked[call] ?? 0) + 1;
      return body;
    });
    const whole = await guerdon([...line(), "--base-url", proxy.url, "--directory", "whole", "--json"], root);
    await proxy.close();
    // The plan above; three steps measure how the service reduces losses.
    expect(asked).toMatchObject({ forward: 4, forward_backward: 4 + 3, optim_step: 4 + 3 });
    expect(asked["asample"]).toBeLessThanOrEqual(4 * 4 + 3 * 16);
    expect(asked["asample"]).toBeGreaterThan(50);
    expect(whole.status, whole.said).toBe(0);
    expect(JSON.parse(whole.out)).toMatchObject({ result: { job: "even", training: { id: "grpo", steps: 4 } } });
    expect(whole.said).toContain("tiny, an adapter of rank 4 on the service at http");
    const losses = metrics("whole").filter(isStep);
    expect(losses.length).toBe(4);
    expect(losses.some((row) => (row.values["gradientNorm"] ?? 0) > 0)).toBe(true);
    expect(written(join(root, "whole"))).not.toContain("nobody-may-see");
    expect(whole.out + whole.said).not.toContain("nobody-may-see");

    // In a step that no checkpoint follows yet: those come with the evaluations, after every second step.
    const restarts: Promise<void>[] = [];
    const hold = join(root, "hold");
    symlinkSync(steps, hold);
    const watch = setInterval(() => {
      if (restarts.length === 0 && existsSync(steps) && metrics("broken").filter(isStep).length === 3)
        restarts.push(served.restart().finally(() => rmSync(hold)));
    }, 5);
    const broken = await guerdon([...line(), "--directory", "broken"], root);
    clearInterval(watch);
    await Promise.all(restarts);
    expect(broken.status, broken.said).toBe(0);
    expect(restarts.length).toBe(1);
    expect(broken.said).toMatch(/Going on from the last checkpoint/);
    expect(metrics("broken")).toEqual(metrics("whole"));

    const again = await guerdon(["resume", "broken", "--json"], root);
    expect(again.status, again.said).toBe(0);

    // Both runs ended in the same weights, which the service has: asked for the same draws, both give the same answers.
    const ask = async (...words: string[]) => {
      const { status, out, said } = await guerdon([...words, "--json"], root);
      expect(status, said).toBe(0);
      expect(out + said).not.toContain("nobody-may-see");
      return JSON.parse(out) as { policy: string; samples: { completion: string }[]; evaluation: { pass1: object } };
    };
    const sampled = await ask("sample", "broken", "-n", "8", "--seed", "3");
    expect(sampled.policy).toMatch(/^broken.grpo, step 4 on the service at http/);
    expect(sampled.samples.length).toBe(4 * 8);
    expect((await ask("sample", "whole", "-n", "8", "--seed", "3", "--base-url", served.url)).samples).toEqual(sampled.samples);
    // An earlier checkpoint has other weights, and `eval` measures as the run measured itself.
    expect((await ask("sample", "broken", "-n", "8", "--seed", "3", "--checkpoint", "2")).samples).not.toEqual(sampled.samples);
    const { result } = JSON.parse(whole.out) as { result: { after: { pass1: number } } };
    const { evaluation } = await ask("eval", "broken");
    expect(evaluation.pass1).toMatchObject({ estimate: result.after.pass1 });
    const wrong: readonly (readonly [string[], RegExp])[] = [
      [["--key-env", "NO_SUCH_KEY"], /NO_SUCH_KEY.*is not set/],
      [["--base-url", "nowhere"], /--base-url is not an address/],
      [["--threads", "2"], /--threads: the policy of broken is on a training service/],
    ];
    for (const [more, sentence] of wrong) {
      const { status, said } = await guerdon(["sample", "broken", ...more], root);
      expect(said).toMatch(sentence);
      expect(status, said).toBe(2);
    }
    const exported = await guerdon(["runs", "export", "broken", "--to", "model", "--out", "exported"], root);
    expect(exported.said).toMatch(
      /^guerdon: broken.grpo, step 4 is an adapter that the service at http:\S+ has as tinker:\/\/\S+\/weights\/state-\d+: /,
    );
    expect(exported.status).toBe(2);
    const here = await guerdon(["sample", served.folder, "the reward", "--base-url", served.url], root);
    expect(here.said).toMatch(/--base-url goes with runs on a training service/);
  });

  test("says what is missing, and that a warm-up from scratch has no place there", async () => {
    const cases: readonly (readonly [string[], RegExp])[] = [
      [["train", "even.ts", "--engine", "tinker"], /needs the service's address and a model there/],
      [["train", "even.ts", "--model", "tiny"], /--model goes with --engine tinker/],
      [["train", "even.ts", "--engine", "torch"], /--engine torch: it must be local or tinker/],
      [[...line(), "--base-url", "http://x/?key=1"], /no query and no password/],
      [
        ["train", "critic.ts", ...line().slice(2), "--dry-run"],
        /train the method "PPO", has no output "value"; it has "logProbs"\. Instead: .*grpo, rloo/,
      ],
      [line("--threads", "2"), /--threads goes with --engine local/],
      [line("--rank", "0"), /--rank/],
      // A key that was named and is not there: another one must not go out in its place.
      [line("--key-env", "NO_SUCH_KEY"), /NO_SUCH_KEY.*is not set/],
      [[...line(), "--tokenizer", "./none"], /has no tokenizer\.json.*--tokenizer/],
    ];
    for (const [words, sentence] of cases) {
      const { status, said } = await guerdon(words, root);
      expect(said).toMatch(sentence);
      expect(status, said).toBe(2);
    }
    await using gone = await closedPort();
    const { status, said } = await guerdon([...line("--directory", "nowhere"), "--base-url", gone.url], root);
    expect(said).toMatch(/127\.0\.0\.1:\d+\/.*refused the connection/);
    expect(status).toBe(2);
    const builtIn = await guerdon(["train", "sorting", ...line().slice(2), "--tokenizer", served.folder, "--dry-run"], root);
    expect(builtIn.out).toMatch(/leftOut: the warm-up \(90 supervised steps\) is left out.*tiny is taken as it is/);
  });
});
