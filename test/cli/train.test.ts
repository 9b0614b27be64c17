import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTokenizer, transformer, writeModel } from "../../src/policies/index.ts";
import { readMetrics } from "../../src/training/runs/read.ts";
import { guerdon } from "./guerdon.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-train-"));
/** While this is a link to a run's metrics, no answer of that run is scored after its third row: what is to happen in the middle finds it. */
const hold = join(root, "hold");
const tiny = `
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { sorting } from "guerdon/environments";
import { reward } from "guerdon/rewards";
import { defineJob, grpo, supervised } from "guerdon/training";
const rows = () => {
  try {
    return readFileSync(${JSON.stringify(hold)}, "utf8").match(/\\n/g).length - 1;
  } catch {
    return 0; // nothing is held
  }
};
const numbers = reward("even numbers", async ({ text }) => {
  while (rows() >= 3) await setTimeout(5);
  return text.split(" ").filter((word) => /^\\d*[02468]$/.test(word)).length / 3;
});
export default defineJob({
  name: "tiny",
  environment: sorting({ count: 2, highest: 9 }),
  reward: numbers,
  model: { layers: 1, width: 16, heads: 2 },
  longestPrompt: 3,
  warmUp: { steps: 6, tasksPerStep: 8 },
  method: grpo({ as: "trl", groupSize: 4, learningRate: 1e-2 }),
  tasksPerStep: 4,
  steps: 40,
  rivals: { control: supervised({ learningRate: 1e-3 }) },
  evaluation: { tasks: 12, samples: 4 },
});
`;
/** A folder with a tiny Llama from scratch, as it would be downloaded. */
async function writeTinyModel(folder: string): Promise<void> {
  const files = join(import.meta.dirname, "../golden/tokenizer");
  const tokenizer = await readTokenizer(files);
  const shape = {
    layers: 1,
    width: 16,
    heads: 2,
    vocabulary: tokenizer.vocabulary,
    context: 64,
    norm: "rms",
    positions: "rotary",
    activation: "swiglu",
    tied: true,
  } as const;
  const policy = transformer(shape, { tokenizer });
  await writeModel(folder, policy, policy.init(1));
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) copyFileSync(join(files, name), join(folder, name));
}

beforeAll(() => {
  mkdirSync(join(root, "node_modules"));
  symlinkSync(join(import.meta.dirname, "../.."), join(root, "node_modules", "guerdon"), "dir");
  writeFileSync(join(root, "tiny.ts"), tiny);
});
afterAll(() => rmSync(root, { recursive: true }));

interface Trained {
  readonly directory: string;
  readonly result: { readonly before: object; readonly after: object; readonly training: { readonly steps: number } };
  readonly methods: readonly { readonly id: string }[] | null;
}

/** Metrics without what is measured by a clock. */
const metrics = (directory: string) => readMetrics(join(root, directory)).map((row) => ({ ...row, clock: null }));
const withoutSeconds = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (key, inner: unknown) => (key === "seconds" ? undefined : inner)));

