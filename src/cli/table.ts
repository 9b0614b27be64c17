import Table from "cli-table3";

/** A plain table: a line under the heads, columns set apart by blanks, numbers to the right. */
export function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const numeric = heads.map((_, i) => rows.length > 0 && rows.every((row) => /^[-+]?[\d.]|^-$/.test(String(row[i] ?? "-"))));
  const none = "";
  const out = new Table({
    head: [...heads],
    colAligns: numeric.map((isNumber) => (isNumber ? "right" : "left")),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 2 },
    chars: {
      top: none,
      "top-mid": none,
      "top-left": none,
      "top-right": none,
      bottom: none,
      "bottom-mid": none,
      "bottom-left": none,
      "bottom-right": none,
      left: none,
      "left-mid": none,
      right: none,
      "right-mid": none,
      middle: none,
      mid: none,
      "mid-mid": none,
    },
  });
  for (const row of rows) out.push(row.map(String));
  const lines = out
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line !== "");
  const rule = "─".repeat(Math.max(...lines.map((line) => line.length)));
  return [lines[0], rule, ...lines.slice(1)].join("\n");
}
