import type { Json, Stateful } from "../statistics/snapshot.ts";
import { GuerdonError } from "../error.ts";

/** What the health sentences look at: the numbers of one training step on rollouts. A `TrainReport` has them all. */
export interface Vitals {
  readonly index: number;
  readonly reward: { readonly mean: number; readonly deviation: number };
  readonly groups: { readonly count: number; readonly identical: number };
  /** Whether the rewards gave the method anything to learn from: some answer with an advantage that is not 0, an accepted answer, a pair. */
  readonly signal: boolean;
  /** In nats a token; null where the policy does not record it. */
  readonly entropy: number | null;
  readonly lengths: { readonly mean: number; readonly cut: number; readonly limit: number };
  readonly coverage: {
    readonly scored: number;
    readonly total: number;
    readonly reasons: Readonly<Record<string, number>>;
    readonly silent: readonly string[];
  };
  readonly gap: { readonly mean: number } | null;
  /**
   * For each part of the reward: `deviation` within groups, and `explains`, the share of the reward's variance within groups that a
   * straight line through this part alone accounts for.
   */
  readonly parts: Readonly<Record<string, { readonly deviation: number; readonly explains: number }>>;
  /** Held-out reward measured right after this step, with its 95 % interval. */
  readonly heldOut: { readonly mean: number; readonly low: number; readonly high: number } | null;
}

export type FindingKind =
  | "no-signal"
  | "parts-cancel"
  | "one-part-dominates"
  | "cut-answers"
  | "entropy-collapse"
  | "length-drift"
  | "low-coverage"
  | "silent-part"
  | "held-out-gap"
  | "sampler-gap";

/** One known failure pattern, seen in a run. */
export interface Finding {
  readonly kind: FindingKind;
  readonly sentence: string;
}

/** Steps that a pattern is looked for in. */
const window = 10;
/** Steps that an average is taken over, so that one odd batch says nothing. */
const few = 3;

const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
const percent = (share: number): string => `${Math.round(100 * share)} %`;
const short = (value: number): string => String(Number(value.toPrecision(3)));

/**
 * The known failure patterns that a run shows. A pure function: the same reports give the same findings.
 *
 * @param first the first steps of the phase (up to 3), for slow changes
 * @param recent the last steps (up to 10), oldest first
 */
export function health(first: readonly Vitals[], recent: readonly Vitals[]): Finding[] {
  if (recent.length < few) return [];
  const latest = recent.slice(-few);
  const last = recent.at(-1)!;
  const findings: Finding[] = [];
  const say = (kind: FindingKind, sentence: string): number => findings.push({ kind, sentence });

  if (latest.every((r) => !r.signal)) {
    const identical = latest.every((r) => r.groups.count > 0 && r.groups.identical === r.groups.count);
    const varying = partNames(latest).filter((name) => latest.every((r) => (r.parts[name]?.deviation ?? 0) > 1e-9));
    const level = short(mean(latest.map((r) => r.reward.mean)));
    if (identical && varying.length > 1)
      say(
        "parts-cancel",
        `The parts of the reward vary (${varying.join(", ")}) but cancel in the sum: all ${last.groups.count} groups had identical rewards, so there is no gradient. Change their weights.`,
      );
    else if (identical)
      say(
        "no-signal",
        `All ${last.groups.count} groups had identical rewards (mean ${level}): no gradient. The tasks are all too hard or all too easy for the policy, or the reward does not tell its answers apart.`,
      );
    else
      say(
        "no-signal",
        `No answer of the last ${few} steps gave the method anything to learn from (mean reward ${level}): no gradient. Look at the smallest reward that it accepts.`,
      );
  }

  const dominant = dominantPart(recent);
  if (dominant !== null)
    say(
      "one-part-dominates",
      `The part "${dominant.name}" alone explains ${percent(dominant.share)} of the differences in reward; the other parts (${dominant.idle.join(", ")}) hardly count. Scale the parts to each other.`,
    );

  const cut = latest.map((r) => r.lengths.cut);
  if (Math.min(...cut) > 0.3)
    say(
      "cut-answers",
      `${percent(mean(cut))} of answers are cut by the length limit of ${last.lengths.limit} tokens; a cut answer is seldom right. Allow longer answers or reward shorter ones.`,
    );

  const early = first.length >= few ? first : recent.slice(0, few);
  const apart = last.index - early.at(-1)!.index >= few;
  if (apart) {
    const entropy = [entropyOf(early), entropyOf(latest)] as const;
    const rewards = [mean(early.map((r) => r.reward.mean)), mean(latest.map((r) => r.reward.mean))] as const;
    const noise = 2 * mean([...early, ...latest].map((r) => r.reward.deviation / Math.sqrt(Math.max(1, r.groups.count))));
    const fast = recent.length > few ? entropyOf(recent.slice(0, few)) : null;
    if (entropy[0] !== null && entropy[1] !== null && fast !== null) {
      const unpaid = rewards[1] <= rewards[0] + noise;
      if (entropy[1] < 0.2 * fast || (entropy[1] < 0.1 * entropy[0] && unpaid))
        say(
          "entropy-collapse",
          `Entropy collapsed from ${short(Math.max(fast, entropy[0]))} to ${short(entropy[1])} nats a token${unpaid ? " and the reward did not rise" : ""}: the policy has stopped trying other answers. Lower the learning rate, or add an entropy bonus or a KL term.`,
        );
    }
    const lengths = [mean(early.map((r) => r.lengths.mean)), mean(latest.map((r) => r.lengths.mean))] as const;
    const ratio = lengths[1] / Math.max(lengths[0], 1e-9);
    if (ratio > 1.5 || ratio < 1 / 1.5)
      say(
        "length-drift",
        `Answers went from ${short(lengths[0])} to ${short(lengths[1])} tokens on average while the reward went from ${short(rewards[0])} to ${short(rewards[1])}: look whether the reward pays for ${ratio > 1 ? "length" : "brevity"}.`,
      );
  }

  const scored = recent.reduce((sum, r) => sum + r.coverage.scored, 0);
  const total = recent.reduce((sum, r) => sum + r.coverage.total, 0);
  if (total > 0 && scored < 0.9 * total)
    say(
      "low-coverage",
      scored === 0
        ? `The reward scored nothing: none of ${total} answers (${reasons(recent)}).`
        : `Only ${scored} of ${total} answers could be scored (${reasons(recent)}).`,
    );

  const silent = last.coverage.silent.filter((name) => latest.every((r) => r.coverage.silent.includes(name)));
  if (silent.length > 0 && scored > 0)
    say(
      "silent-part",
      `${silent.length === 1 ? "The part" : "The parts"} ${silent.map((n) => `"${n}"`).join(", ")} of the reward scored nothing: no answer got a grade from ${silent.length === 1 ? "it" : "them"}.`,
    );

  if (last.heldOut !== null) {
    const train = mean(recent.map((r) => r.reward.mean));
    if (train - last.heldOut.high > 0.1)
      say(
        "held-out-gap",
        `Training reward is ${short(train)}, held-out reward only ${short(last.heldOut.mean)} [${short(last.heldOut.low)}, ${short(last.heldOut.high)}]: the policy is memorising its training tasks. Use more tasks or fewer steps.`,
      );
  }

  const gaps = latest.map((r) => r.gap?.mean ?? 0);
  if (Math.min(...gaps) > 0.05)
    say(
      "sampler-gap",
      `The sampler's and the trainer's log-probabilities differ by ${short(mean(gaps))} nats a token on average: training is off-policy. Set a \`correction\`, or find out why they disagree.`,
    );
  return findings;
}