describe("train", () => {
  test("trains a configuration to its end, prints one document, and says in plain lines what it does", async () => {
    const { status, out, said } = await guerdon(["train", "tiny.ts", "--json"], root);
    expect(status, said).toBe(0);
    const { directory, result, methods } = JSON.parse(out) as Trained;
    expect(directory).toBe(join("runs", "tiny-0"));
    expect(result).toMatchObject({ job: "tiny", seed: 0, before: { samples: 4 }, training: { id: "grpo", steps: 40 } });
    expect(methods).toBeNull();
    for (const words of [
      "tiny, seed 0",
      "every setting",
      "scale.ddof 1",
      "warm-up: learning the notation",
      "grpo: GRPO, 40 steps",
      "held-out: pass@1",
      "✓ right",
      "sample runs/tiny-0",
    ])
      expect(said).toContain(words);
    for (const control of ["\x1b", "\r"]) expect(said).not.toContain(control);
  });

  test("the same line again only reports; --compare goes on from there", async () => {
    const before = metrics("runs/tiny-0/grpo");
    const { status, out, said } = await guerdon(["train", "tiny.ts", "--compare"], root);
    expect(status, said).toBe(0);
    expect(said).toContain("grpo: done before");
    expect(out).toMatch(/method +steps +training +pass@1/);
    expect(out).toMatch(/^GRPO +40 /m);
    expect(out).toMatch(/^supervised +\d+ /m);
    expect(metrics("runs/tiny-0/grpo")).toEqual(before);
  });

  test("Ctrl-C saves and says how to go on; the resumed run is the uninterrupted one", async () => {
    let sent = false;
    const written = join(root, "runs", "stopped", "grpo", "metrics.jsonl");
    symlinkSync(written, hold);
    let poll: ReturnType<typeof setInterval> | undefined;
    const stopped = await guerdon(["train", "tiny.ts", "--directory", "runs/stopped", "--threads", "1"], root, (child, said) => {
      poll ??= setInterval(() => {
        if (!sent && existsSync(written) && metrics("runs/stopped/grpo").length >= 3) sent = child.kill("SIGINT");
      }, 5);
      if (said.includes("Stopping after this step")) rmSync(hold, { force: true });
    });
    clearInterval(poll);
    expect(stopped.status, stopped.said).toBe(130);
    expect(stopped.said).toMatch(/Stopped and saved\. Go on with: \S+ resume runs\/stopped\n$/);
    const steps = metrics("runs/stopped/grpo").length;
    expect(steps).toBeGreaterThan(0);
    expect(steps).toBeLessThan(40);
    // The configuration file is found from anywhere.
    mkdirSync(join(root, "elsewhere"));
    const resumed = await guerdon(["resume", "../runs/stopped", "--json"], join(root, "elsewhere"));
    expect(resumed.status, resumed.said).toBe(0);
    expect(metrics("runs/stopped/grpo")).toEqual(metrics("runs/tiny-0/grpo"));
    const whole = await guerdon(["train", "tiny.ts", "--json"], root);
    expect(withoutSeconds((JSON.parse(resumed.out) as Trained).result)).toEqual(withoutSeconds((JSON.parse(whole.out) as Trained).result));
  });

  test("Ctrl-C in a comparison says how to go on with the comparison, on as many threads", async () => {
    let sent = false;
    symlinkSync(join(root, "runs", "tiny-5", "grpo", "metrics.jsonl"), hold);
    const stopped = await guerdon(["train", "tiny.ts", "--seed", "5", "--compare"], root, (child, said) => {
      if (!sent && said.includes("warm-up 1/")) sent = child.kill("SIGINT");
      if (said.includes("Stopping after this step")) rmSync(hold, { force: true });
    });
    expect(stopped.said).toMatch(/Go on with: \S+ resume runs\/tiny-5 --compare\n$/);
    expect(stopped.status).toBe(130);
    const resumed = await guerdon(["resume", "runs/tiny-5", "--compare", "--json"], root);
    expect((JSON.parse(resumed.out) as Trained).methods?.map(({ id }) => id)).toEqual(["grpo", "control"]);
    const other = await guerdon(["resume", "runs/tiny-5", "--threads", "2"], root);
    expect(other.said).toMatch(/guerdon: runs\/tiny-5\/grpo was trained on 1 thread, .* say --threads 1\n$/);
    expect(other.status).toBe(2);
  });

  test("--method trains with a paper's method; the comparison has the job's own under equal time; resume knows it", async () => {
    const words = ["train", "tiny.ts", "--method", "canon", "--steps", "3", "--json"];
    const { status, out, said } = await guerdon(words, root);
    expect(status, said).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      directory: join("runs", "tiny-canon-0"),
      result: { training: { id: "canon", title: "CANON" } },
    });
    const resumed = await guerdon(["resume", "runs/tiny-canon-0", "--compare", "--json"], root);
    expect((JSON.parse(resumed.out) as Trained).methods?.map(({ id }) => id)).toEqual(["canon", "grpo", "control"]);
    const several = await guerdon(["train", "tiny.ts", "--method", "control", "--method", "canon", "--dry-run", "--json"], root);
    expect(JSON.parse(several.out)).toMatchObject({ training: { method: { name: "supervised" } }, rivals: ["canon", "grpo"] });
    const unknown = await guerdon(["train", "tiny.ts", "--method", "canom"], root);
    expect(unknown.status).toBe(2);
    expect(unknown.said).toContain("there is no method canom for tiny. Did you mean canon? There are: grpo, control, canon");
    const reward = await guerdon(["train", "tiny.ts", "--method", "clip-delta"], root);
    expect(reward.status).toBe(2);
    expect(reward.said).toContain("what clip-delta brings does not train by itself");
  });

  test("a configuration file that is gone, and a reward that throws, are named", async () => {
    writeFileSync(join(root, "gone.ts"), tiny.replace('name: "tiny"', 'name: "gone"'));
    await guerdon(["train", "gone.ts", "--steps", "1"], root);
    rmSync(join(root, "gone.ts"));
    const { status, said } = await guerdon(["resume", "runs/gone-0"], root);
    expect(said).toMatch(/^guerdon: runs\/gone-0\/grpo was started from the configuration file gone\.ts, which is not there any more/);
    expect(status).toBe(2);
    writeFileSync(join(root, "broken.ts"), tiny.replace('name: "tiny"', 'name: "broken"').replace("text.split", "text.spilt"));
    const broken = await guerdon(["train", "broken.ts"], root);
    expect(broken.said).toMatch(/guerdon: The evaluation could not be scored: .* The first error: .*spilt is not a function/);
    expect(broken.status).toBe(1);
  });

  test("a reward that changed since the run began is pointed out; other tasks are another run", async () => {
    writeFileSync(join(root, "worth.ts"), `export const half = 0.5;\n`);
    const mine = tiny.replace('name: "tiny"', 'name: "mine"').replace(".length / 3", ".length * half");
    writeFileSync(join(root, "mine.ts"), `import { half } from "./worth.ts";${mine}`);
    const first = await guerdon(["train", "mine.ts", "--steps", "1"], root);
    expect(first.said).not.toContain("changed after");
    writeFileSync(join(root, "worth.ts"), `export const half = 0.1;\n`);
    const again = await guerdon(["train", "mine.ts", "--steps", "1"], root);
    expect(again.said).toMatch(/! worth\.ts changed after this run had begun, .* or remove runs\/mine-0\n/);
    writeFileSync(join(root, "mine.ts"), `import { half } from "./worth.ts";${mine.replace("highest: 9", "highest: 8")}`);
    const other = await guerdon(["train", "mine.ts", "--steps", "1"], root);
    expect(other.said).toMatch(/guerdon: runs\/mine-0\/warm-up holds a run with other settings \(environment\.examples\.\d: /);
    expect(other.status).toBe(2);
  });

  test("--dry-run prints every resolved setting and makes nothing", async () => {
    const { status, out } = await guerdon(["train", "countdown", "--seed", "9", "--dry-run", "--json"], root);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      name: "countdown",
      seed: 9,
      warmUp: { steps: 700 },
      training: { steps: 250, method: { settings: { scale: { ddof: 1, epsilon: 1e-4 } } } },
    });
    expect(existsSync(join(root, "runs", "countdown-9"))).toBe(false);
  });

  test("mistakes are one sentence", async () => {
    writeFileSync(join(root, "enum.ts"), "enum Size { Small }\nexport default Size.Small;\n");
    writeFileSync(join(root, "nothing.ts"), "export const job = 1;\n");
    writeFileSync(join(root, "object.ts"), "export default { steps: 3 };\n");
    writeFileSync(join(root, "taken"), "");
    const cases: readonly (readonly [string[], RegExp])[] = [
      [["train", "countdwon"], /^guerdon: there is no job countdwon\. Did you mean countdown\? Built in are countdown and sorting; /],
      [["train", "tniy.ts"], /^guerdon: there is no tniy\.ts\. Did you mean tiny\.ts\?\n$/],
      [["train", "enum.ts"], /^guerdon: \S*enum\.ts:1: TypeScript enum cannot be used here, because Node only strips types/],
      [["train", "nothing.ts"], /^guerdon: nothing\.ts has no default export/],
      [["train", "object.ts"], /^guerdon: object\.ts: the default export must be what defineJob returns; it is an object\n$/],
      [["resume", "taken"], /^guerdon: taken holds no run/],
    ];
    for (const [words, sentence] of cases) {
      const { status, said } = await guerdon(words, root);
      expect(said).toMatch(sentence);
      expect(status).toBe(2);
    }
    const { status, said } = await guerdon(["train", "tiny.ts", "--directory", "taken"], root);
    expect(said).toMatch(/\nguerdon: cannot \w+.* taken\S*: .*choose another folder.*\n$/);
    expect(status).toBe(2);
    const other = await guerdon(["train", "tiny.ts", "--steps", "3"], root);
    expect(other.said).toMatch(/\nguerdon: runs\/tiny-0\/grpo holds a run with other settings \(budget\.steps: 40 -> 3\)/);
    expect(other.status).toBe(2);
  });
});

