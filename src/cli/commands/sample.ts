import { existsSync, statSync } from "node:fs";
import { extname } from "node:path";
import type { TextEnvironment, TextTask } from "../../environments/index.ts";
import { GuerdonError } from "../../error.ts";
import { rollOut } from "../../rollouts/index.ts";
import { evaluationTasks } from "../../training/evaluate.ts";
import { diskFiles } from "../../training/runs/files.ts";
import { mustExist } from "../folders.ts";
import { interruptible } from "../interrupt.ts";
import { environmentBy, loadPolicy, type ColumnNames, type LoadedPolicy, type LoadOptions } from "../policies.ts";
import { printable, type Screen } from "../screen.ts";

export interface SampleCommand extends LoadOptions {
  readonly samples?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly maxTokens?: number;
  readonly seed?: number;
  readonly columns?: ColumnNames;
}

/** Held-out tasks shown when no prompt is given. */
const shown = 4;

/** What to ask: held-out tasks of the run, the rows of a file, or the prompt itself. */
async function tasksFor(
  given: string,
  prompt: string | undefined,
  job: LoadedPolicy["job"],
  { seed = 0, columns }: SampleCommand,
): Promise<readonly TextTask[]> {
  if (prompt === undefined) {
    if (job === null) throw new GuerdonError("usage", `${given} is a model's folder: give a prompt, or a file with a prompt a line`);
    return evaluationTasks(job.environment, "test", seed, shown);
  }
  const isPath = /^\.[a-z]+$/.test(extname(prompt)) && !/\s/.test(prompt);
  if (isPath) mustExist(prompt);
  else if (!existsSync(prompt)) return [{ id: "prompt", prompt }];
  if (statSync(prompt).isDirectory())
    throw new GuerdonError("input", `${prompt} is a folder: give a prompt, or a file with a prompt a line`);
  if (/\.(jsonl|ndjson|csv|tsv|parquet)(\.(gz|zst))?$/.test(prompt))
    return (await environmentBy(prompt, columns)).environment.tasks!("test");
  const lines = new TextDecoder()
    .decode(diskFiles.read(prompt))
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new GuerdonError("input", `${prompt} has no line with a prompt`);
  return lines.map((line, i) => ({ id: `line ${i + 1}`, prompt: line }));
}

/** `guerdon sample` */
export async function sample(screen: Screen, given: string, prompt: string | undefined, options: SampleCommand): Promise<void> {
  const { samples = 1, temperature = 1, topK = 0, topP = 1, seed = 0 } = options;
  const { name, engine, tokenizer, job } = await loadPolicy(given, options);
  try {
    const tasks = await tasksFor(given, prompt, job, options);
    const environment: Pick<TextEnvironment, "maxActions"> & Partial<TextEnvironment> = job?.environment ?? { maxActions: 256 };
    screen.say(screen.style("dim", `${name}, temperature ${temperature}`));
    const rollouts = await interruptible(screen, "Stopping", (signal) =>
      rollOut(engine, environment, tasks, {
        groupSize: samples,
        seed,
        step: 0,
        tokenizer,
        signal,
        sampling: { temperature, topK, topP, ...(options.maxTokens === undefined ? {} : { maxActions: options.maxTokens }) },
      }),
    );
    const answers = rollouts.map(({ task, completion = "", stop, behaviourLogProbs }) => ({
      prompt: task.prompt,
      completion,
      // Only tasks of an environment have something to compare with; a prompt typed by hand has not.
      right: task.reference === undefined || environment.check === undefined ? null : environment.check(completion, task.reference),
      stop,
      logProbability: behaviourLogProbs.reduce((sum, value) => sum + value, 0),
    }));
    const mark = (right: boolean | number | null) =>
      right === null
        ? ""
        : right === true || right === 1
          ? screen.resultStyle("green", "  ✓ right")
          : screen.resultStyle("red", "  ✗ wrong");
    const lines = answers.map(({ prompt: asked, completion, stop, right }) => {
      const task = typeof asked === "string" ? asked : JSON.stringify(asked);
      return `${screen.resultStyle("dim", printable(task))}  ${printable(completion)}${stop === "length" ? " …" : ""}${mark(right)}`;
    });
    screen.result(lines.join("\n"), { policy: name, samples: answers });
  } finally {
    await engine.dispose();
  }
}
