import type { Json } from "../statistics/snapshot.ts";
import { summary, type JobEvent, type JobResult, type PartResult } from "../training/job.ts";
import { describeMethod, type DrawnRollout, type Job, type Method, type TrainReport } from "../training/index.ts";
import { beforeAndAfter, inShort, samplesTable, share } from "./evaluation.ts";
import { plot } from "./plot.ts";
import { progress } from "./progress.ts";
import { duration, printable, type Screen } from "./screen.ts";
import { flatten } from "./settings.ts";
import { table } from "./table.ts";

/** How often a person is shown answers while a part trains. */
const glimpses = 5;

const methodLine = (method: Method): string => {
  const { learningRate } = method;
  const rate =
    typeof learningRate === "number"
      ? `rate ${learningRate}`
      : `rate ${learningRate.peak}, ${learningRate.up} steps up, ${learningRate.shape} to ${learningRate.floor * 100} %`;
  return method.data === "demonstrations"
    ? rate
    : `${rate}; ${method.groupSize} answers a task at temperature ${method.sampling.temperature}`;
};

/** Every resolved setting of a job: what it prints, and what decides its numbers. */
export function jobSettings(job: Job): { readonly [key: string]: Json } {
  const { name, seed, environment, model, warmUp, contender, steps, rivals, evaluation } = job;
  return {
    name,
    seed,
    environment: { name: environment.name, maxActions: environment.maxActions },
    model: { ...model } as unknown as Json,
    warmUp: warmUp && { steps: warmUp.steps, tasksPerStep: warmUp.tasksPerStep, method: describeMethod(warmUp.method) },
    training: { steps, tasksPerStep: contender.tasksPerStep, method: describeMethod(contender.method) },
    rivals: rivals.map(({ id }) => id),
    evaluation: { ...evaluation },
  };
}

/** The header: what is about to happen, with every setting that decides it. */
export function header(screen: Screen, job: Job, directory: string, onService: string | null = null): void {
  const dim = (text: string) => screen.style("dim", text);
  const { model, warmUp, contender, steps, evaluation } = job;
  const lines: [string, string][] = [
    ["task", `${job.environment.name}, answers of up to ${job.environment.maxActions} tokens, checked by a program`],
    [
      "model",
      onService ??
        ("folder" in model
          ? `${model.folder}${model.lora === undefined ? ", all weights" : `, an adapter of rank ${model.lora.rank} on ${model.lora.targets.join(" ")}`}`
          : `transformer from scratch, ${model.layers} layers x ${model.width}, vocabulary ${model.vocabulary}`),
    ],
    ["warm-up", warmUp === null ? "none" : `${warmUp.steps} steps of ${warmUp.tasksPerStep} demonstrations; ${methodLine(warmUp.method)}`],
    ["training", `${steps} steps of ${contender.method.name} on ${contender.tasksPerStep} tasks; ${methodLine(contender.method)}`],
    ["measured on", `${evaluation.tasks} held-out tasks, ${evaluation.samples} answers each and a greedy one`],
    ["run folder", directory],
  ];
  screen.say();
  screen.say(`${screen.style("bold", job.name)}, seed ${job.seed}`);
  for (const [name, text] of lines) screen.say(`  ${dim(name.padEnd(12))} ${text}`);
  screen.say(dim("  every setting"));
  const methods: readonly (readonly [string, Method])[] = [
    ...(warmUp === null ? [] : [["warm-up", warmUp.method] as const]),
    [contender.id, contender.method],
  ];
  for (const [name, method] of methods) {
    const settings = flatten(describeMethod(method)).map(([key, value]) => `${key.replace(/^settings\./, "")} ${value}`);
    for (const line of wrapped([`${name}: ${settings[0]!}`, ...settings.slice(1)], screen.width - 6)) screen.say(dim(`    ${line}`));
  }
}

