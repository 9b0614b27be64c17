import type { ColumnMapping } from "../../data/recognise.ts";
import { openRows, scorableRow } from "../../data/scorable.ts";
import { scoredFile, type ScoredFile, type ScoringJob } from "../../data/scored-file.ts";
import { thisHost, type Host } from "../../data/host.ts";
import { GuerdonError } from "../../error.ts";
import { coverageCounter } from "../../rewards/coverage.ts";
import type { Score, StreamOptions, Summary } from "../../rewards/index.ts";
import { scoreFrom } from "../../rewards/score.ts";
import { columnsFrom } from "../columns.ts";
import { mustExist } from "../folders.ts";
import { interruptible } from "../interrupt.ts";
import { progress } from "../progress.ts";
import { loadReward, type LoadedReward } from "../rewards.ts";
import { printable, short, type Screen } from "../screen.ts";
import { table } from "../table.ts";
import { watchScores } from "../watch.ts";

export interface ScoreCommand {
  readonly reward: string;
  readonly out?: string;
  readonly continue?: boolean;
  readonly overwrite?: boolean;
  readonly columns?: string;
  readonly as: string;
  readonly cache?: string;
  readonly concurrency?: number;
  readonly timeout?: number;
  readonly retries?: number;
  readonly window?: number;
  readonly minimumCoverage?: number;
  readonly watch?: boolean;
}

/** `guerdon score`: exit status 1 when too little could be scored. */
export async function scoreFile(screen: Screen, input: string, options: ScoreCommand): Promise<number | void> {
  mustExist(input);
  if (options.watch === true) return watchScores(screen, input, options);
  if (options.continue === true && options.out === undefined)
    throw new GuerdonError("usage", "--continue goes on with an unfinished file: say which with --out");
  const host = await thisHost();
  const columns = columnsFrom(options.columns);
  const loaded = await loadReward(options.reward);
  const file = await openRows(input, { columns, host });
  const { recognition } = file;
  const taken = Object.entries(recognition.mapping).flatMap(([role, source]) => (role === source ? [] : [`${role} <- ${source}`]));
  screen.say(`${input}: ${[recognition.title, ...taken].join("; ")}`);
  // Refuses rows without an answer before anything is written.
  scorableRow(file);

  const counter = coverageCounter();
  const firsts: Firsts = [];
  let index = 0;
  const count = (score: Score): void => {
    if (score.value === null && firsts.length < shownFirst) firsts.push({ row: index + 1, message: score.error?.message ?? "" });
    index++;
  };
  const output =
    options.out === undefined
      ? null
      : await scoredFile({
          out: options.out,
          input: file,
          job: await jobOf(host, input, loaded, columns, options.as),
          host,
          resume: options.continue === true,
          overwrite: options.overwrite === true,
          onEarlier(score) {
            counter.add(score);
            count(score);
          },
        });
  const earlier = output?.earlier ?? 0;
  if (earlier > 0) screen.say(`Going on after ${earlier.toLocaleString("en-US")} rows of ${options.out}`);

  const started = performance.now();
  let summary: Summary | null = null;
  const scoring = async (signal: AbortSignal): Promise<void> => {
    const settings: StreamOptions = {
      host,
      columns,
      signal,
      ...given("concurrency", options.concurrency),
      ...given("timeoutMs", options.timeout === undefined ? undefined : options.timeout * 1000),
      ...given("retries", options.retries),
      ...given("window", options.window),
      ...given("minimumCoverage", options.minimumCoverage),
      ...given("cache", options.cache),
      onProgress: shownProgress(screen),
      onWarning: (sentence) => screen.say(sentence),
      onSummary: (one) => (summary = one),
    };
    // The version tells a cache which file the reward came from.
    const reward = { ...loaded.reward, version: loaded.version };
    try {
      for await (const { file: row, score } of scoreFrom(reward, input, settings, { rows: earlier, counter })) {
        count(score);
        await output?.add(row!, score);
      }
      await output?.finish();
    } catch (cause) {
      await output?.flush();
      throw withWayOn(cause, output, options.out);
    }
  };
  await interruptible(screen, "Stopping", scoring);
  report(screen, loaded, input, options, summary!, firsts, { earlier, seconds: (performance.now() - started) / 1000 });
}

type Firsts = { readonly row: number; readonly message: string }[];
/** Unscorable rows that are shown. */
const shownFirst = 5;

const given = <K extends string, V>(key: K, value: V | undefined) => (value === undefined ? {} : ({ [key]: value } as { [key in K]: V }));

async function jobOf(
  host: Host,
  input: string,
  { reward, version }: LoadedReward,
  columns: ColumnMapping,
  as: string,
): Promise<ScoringJob> {
  const { size, modified } = (await host.stat(input))!;
  return { input: { path: input, size, modified }, reward: { name: reward.name, version }, columns, as };
}

/** A stopped run says how to go on; one that its data stopped only where its scores are, because a mended file is another input. */
function withWayOn(cause: unknown, output: ScoredFile | null, out: string | undefined): unknown {
  if (output === null || !(cause instanceof GuerdonError) || !["interrupted", "coverage", "input"].includes(cause.code)) return cause;
  const wayOn = cause.code === "input" ? "" : ": the same command with --continue goes on";
  return new GuerdonError(cause.code, `${cause.message} What was scored is in ${out}.partial${wayOn}.`, { cause });
}

/** Progress ten times a second: a million calls would take longer than the scoring. */
function shownProgress(screen: Screen): NonNullable<StreamOptions["onProgress"]> {
  let reporter: ReturnType<typeof progress> | null = null;
  let last = -Infinity;
  return ({ done, total, unscorable }) => {
    const now = performance.now();
    if (total === null || (now - last < 100 && done < total)) return;
    last = now;
    reporter ??= progress(screen, { name: "scoring", total, unit: "rows" });
    reporter(done, unscorable === 0 ? {} : { unscorable });
  };
}

function report(
  screen: Screen,
  { reward, file }: LoadedReward,
  input: string,
  { out, as }: ScoreCommand,
  summary: Summary,
  firsts: Firsts,
  { earlier, seconds }: { readonly earlier: number; readonly seconds: number },
): void {
  const { parts, cost, cached, mean, text } = summary;
  const fresh = summary.total - earlier;
  const rows = [
    [reward.name, short(mean), summary.scored, summary.unscorable],
    ...Object.entries(parts).map(([name, part]) => [`  ${name}`, short(part.mean), part.scored, part.total - part.scored]),
  ];
  const costs = Object.entries(cost).map(([unit, amount]) => `${short(amount)} ${unit}`);
  const lines = [
    table(["reward", "mean", "scored", "unscorable"], rows),
    "",
    `${text}${cached === 0 ? "" : `; ${cached.toLocaleString("en-US")} from the cache`}${costs.length === 0 ? "" : `; cost ${costs.join(", ")}`}`,
    ...firsts.map(({ row, message }) => `  row ${row}: ${printable(message).replaceAll("\n", " ")}`),
    ...(summary.unscorable > firsts.length ? [`  and ${summary.unscorable - firsts.length} more`] : []),
    ...(out === undefined ? [] : [`written to ${out} (columns ${as}, ${as}_parts, ${as}_error)`]),
  ];
  screen.result(lines.join("\n"), {
    reward: { name: reward.name, version: reward.version, file },
    input,
    out: out ?? null,
    ...summary,
    earlier,
    unscorableRows: firsts,
    seconds,
    rowsPerSecond: seconds > 0 ? fresh / seconds : null,
  });
}
