/** A cell of a query's result, as JSON. */
export type Cell = string | number | boolean | null;

export interface SameRowsOptions {
  /** Whether the order of the rows counts; false unless said. */
  readonly ordered?: boolean;
  /** Whether the columns may come in another order; true unless said. */
  readonly anyColumnOrder?: boolean;
}

/**
 * Whether two results of queries are alike: the same rows as often (a multiset; in the same order where that counts), under the same order
 * of columns or, unless forbidden, under one reordering of the columns that holds for all rows. Names of columns do not count. Numbers are
 * compared at ten significant digits, so that sums in another order are alike; a number and a text never are.
 *
 * @throws nothing; results with columns that are all alike are compared under at most 5,000 reorderings, then count as different
 */
export function sameRows(
  expected: readonly (readonly Cell[])[],
  got: readonly (readonly Cell[])[],
  options: SameRowsOptions = {},
): boolean {
  const { ordered = false, anyColumnOrder = true } = options;
  if (expected.length !== got.length) return false;
  const width = expected[0]?.length ?? 0;
  if ((got[0]?.length ?? 0) !== width) return false;
  const want = expected.map((row) => row.map(key));
  const have = got.map((row) => row.map(key));
  const rowsOf = (rows: readonly (readonly string[])[], order: readonly number[]): string[] => {
    const texts = rows.map((row) => order.map((column) => row[column]!).join("\u0000"));
    return ordered ? texts : texts.sort();
  };
  const straight = Array.from({ length: width }, (_, i) => i);
  const wanted = rowsOf(want, straight);
  const fits = (order: readonly number[]): boolean => {
    const found = rowsOf(have, order);
    return found.every((row, i) => row === wanted[i]);
  };
  if (fits(straight)) return true;
  if (!anyColumnOrder || width < 2) return false;
  // A column can only stand for one with the same cells.
  const signature = (rows: readonly (readonly string[])[], column: number): string => {
    const cells = rows.map((row) => row[column]!);
    return (ordered ? cells : cells.sort()).join("\u0000");
  };
  const mine = straight.map((column) => signature(want, column));
  const theirs = straight.map((column) => signature(have, column));
  // Where each has its like, no choice below leads to a dead end, and the tries bound the search.
  const likes = [...theirs].sort();
  if (![...mine].sort().every((one, i) => one === likes[i])) return false;
  let tries = 5000;
  const search = (order: number[]): boolean => {
    if (order.length === width) return tries-- > 0 && fits(order);
    return straight.some(
      (column) => tries > 0 && !order.includes(column) && theirs[column] === mine[order.length] && search([...order, column]),
    );
  };
  return search([]);
}

/** Equal texts for equal cells, and for no others. */
const key = (cell: Cell): string => {
  if (cell === null) return "null";
  // SQLite has no booleans, and a comparison there gives 1 or 0.
  if (typeof cell === "boolean") return cell ? "1" : "0";
  if (typeof cell === "number") return Number.isSafeInteger(cell) ? String(cell) : String(Number(cell.toPrecision(10)));
  return /^-?\d{16,}$/.test(cell) ? cell : JSON.stringify(cell);
};

/**
 * SQL cut into the parts that matter here: words, brackets, semicolons and quoted things, without comments. Unclosed quotes and comments
 * run to the end.
 */
function tokens(sql: string): string[] {
  const found = sql.matchAll(
    /--[^\n]*|\$(\w*)\$[\s\S]*?(?:\$\1\$|$)|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|`[^`]*(?:`|$)|\[[^\]]*(?:\]|$)|[A-Za-z_]\w*|[();]|\S/g,
  );
  return [...found].map(([token]) => token).filter((token) => !token.startsWith("--") && !token.startsWith("/*"));
}

/** The number of statements in a text of SQL, where only semicolons and comments after the last are none. */
export function statementCount(sql: string): number {
  let count = 0;
  let inside = false;
  for (const token of tokens(sql)) {
    if (token === ";") inside = false;
    else if (!inside) {
      inside = true;
      count++;
    }
  }
  return count;
}

/** Whether the query itself, not only a part of it in brackets, orders its rows. */
export function isOrdered(sql: string): boolean {
  let depth = 0;
  let last = "";
  for (const token of tokens(sql)) {
    if (token === "(") depth++;
    else if (token === ")") depth--;
    else if (depth === 0 && last === "ORDER" && token.toUpperCase() === "BY") return true;
    last = depth === 0 ? token.toUpperCase() : "";
  }
  return false;
}
