/** System functions that only compute. */
const computing =
  /^(?:signed|unsigned|clog2|bits|countones|onehot|onehot0|isunknown|left|right|low|high|size|increment|dimensions|floor|ceil|pow|sqrt|ln|log10|exp|sin|cos|tan|asin|acos|atan|atan2|hypot|abs|min|max|itor|rtoi|realtobits|bitstoreal|time|stime|realtime)$/;
/** Compiler directives that read no files. */
const directives =
  /^(?:timescale|default_nettype|resetall|define|undef|ifdef|ifndef|else|elsif|endif|celldefine|endcelldefine|begin_keywords|end_keywords|line)$/;

/**
 * Why a design is refused before any tool sees it; null when it is not. Refused are includes, all system tasks and functions but those that
 * only compute (so also those that print or end a simulation: what is printed is the test bench's to say), names that are put together by
 * macros, and, in a test bench's company, escaped names and the bench's own names, by which a design could reach into the bench. Comments and
 * strings are not spared: telling them apart is the compiler's business, and this must not be fooled about it.
 */
export function refusal(design: string, forbidden: readonly string[] = []): string | null {
  if (design.includes("``")) return "macros that paste names together";
  for (const [, name = ""] of design.matchAll(/\$(\w*)/g)) if (!computing.test(name)) return `$${name.slice(0, 30)}`;
  const macros = new Set([...design.matchAll(/`define\s+(\w+)/g)].map(([, name]) => name));
  for (const [, name = ""] of design.matchAll(/`(\w*)/g)) if (!directives.test(name) && !macros.has(name)) return `\`${name.slice(0, 30)}`;
  if (/\bimport\s*"|\bbind\b|\bassume\b|\bcover\b|\bassert\b|\brestrict\b/.test(design)) return "imports, binds and formal statements";
  if (forbidden.length > 0 && /\\(?!\r?\n)/.test(design)) return "escaped names";
  const words = new Set(design.match(/[A-Za-z_][\w$]*/g));
  const reached = forbidden.find((name) => words.has(name));
  return reached === undefined ? null : `the name ${reached.slice(0, 30)}, which is the test bench's`;
}

/** The names of the modules that a text defines. */
export const moduleNames = (source: string): string[] =>
  [
    ...source
      .replaceAll(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, " ")
      .matchAll(/\b(?:macro)?module\s+(?:automatic\s+|static\s+)?([A-Za-z_][\w$]*)/g),
  ].map(([, name]) => name!);