/** Words joined by "; " in lines of at most this width. */
function wrapped(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length + 2 <= width) lines[lines.length - 1] = `${last}; ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Answers as a newcomer wants to see them: the task, what was said, whether it was right; in columns. */
function answerLines(screen: Screen, drawn: readonly DrawnRollout[]): string[] {
  const oneLine = (text: string) => printable(text.replaceAll(/\s+/g, " "));
  const tasks = drawn.map(({ rollout }) =>
    oneLine(typeof rollout.task.prompt === "string" ? rollout.task.prompt : JSON.stringify(rollout.task.prompt)),
  );
  const answers = drawn.map(({ rollout }) => oneLine(rollout.completion ?? "") + (rollout.stop === "length" ? " …" : ""));
  const half = Math.floor((screen.width - 16) / 2);
  const column = (texts: readonly string[]) => {
    const width = Math.min(half, Math.max(...texts.map((text) => text.length)));
    return texts.map((text) => (text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width)));
  };
  const [left, right] = [column(tasks), column(answers)];
  return drawn.map(({ reward }, i) => {
    const mark =
      reward === null
        ? screen.style("yellow", "not scored")
        : reward >= 1
          ? screen.style("green", "✓ right")
          : reward <= 0
            ? screen.style("red", "✗ wrong")
            : screen.style("yellow", reward.toFixed(2));
    return `    ${screen.style("dim", left[i]!)}  ${right[i]!}  ${mark}`;
  });
}

const facts = (report: TrainReport): Record<string, number | null> =>
  report.reward === null ? { loss: report.loss } : { reward: report.reward.mean, entropy: report.entropy };

/** Prints a job's events as they come. One of these for each job. */
export function jobScreen(screen: Screen, chance: number | null): (event: JobEvent) => void {
  let report: ((done: number, shown: Readonly<Record<string, number | null>>) => void) | null = null;
  let rewards: [number, number][] = [];
  let shownAt = -1;
  let seconds = 0;
  let saidAt = 0;
  let part: (JobEvent & { kind: "part" }) | null = null;
  let last: TrainReport | null = null;
  const title = (text: string) => {
    screen.say();
    screen.say(screen.style("bold", text));
  };

  const step = (current: JobEvent & { kind: "part" }, now: TrainReport) => {
    last = now;
    // The part's own clock, which goes on where an interrupted run stopped it.
    seconds = (now.at.signals["seconds"] ?? 0) + now.seconds.preparing + now.seconds.updating;
    if (now.reward !== null) rewards.push([now.index, now.reward.mean]);
    const due =
      current.steps === null ? Math.floor((seconds / current.seconds!) * glimpses) : Math.floor((now.index / current.steps) * glimpses);
    if (now.rollouts !== null && due > shownAt) {
      shownAt = due;
      screen.say(`  step ${now.index}, reward ${share(now.rollouts.reward.mean)}`);
      // Answers to different tasks: the first of the step's groups.
      const groups = [...Map.groupBy(now.rollouts.drawn, ({ rollout }) => rollout.group).values()];
      for (const line of answerLines(
        screen,
        groups.slice(0, 3).map((group) => group[0]!),
      ))
        screen.say(line);
    }
    for (const { sentence } of now.findings) screen.say(`  ${screen.style("yellow", "!")} step ${now.index}: ${sentence}`);
    if (now.evaluation !== null) screen.say(`  step ${now.index}, held-out: ${inShort(summary(now.evaluation), chance)}`);
    if (current.steps !== null) return report?.(now.index, facts(now));
    // A part whose length is in seconds: its progress is the time that it has used.
    const line = `  ${current.id} ${duration(seconds)} of ${duration(current.seconds!)}  step ${now.index}`;
    if (screen.live) screen.status(line);
    else if (seconds - saidAt >= 10) {
      saidAt = seconds;
      screen.say(line);
    }
  };

  return (event) => {
    switch (event.kind) {
      case "part": {
        [part, rewards, shownAt, seconds, saidAt, last] = [event, [], -1, 0, 0, null];
        const length = event.steps === null ? `${duration(event.seconds!)} of training` : `${event.steps} steps`;
        title(`${event.id}: ${event.id === "warm-up" ? "learning the notation from demonstrations" : event.title}, ${length}`);
        if (event.done > 0) screen.say(`  going on from step ${event.done}`);
        if (event.steps !== null) report = progress(screen, { name: event.id, total: event.steps });
        break;
      }
      case "step":
        if (part !== null) step(part, event.report);
        break;
      case "evaluating":
        screen.status(null);
        if (event.id === "start") title(`start: ${event.title}`);
        if (rewards.length > 1) {
          screen.say("  mean reward of each step");
          for (const line of plot([{ name: "reward", points: rewards }], {
            width: Math.min(64, screen.width - 20),
            height: 7,
            ...(rewards.every(([, reward]) => reward >= 0 && reward <= 1) ? { range: [0, 1] as const } : {}),
            ...(chance === null ? {} : { level: { value: chance, name: "chance" } }),
          }))
            screen.say(`  ${line}`);
        } else if (last?.loss != null) screen.say(`  done in ${duration(seconds)}; loss ${last.loss.toFixed(3)}`);
        screen.status("  measuring on held-out tasks ...");
        break;
      case "evaluation":
        screen.status(null);
        if (part?.id !== event.id && event.id !== "start") title(`${event.id}: done before`);
        screen.say(`  held-out: ${inShort(event.measured, chance)}`);
        break;
      case "result":
        break;
    }
  };
}

/** The job's result for stdout. */
export function resultText(screen: Screen, { job, seed, before, after, chance, warmUp, training }: JobResult): string {
  return [
    "",
    screen.resultStyle(
      "bold",
      `${job}, seed ${seed}: before and after ${training.title} (${training.steps} steps, ${duration(training.seconds)}${warmUp.steps === 0 ? "" : `; warm-up ${duration(warmUp.seconds)}`})`,
    ),
    beforeAndAfter(before, after, chance),
    "",
    screen.resultStyle("bold", "What more samples buy, when the verifier picks the right one"),
    samplesTable([
      ["before", before],
      ["after", after],
    ]),
  ].join("\n");
}

/** The table of methods under equal seconds, for stdout. */
export function comparisonText(screen: Screen, warmUp: PartResult, methods: readonly PartResult[], chance: number | null): string {
  const samples = warmUp.measured.samples;
  const line = (
    name: string,
    steps: number | string,
    time: string,
    { pass1, greedy, passN, majorityN, distinct }: PartResult["measured"],
  ) => [name, steps, time, share(pass1), share(greedy), share(passN), share(majorityN), distinct.toFixed(1)];
  const rows = [
    line(warmUp.steps === 0 ? "none" : "warm-up only", "-", "-", warmUp.measured),
    ...methods.map(({ title, steps, seconds, measured }) => line(title, steps, duration(seconds), measured)),
  ];
  const text = [
    "",
    screen.resultStyle("bold", "Methods from the same start, under equal time"),
    table(["method", "steps", "training", "pass@1", "greedy", `pass@${samples}`, "majority", "different answers"], rows),
    ...(chance === null ? [] : [`chance ${share(chance)}: legal moves at random`]),
    "One seed: an illustration, no ranking. The supervised control has free and perfect demonstrations; a reward is for tasks where only a verifier exists.",
  ];
  return text.join("\n");
}
