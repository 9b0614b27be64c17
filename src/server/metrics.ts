/** Counters of a server in the text format that Prometheus reads (version 0.0.4). */
export interface Metrics {
  count(name: CounterName, labels: Labels, amount?: number): void;
  /** A request's duration. */
  observe(route: string, seconds: number): void;
  text(gauges: Readonly<Record<GaugeName, number>>): string;
}
type Labels = Readonly<Record<string, string | number>>;
type CounterName = keyof typeof counters;
type GaugeName = keyof typeof gauges;

const counters = {
  guerdon_requests_total: "Requests that were answered, by route and status.",
  guerdon_rows_total: "Rows that were asked for, by reward and outcome: scored, or the kind of error.",
  guerdon_score_sum: "Sum of the scores that were given; divided by the rows with the outcome scored it is their mean.",
  guerdon_lost_processes_total: "Processes of the reward that ended or had to be killed.",
  guerdon_reloads_total: "Reloads of the reward's file, by outcome.",
} as const;
const gauges = {
  guerdon_rows_waiting: "Rows that wait or are being scored.",
  guerdon_processes_ready: "Processes that can score.",
} as const;
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const escaped = (value: string | number): string => String(value).replaceAll(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`));
const labelled = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
};

export function metrics(): Metrics {
  const sums = new Map<CounterName, Map<string, number>>();
  const durations = new Map<string, { readonly counts: number[]; sum: number; count: number }>();
  return {
    count(name, labels, amount = 1) {
      const series = sums.get(name) ?? new Map<string, number>();
      sums.set(name, series);
      const key = labelled(labels);
      series.set(key, (series.get(key) ?? 0) + amount);
    },
    observe(route, seconds) {
      const one = durations.get(route) ?? { counts: bounds.map(() => 0), sum: 0, count: 0 };
      durations.set(route, one);
      const at = bounds.findIndex((bound) => seconds <= bound);
      if (at >= 0) one.counts[at]!++;
      one.sum += seconds;
      one.count++;
    },
    text(values) {
      const lines: string[] = [];
      const head = (name: string, help: string, type: string): void => void lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
      for (const [name, help] of Object.entries(counters) as [CounterName, string][]) {
        head(name, help, name === "guerdon_score_sum" ? "gauge" : "counter");
        for (const [labels, sum] of sums.get(name) ?? []) lines.push(`${name}${labels} ${sum}`);
      }
      for (const [name, help] of Object.entries(gauges) as [GaugeName, string][]) {
        head(name, help, "gauge");
        lines.push(`${name} ${values[name]}`);
      }
      head("guerdon_request_seconds", "Time from a request's arrival to its answer.", "histogram");
      for (const [route, { counts, sum, count }] of durations) {
        let below = 0;
        bounds.forEach((bound, i) =>
          lines.push(`guerdon_request_seconds_bucket${labelled({ route, le: bound })} ${(below += counts[i]!)}`),
        );
        lines.push(`guerdon_request_seconds_bucket${labelled({ route, le: "+Inf" })} ${count}`);
        lines.push(
          `guerdon_request_seconds_sum${labelled({ route })} ${sum}`,
          `guerdon_request_seconds_count${labelled({ route })} ${count}`,
        );
      }
      return `${lines.join("\n")}\n`;
    },
  };
}