describe("eval and sample", () => {
  test("eval repeats the run's own evaluation, and fails under a threshold", async () => {
    const { out } = await guerdon(["eval", "runs/tiny-0", "--json"], root);
    const { evaluation } = JSON.parse(out) as { evaluation: { pass1: { estimate: number }; tasks: number } };
    const grpo = JSON.parse(readFileSync(join(root, "runs", "tiny-0", "grpo", "results.json"), "utf8")) as {
      part: { measured: { pass1: number } };
    };
    expect(evaluation).toMatchObject({ tasks: 12, pass1: { estimate: grpo.part.measured.pass1 } });
    const text = await guerdon(["eval", "runs/tiny-0/warm-up", "--tasks", "5", "--samples", "2", "--fail-under", "1"], root);
    expect(text.status).toBe(1);
    expect(text.said).toMatch(/pass@1 0\.\d+ is below 1\n$/);
    expect(text.out).toMatch(/^share of 5 held-out tasks +value +95 % interval/);
  });

  test("eval measures on every row of a file, whose columns are recognised or said", async () => {
    const row = (first: number) => ({ prompt: `${first} 2 :`, answer: "2 4", solution: `2 ${first}` });
    writeFileSync(join(root, "rows.jsonl"), [4, 5, 6, 7].map((first) => `${JSON.stringify(row(first))}\n`).join(""));
    const unclear = await guerdon(["eval", "runs/tiny-0", "rows.jsonl"], root);
    expect(unclear.said).toMatch(/could be "answer" or "solution"\. .* --columns reference=solution\.\n$/);
    expect(unclear.status).toBe(2);
    const { status, out, said } = await guerdon(["eval", "runs/tiny-0", "rows.jsonl", "--columns", "reference=solution"], root);
    expect(status, said).toBe(0);
    expect(said).toContain("on 4 tasks of rows");
    expect(said).toContain("reference <- solution\n");
    expect(out).toMatch(/^share of 4 tasks +value/);
    expect((await guerdon(["eval", "runs/tiny-0", "rows.jsonl", "--columns", "answer"], root)).status).toBe(2);
  });

  test("sample answers held-out tasks, a prompt, and a file of prompts", async () => {
    const own = await guerdon(["sample", "runs/tiny-0", "--json", "--temperature", "0"], root);
    expect(own.status, own.said).toBe(0);
    expect((JSON.parse(own.out) as { samples: object[] }).samples).toHaveLength(4);
    const one = await guerdon(["sample", "runs/tiny-0", "7 2 :", "-n", "3"], root);
    expect(one.out.trimEnd().split("\n")).toHaveLength(3);
    expect(one.out).toMatch(/^7 2 : {2}/);
    writeFileSync(join(root, "prompts.txt"), "7 2 :\n3 3 :\n");
    const many = await guerdon(["sample", "runs/tiny-0", "prompts.txt", "--json"], root);
    expect(
      (JSON.parse(many.out) as { samples: { prompt: string; right: null }[] }).samples.map(({ prompt, right }) => [prompt, right]),
    ).toEqual([
      ["7 2 :", null],
      ["3 3 :", null],
    ]);
    const wrong = await guerdon(["sample", "runs/tiny-0", "seven 2 :"], root);
    expect(wrong.status).toBe(2);
    expect(wrong.said).toContain('"seven"');
  });
});

