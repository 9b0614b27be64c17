/** A curve: [x, y] in ascending x. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface PlotOptions {
  /** Columns and rows of the plotting area, in characters. */
  readonly width: number;
  readonly height: number;
  /** A level to compare with, drawn as a dotted line with its name. */
  readonly level?: { readonly value: number; readonly name: string };
  /** Lowest and highest y; by default those of the data. */
  readonly range?: readonly [number, number];
}

const marks = ["●", "○", "■", "□", "▲", "△", "◆", "◇"];
/** Bits of a braille character, by column and row of its 2 x 4 dots. */
const dots = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
];

/** Means of the points in each of n equal stretches of [from, to]; null where there are none. */
function binned(points: Series["points"], from: number, to: number, n: number): (number | null)[] {
  const sum = new Float64Array(n);
  const count = new Float64Array(n);
  for (const [x, y] of points) {
    const i = to === from ? 0 : Math.min(n - 1, Math.floor(((x - from) / (to - from)) * n));
    sum[i]! += y;
    count[i]! += 1;
  }
  return Array.from(sum, (total, i) => (count[i]! > 0 ? total / count[i]! : null));
}

/** Gaps between neighbours are filled along a line, so that few points still make a curve. */
function filled(values: readonly (number | null)[]): (number | null)[] {
  const out = [...values];
  let last = -1;
  for (let i = 0; i < out.length; i++) {
    if (out[i] === null) continue;
    for (let j = last + 1; last >= 0 && j < i; j++) out[j] = out[last]! + ((out[i]! - out[last]!) * (j - last)) / (i - last);
    last = i;
  }
  return out;
}

/** Curves as lines of text: one curve in braille dots, several with a mark each and a legend. Nothing to plot gives no lines. */
export function plot(series: readonly Series[], { width, height, level, range }: PlotOptions): string[] {
  const drawn = series.filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return [];
  const all = drawn.flatMap(({ points }) => points);
  const [from, to] = [Math.min(...drawn.map(({ points }) => points[0]![0])), Math.max(...drawn.map(({ points }) => points.at(-1)![0]))];
  let [low, high] = range ?? all.reduce<[number, number]>(([l, h], [, y]) => [Math.min(l, y), Math.max(h, y)], [Infinity, -Infinity]);
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const rowOf = (y: number, rows: number) => Math.max(0, Math.min(rows - 1, Math.floor(((high - y) / (high - low)) * rows)));
  const cells = Array.from({ length: height }, () => Array.from({ length: width }, () => " "));
  const levelRow = level === undefined ? -1 : rowOf(level.value, height);
  if (levelRow >= 0) cells[levelRow]!.fill("┈");

  if (drawn.length === 1) {
    const bits = Array.from({ length: height }, () => new Uint8Array(width));
    const values = filled(binned(drawn[0]!.points, from, to, width * 2));
    let before: number | null = null;
    values.forEach((y, x) => {
      const row: number | null = y === null ? null : rowOf(y, height * 4);
      if (row !== null)
        for (let r = Math.min(row, before ?? row); r <= Math.max(row, before ?? row); r++) bits[r >> 2]![x >> 1]! |= dots[x & 1]![r & 3]!;
      before = row;
    });
    bits.forEach((line, r) => line.forEach((b, c) => b > 0 && (cells[r]![c] = String.fromCharCode(0x2800 + b))));
  } else {
    drawn.forEach(({ points }, i) =>
      filled(binned(points, from, to, width)).forEach((y, x) => y !== null && (cells[rowOf(y, height)]![x] = marks[i % marks.length]!)),
    );
  }

  const label = (y: number) => y.toFixed(high - low < 0.1 ? 4 : high - low < 20 ? 2 : 0);
  const labels = cells.map((_, r) => (r === 0 ? label(high) : r === height - 1 ? label(low) : r === levelRow ? label(level!.value) : ""));
  const gutter = Math.max(...labels.map((text) => text.length));
  const end = String(to);
  return [
    ...cells.map(
      (line, r) =>
        `${labels[r]!.padStart(gutter)} ${labels[r] === "" ? "│" : "┤"}${line.join("")}${r === levelRow ? ` ${level!.name}` : ""}`,
    ),
    `${" ".repeat(gutter)} └${"─".repeat(width)}`,
    `${" ".repeat(gutter + 2)}${String(from).padEnd(Math.max(1, width - end.length))}${end}`,
    ...(drawn.length > 1 ? drawn.map(({ name }, i) => `${" ".repeat(gutter + 2)}${marks[i % marks.length]} ${name}`) : []),
  ];
}