const partNames = (reports: readonly Vitals[]): string[] => [...new Set(reports.flatMap((r) => Object.keys(r.parts)))];

/** Mean entropy of some steps, or null where one of them has none. */
function entropyOf(reports: readonly Vitals[]): number | null {
  const values = reports.map((r) => r.entropy).filter((e) => e !== null);
  return values.length === reports.length && values.length > 0 ? mean(values) : null;
}

/** The part that alone explains the reward's differences over the window while others vary for nothing; null when there is none. */
function dominantPart(recent: readonly Vitals[]): { name: string; share: number; idle: string[] } | null {
  const live = recent.filter((r) => r.groups.identical < r.groups.count);
  if (live.length < few) return null;
  const explained = partNames(live)
    .filter((name) => live.every((r) => (r.parts[name]?.deviation ?? 0) > 1e-9))
    .map((name) => ({ name, share: mean(live.map((r) => r.parts[name]!.explains)) }));
  const top = explained.find((p) => p.share > 0.95);
  const idle = explained.filter((p) => p.share < 0.2).map((p) => p.name);
  return top === undefined || idle.length === 0 ? null : { ...top, idle };
}

function reasons(recent: readonly Vitals[]): string {
  const counts: Record<string, number> = {};
  for (const { coverage } of recent) for (const [reason, n] of Object.entries(coverage.reasons)) counts[reason] = (counts[reason] ?? 0) + n;
  const told = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  return told.length === 0 ? "no reason was given" : told.map(([reason, n]) => `${n} ${reason}`).join(", ");
}

/** Watches a run and says each pattern once, and again only after it has been absent for ten steps. */
export interface HealthWatch extends Stateful {
  /** Takes the next step's numbers; returns what is new. */
  add(vitals: Vitals): Finding[];
}

interface WatchState {
  first: Vitals[];
  recent: Vitals[];
  /** Step at which each pattern was last seen. */
  seen: Partial<Record<FindingKind, number>>;
}

/** A fresh watch. Its state is small and goes into checkpoints, so that a resumed run says what an uninterrupted one would have said. */
export function healthWatch(): HealthWatch {
  let state: WatchState = { first: [], recent: [], seen: {} };
  return {
    add(vitals) {
      const kept = plain(vitals);
      if (state.first.length < few) state.first.push(kept);
      state.recent = [...state.recent, kept].slice(-window);
      const found = health(state.first, state.recent);
      const fresh = found.filter(({ kind }) => {
        const at = state.seen[kind];
        return at === undefined || kept.index - at > window;
      });
      for (const { kind } of found) state.seen[kind] = kept.index;
      return fresh;
    },
    async snapshot() {
      return { version: 1, json: structuredClone(state) as unknown as Json, tensors: {} };
    },
    async restore(saved) {
      if (saved.version !== 1)
        throw new GuerdonError(
          "input",
          `The checkpoint's health state has version ${saved.version}; this version of guerdon reads version 1.`,
        );
      state = structuredClone(saved.json) as unknown as WatchState;
    },
  };
}

/** Only the fields of `Vitals`, so that a report with rollouts does not stay in memory. */
function plain(v: Vitals): Vitals {
  const { index, reward, groups, signal, entropy, lengths, coverage, gap, heldOut } = v;
  return {
    index,
    reward: { mean: reward.mean, deviation: reward.deviation },
    groups: { count: groups.count, identical: groups.identical },
    signal,
    entropy,
    lengths: { mean: lengths.mean, cut: lengths.cut, limit: lengths.limit },
    coverage: { scored: coverage.scored, total: coverage.total, reasons: { ...coverage.reasons }, silent: [...coverage.silent] },
    gap: gap === null ? null : { mean: gap.mean },
    parts: Object.fromEntries(Object.entries(v.parts).map(([name, p]) => [name, { deviation: p.deviation, explains: p.explains }])),
    heldOut,
  };
}
