import { duration, short, type Screen } from "./screen.ts";

export interface ProgressOptions {
  readonly name: string;
  readonly total: number;
  /** What is counted; default "steps". */
  readonly unit?: string;
  /** Seconds left, where the rate so far does not tell. */
  readonly left?: () => number;
  /** Seconds between plain lines where stderr is not a terminal. */
  readonly every?: number;
  /** Milliseconds from any origin. */
  readonly clock?: () => number;
}

/** Steps over which the rate is measured. */
const window = 20;

/**
 * Reports progress: on a terminal one moving line with a bar, the rate and the time left; elsewhere a plain line at the first step, every
 * few seconds and at the last step.
 *
 * @returns a function to call after each step with the number of steps done and what else to show
 */
export function progress(
  screen: Screen,
  options: ProgressOptions,
): (done: number, shown?: Readonly<Record<string, number | null>>) => void {
  const { name, total, unit = "steps", left: secondsLeft, every = 10, clock = () => performance.now() } = options;
  const marks: [number, number][] = [];
  let said = -Infinity;
  let drawn = -Infinity;
  return (done, shown = {}) => {
    const now = clock();
    marks.push([done, now]);
    if (marks.length > window) marks.shift();
    const [steps, milliseconds] = [done - marks[0]![0], now - marks[0]![1]];
    // The first step says nothing about the rate: it compiled programs, and its beginning was not seen.
    const rate = milliseconds > 0 ? (steps * 1000) / milliseconds : null;
    const speed = rate === null ? "" : `${rate.toFixed(rate < 10 ? 1 : 0)} ${unit}/s`;
    const remaining = secondsLeft?.() ?? (rate === null ? null : (total - done) / rate);
    const left = remaining !== null && done < total ? `${duration(remaining)} left` : "";
    const facts = [`${done}/${total}`, speed, left, ...Object.entries(shown).map(([key, value]) => `${key} ${short(value)}`)];
    const line = facts.filter((fact) => fact !== "").join("  ");
    if (screen.live) {
      // Ten times a second is as much as an eye can use.
      if (done < total && now - drawn < 100) return;
      drawn = now;
      const width = screen.width < 80 ? 8 : 20;
      const full = Math.round((Math.min(done, total) / Math.max(1, total)) * width);
      screen.status(`  ${name} ${"━".repeat(full)}${"╌".repeat(width - full)} ${line}`);
    } else if (done >= total || now - said >= every * 1000) {
      said = now;
      screen.say(`  ${name} ${line}`);
    }
  };
}