test("a pretrained model is measured as it is, trained by an adapter, and asked again", async () => {
  await writeTinyModel(join(root, "llama"));
  writeFileSync(
    join(root, "tasks.jsonl"),
    ["one", "two", "three", "four", "five", "six"]
      .map((word, i) => `${JSON.stringify({ prompt: word, reference: String(i + 1) })}\n`)
      .join(""),
  );
  writeFileSync(
    join(root, "tune.ts"),
    `import { prompts } from "guerdon/environments";
import { reward } from "guerdon/rewards";
import { defineJob, grpo } from "guerdon/training";
export default defineJob({
  name: "tune",
  environment: await prompts("tasks.jsonl", { testShare: 0.5, maxActions: 6 }),
  reward: reward("short", ({ text }) => 1 - text.length / 40),
  model: { folder: "llama", lora: { rank: 2, alpha: 4, targets: ["q_proj", "v_proj"] } },
  method: grpo({ as: "trl", groupSize: 4, learningRate: 1e-2 }),
  tasksPerStep: 2,
  steps: 3,
  evaluation: { tasks: 4, samples: 2 },
});
`,
  );
  const { status, out, said } = await guerdon(["train", "tune.ts", "--threads", "1", "--json"], root);
  expect(status, said).toBe(0);
  expect(said).toContain("llama, an adapter of rank 2 on q_proj v_proj");
  expect(JSON.parse(out)).toMatchObject({ result: { warmUp: { id: "start", steps: 0 }, training: { steps: 3 } } });
  const again = await guerdon(["resume", "runs/tune-0", "--json"], root);
  expect((JSON.parse(again.out) as Trained).result).toEqual((JSON.parse(out) as Trained).result);
  expect((await guerdon(["sample", "runs/tune-0", "seven"], root)).out).toMatch(/^seven {2}/);
  expect((await guerdon(["sample", "llama", "seven", "--max-tokens", "3"], root)).out).toMatch(/^seven {2}/);
  // What was trained is a model of its own: the adapter is merged, the tokenizer comes along.
  const exported = await guerdon(["runs", "export", "runs/tune-0", "--to", "model", "--out", "tuned"], root);
  expect(exported.status, exported.said).toBe(0);
  const greedy = async (from: string) => {
    const { out: answers } = await guerdon(["sample", from, "seven", "--temperature", "0", "--max-tokens", "6", "--json"], root);
    return (JSON.parse(answers) as { samples: { completion: string; logProbability: number }[] }).samples[0]!;
  };
  const [model, run] = [await greedy("tuned"), await greedy("runs/tune-0")];
  expect(model.completion).toBe(run.completion);
  expect(model.logProbability).toBeCloseTo(run.logProbability, 3);
  expect((await guerdon(["eval", "llama"], root)).said).toMatch(/^guerdon: llama is a model's folder: say on what to measure it/);
});

test("init says that its files are modules where nothing else does, and leaves a package.json alone", async () => {
  const written = async (around: string | null, own: string | null) => {
    const folder = mkdtempSync(join(root, "around-"));
    mkdirSync(join(folder, "own"));
    if (around !== null) writeFileSync(join(folder, "package.json"), around);
    if (own !== null) writeFileSync(join(folder, "own", "package.json"), own);
    const { status, said } = await guerdon(["init", "own"], folder);
    expect(status, said).toBe(0);
    const manifest = join(folder, "own", "package.json");
    return existsSync(manifest) ? readFileSync(manifest, "utf8") : null;
  };
  // What `npm init` writes takes .ts files for CommonJS.
  const [common, module] = ['{ "type": "commonjs" }', '{ "type": "module" }'];
  expect(JSON.parse((await written(common, null))!)).toEqual({ private: true, type: "module" });
  expect(await written(module, null)).toBe(null);
  expect(await written(module, common)).toBe(common);
});

test("init writes nothing where the package.json around it cannot be read", async () => {
  const folder = mkdtempSync(join(root, "around-"));
  writeFileSync(join(folder, "package.json"), "{");
  const { status, said } = await guerdon(["init", "own"], folder);
  expect([status, said.trimEnd()]).toEqual([2, expect.stringMatching(/^guerdon: .*package\.json cannot be read: [^\n]+$/)]);
  expect(existsSync(join(folder, "own"))).toBe(false);
});

test("a project with another copy of guerdon, beside one that is installed for all, trains with the one that runs", async () => {
  const other = join(root, "other", "node_modules", "guerdon");
  mkdirSync(other, { recursive: true });
  writeFileSync(join(other, "package.json"), '{ "name": "guerdon", "type": "module", "exports": { "./*": "./index.js" } }');
  writeFileSync(join(other, "index.js"), 'throw new Error("another copy");');
  writeFileSync(join(root, "other", "package.json"), '{ "type": "module" }');
  writeFileSync(join(root, "other", "job.ts"), tiny);
  const { status, said } = await guerdon(["train", "other/job.ts", "--dry-run"], root);
  expect(status, said).toBe(0);
});

test("a file that Node does not take for a module is one sentence that says what to do", async () => {
  mkdirSync(join(root, "common"));
  writeFileSync(join(root, "common", "package.json"), '{ "type": "commonjs" }');
  writeFileSync(join(root, "common", "job.ts"), tiny);
  const { status, said } = await guerdon(["train", "common/job.ts"], root);
  expect(status).toBe(2);
  expect(said).toMatch(
    /^guerdon: .*job\.ts:2: Node does not take this file for a module: write "type": "module" into the nearest package\.json$/m,
  );
});

test("init writes a reward whose test passes and a configuration that trains; it never overwrites", async () => {
  const { status, out } = await guerdon(["init", "mine"], root);
  expect(status).toBe(0);
  expect(out).toBe(
    ["reward.ts", "rows.jsonl", "reward.test.ts", "train.config.ts", "package.json"].map((name) => join("mine", name) + "\n").join(""),
  );
  const tested = spawnSync(process.execPath, ["--conditions=guerdon-source", "--test", "mine/reward.test.ts"], {
    cwd: root,
    encoding: "utf8",
  });
  expect(tested.status, tested.stdout + tested.stderr).toBe(0);
  // The test guards the reward: one that prefers wrong answers fails it.
  const reward = readFileSync(join(root, "mine", "reward.ts"), "utf8");
  for (const weights of ["{ right: -1, placed: 0.2 }", "{ placed: 2 }"]) {
    writeFileSync(join(root, "mine", "reward.ts"), reward.replace("{ placed: 0.2 }", weights));
    expect(spawnSync(process.execPath, ["--conditions=guerdon-source", "--test", "mine/reward.test.ts"], { cwd: root }).status).toBe(1);
  }
  writeFileSync(join(root, "mine", "reward.ts"), reward);
  const dry = await guerdon(["train", "mine/train.config.ts", "--dry-run", "--json"], root);
  expect(JSON.parse(dry.out)).toMatchObject({ name: "my-first-run", training: { method: { name: "GRPO" } } });
  writeFileSync(join(root, "mine", "reward.ts"), "mine");
  const again = await guerdon(["init", "mine"], root);
  expect(again.status).toBe(2);
  expect(readFileSync(join(root, "mine", "reward.ts"), "utf8")).toBe("mine");
});
