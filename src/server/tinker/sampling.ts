import { JobFailed, type Compute } from "./compute.ts";
import type { Outcome } from "./futures.ts";
import { sampleResult } from "./messages.ts";
import { Refused } from "./refused.ts";
import type { Source } from "./turns.ts";
import type { Drawn, SampleJob, Sampler, SampleSettings } from "./wire.ts";

/** The most sequences that are drawn together: sets how long training may have to wait, not results. */
const TOGETHER = 256;
/** Requests of one step arrive one after the other: drawing waits until none has come for so long, but not longer than `most`, in milliseconds. */
const collecting = { quiet: 5, most: 50 };

export interface Sample {
  readonly future: string;
  readonly from: Sampler;
  readonly settings: SampleSettings;
  readonly job: SampleJob;
  /** Log-probabilities of the prompt are told from this place on. */
  readonly promptFrom: number;
}

export interface Sampling extends Source {
  /** @throws Refused 429 when too many sequences wait */
  add(sequences: number, make: () => Sample): string;
  clear(): readonly string[];
}

/** Requests for samples, in the order of arrival; those from the same weights and with the same settings are drawn together. */
export function sampling(
  compute: Compute,
  waitingLimit: number,
  settle: (future: string, outcome: Outcome) => void,
  wake: () => void,
): Sampling {
  const groups = new Map<string, Sample[]>();
  let waiting = 0;
  let first = 0;
  let last = 0;
  let timer: NodeJS.Timeout | null = null;

  function wakeLater(): void {
    timer ??= setTimeout(() => {
      timer = null;
      wake();
    }, collecting.quiet);
  }

  function wait(key: string, sample: Sample): void {
    const group = groups.get(key);
    if (group) group.push(sample);
    else groups.set(key, [sample]);
    waiting += sample.job.samples;
    wakeLater();
  }

  async function draw(group: readonly Sample[]): Promise<void> {
    const { from, settings } = group[0]!;
    try {
      const drawn = await compute.run("sample", { from, settings, requests: group.map(({ job }) => job) });
      group.forEach((one, i) => settle(one.future, outcomeOf(one, drawn[i]!)));
    } catch (cause) {
      // One request can spoil it for all: each gets its own answer, and from the next thread where it was too much for this one.
      if (group.length === 1) settle(group[0]!.future, failure(cause));
      else if (compute.fault()) for (const one of group) wait(one.future, one);
      else for (const one of group) await draw([one]);
    }
  }

  return {
    add(sequences, make) {
      if (waiting + sequences > waitingLimit) throw new Refused(429, `${waiting} sequences wait already; send these later.`);
      const sample = make();
      last = performance.now();
      if (waiting === 0) first = last;
      wait(JSON.stringify([sample.from, sample.settings]), sample);
      return sample.future;
    },
    next() {
      // A group that is not emptied goes behind the others.
      const [oldest] = groups;
      if (!oldest) return null;
      const now = performance.now();
      if (waiting < TOGETHER && now - last < collecting.quiet && now - first < collecting.most) {
        wakeLater();
        return null;
      }
      const [key, group] = oldest;
      groups.delete(key);
      let count = 0;
      let sequences = 0;
      while (count < group.length && (count === 0 || sequences + group[count]!.job.samples <= TOGETHER))
        sequences += group[count++]!.job.samples;
      const taken = group.splice(0, count);
      if (group.length > 0) groups.set(key, group);
      waiting -= sequences;
      first = now;
      return () => draw(taken);
    },
    clear() {
      const futures = [...groups.values()].flat().map(({ future }) => future);
      groups.clear();
      waiting = 0;
      return futures;
    },
  };
}

/** What a failed job or anything else that was thrown means for the request. */
export const failure = (cause: unknown): Outcome => ({
  failed: cause instanceof Error ? cause.message : String(cause),
  user: cause instanceof Refused || (cause instanceof JobFailed && cause.user),
});

function outcomeOf({ promptFrom, job }: Sample, { sequences, promptLogProbs, promptTop }: Drawn): Outcome {
  const isTold = (i: number): boolean => i > 0 && i >= promptFrom;
  // Nothing comes before the first token, and what was not asked for is not told.
  const told = promptLogProbs
    ? Float32Array.from({ length: job.prompt.length }, (_, i) => (isTold(i) ? promptLogProbs[i - 1]! : NaN))
    : null;
  return {
    json: () => ({
      type: "sample",
      sequences: sequences.map(({ tokens, logProbs, stop }) => ({
        tokens: Array.from(tokens),
        logprobs: Array.from(logProbs),
        stop_reason: stop,
      })),
      ...(promptTop && {
        topk_prompt_logprobs: Array.from(job.prompt, (_, i) => {
          const from = (i - 1) * promptTop.k;
          return isTold(i)
            ? Array.from({ length: promptTop.k }, (__, j) => [promptTop.tokens[from + j], promptTop.logProbs[from + j]])
            : null;
        }),
      }),
      ...(told && { prompt_logprobs: Array.from(told, (value) => (Number.isFinite(value) ? value : null)) }),
    }),
    protobuf: () => sampleResult({ sequences, promptLogProbs: told, promptTop: promptTop ?? null, isTold }),
    bytes: sequences.reduce(
      (sum, { tokens }) => sum + 100 + 8 * tokens.length,
      4 * (told?.length ?? 0) + 8 * (promptTop?.tokens.length ?? 0),
    ),
  };
}
