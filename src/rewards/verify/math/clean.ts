/** Characters that have a LaTeX or ASCII spelling; everything after this step knows one spelling only. */
const spellings: Readonly<Record<string, string>> = {
  "−": "-",
  "–": "-",
  "—": "-",
  "‐": "-",
  "‑": "-",
  "﹣": "-",
  "－": "-",
  "＋": "+",
  "×": "\\times ",
  "✕": "\\times ",
  "÷": "\\div ",
  "·": "\\cdot ",
  "⋅": "\\cdot ",
  "∙": "\\cdot ",
  "∗": "*",
  "⁄": "/",
  "∕": "/",
  π: "\\pi ",
  "∞": "\\infty ",
  "√": "\\sqrt ",
  "∛": "\\sqrt[3]",
  "≤": "\\le ",
  "≥": "\\ge ",
  "⩽": "\\le ",
  "⩾": "\\ge ",
  "≦": "\\le ",
  "≧": "\\ge ",
  "≠": "\\ne ",
  "≈": "\\approx ",
  "≡": "\\equiv ",
  "∈": "\\in ",
  "∪": "\\cup ",
  "∩": "\\cap ",
  "∅": "\\emptyset ",
  Ø: "\\emptyset ",
  "±": "\\pm ",
  "∓": "\\mp ",
  "°": "^\\circ ",
  º: "^\\circ ",
  "′": "'",
  "’": "'",
  "‘": "'",
  "“": '"',
  "”": '"',
  "，": ",",
  "；": ";",
  "：": ":",
  "（": "(",
  "）": ")",
  "［": "[",
  "］": "]",
  "｛": "{",
  "｝": "}",
  "＝": "=",
  "＜": "<",
  "＞": ">",
  "％": "\\%",
  "﹪": "\\%",
  ℝ: "\\mathbb{R}",
  ℤ: "\\mathbb{Z}",
  ℕ: "\\mathbb{N}",
  ℚ: "\\mathbb{Q}",
  ℂ: "\\mathbb{C}",
  "⟨": "\\langle ",
  "⟩": "\\rangle ",
  "〈": "\\langle ",
  "〉": "\\rangle ",
  "⌊": "\\lfloor ",
  "⌋": "\\rfloor ",
  "⌈": "\\lceil ",
  "⌉": "\\rceil ",
  "∖": "\\setminus ",
  "∧": "\\land ",
  "∨": "\\lor ",
  "∑": "\\sum ",
  "∏": "\\prod ",
  "∫": "\\int ",
  "∠": "\\angle ",
  "…": "\\ldots ",
  "⋯": "\\ldots ",
  "∣": "|",
  "‖": "\\|",
  "→": "\\to ",
  "⇒": "\\Rightarrow ",
  "½": "\\frac12 ",
  "⅓": "\\frac13 ",
  "⅔": "\\frac23 ",
  "¼": "\\frac14 ",
  "¾": "\\frac34 ",
  "⅕": "\\frac15 ",
  "⅖": "\\frac25 ",
  "⅗": "\\frac35 ",
  "⅘": "\\frac45 ",
  "⅙": "\\frac16 ",
  "⅚": "\\frac56 ",
  "⅛": "\\frac18 ",
  "⅜": "\\frac38 ",
  "⅝": "\\frac58 ",
  "⅞": "\\frac78 ",
  "⅑": "\\frac19 ",
  "\u00a0": " ",
  "\u2009": " ",
  "\u200a": " ",
  "\u202f": " ",
  "\u2002": " ",
  "\u2003": " ",
  "\u3000": " ",
  "\u200b": "",
  "\u2061": "",
  "\u2062": "",
  "\ufeff": "",
};
const greek =
  "αalpha βbeta γgamma δdelta εepsilon ζzeta ηeta θtheta ικappa κkappa λlambda μmu νnu ξxi ρrho σsigma τtau φphi ϕphi χchi ψpsi ωomega ΓGamma ΔDelta ΘTheta ΛLambda ΣSigma ΦPhi ΨPsi ΩOmega";
const greekNames = new Map(greek.split(" ").map((pair) => [pair[0]!, `\\${pair.slice(1)} `]));
const superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ";
const subscripts = "₀₁₂₃₄₅₆₇₈₉";

/** Commands that only change the look. */
const looks =
  /\\(?:left|right|middle|[bB]igg?[lr]?|displaystyle|textstyle|scriptstyle|scriptscriptstyle|limits|nolimits|mathstrut|strut|hfill|centering|newline|nonumber|rm|bf|it|tt|sf|cal|Large|large|small|huge)(?![a-zA-Z])\.?/g;
const spaces =
  /(?<!\\)\\(?:quad|qquad|enspace|enskip|thinspace|medspace|thickspace|negthinspace|hspace\*?\{[^{}]*\}|phantom\{[^{}]*\}|vphantom\{[^{}]*\}|hphantom\{[^{}]*\}|[,;:> ])|~/g;

/**
 * One spelling for what looks the same: LaTeX's spacing and sizing commands, maths delimiters, Unicode signs, superscripts and fractions.
 * Linear in the length of the text.
 */
export function clean(source: string): string {
  let text = source;
  if (/[^\x20-\x7e]/.test(text)) text = ascii(text);
  // Escaped once too often, as in files that went through JSON twice.
  if (/\\\\[a-zA-Z{}(]/.test(text) && !text.includes("\\begin")) text = text.replace(/\\\\(?=[a-zA-Z{}()[\]])/g, "\\");
  text = text.replace(/\\[a-zA-Z]*frac(?![a-zA-Z])/g, "\\frac").replace(/\\[dt]binom(?![a-zA-Z])/g, "\\binom");
  // A dollar that is money, not a delimiter of maths, keeps its backslash.
  text = delimiters(text);
  if (text.includes("\\") || text.includes("~")) {
    text = text
      .replace(/\\right\s*\.|\\left\s*\./g, " ")
      .replace(looks, " ")
      .replace(/,\s*\\!\s*(?=\d)/g, "{,}")
      .replace(/\\!/g, "")
      .replace(spaces, " ");
    text = text.replace(/(\d)\s*\{\s*,\s*\}\s*(?=\d)/g, "$1{,}");
  } else text = text.replace(/(\d)\s*\{\s*,\s*\}\s*(?=\d)/g, "$1{,}");
  return text.replace(/(?<=[\d)\]])(and|or)(?=[A-Z(\d\\[])/g, " $1 ").trim();
}

function ascii(text: string): string {
  let out = "";
  let script = "";
  for (const character of text) {
    const raised = superscripts.indexOf(character);
    const lowered = subscripts.indexOf(character);
    const kind = raised >= 0 ? "^" : lowered >= 0 ? "_" : "";
    if (script !== kind) {
      if (script !== "") out += "}";
      if (kind !== "") out += `${kind}{`;
      script = kind;
    }
    if (raised >= 0) out += "0123456789+-n"[raised]!;
    else if (lowered >= 0) out += String(lowered);
    else out += spellings[character] ?? greekNames.get(character) ?? plainForm(character);
  }
  return script === "" ? out : `${out}}`;
}

/** The digit zero of the scripts whose digits are read: Arabic, Persian, Devanagari, Bengali, full width, and the styles of mathematics. */
const zeros = [0x660, 0x6f0, 0x966, 0x9e6, 0xff10, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6];

/** Digits of other scripts as 0 to 9, and other characters of full width as the usual ones. */
function plainForm(character: string): string {
  const code = character.codePointAt(0)!;
  const zero = zeros.find((first) => code >= first && code < first + 10);
  if (zero !== undefined) return String(code - zero);
  return code > 0xff00 && code < 0xff5f ? String.fromCharCode(code - 0xfee0) : character;
}

/** Removes the signs that only say "here is maths". */
function delimiters(source: string): string {
  let text = source.replace(/\\\\\s*\[\d+(?:pt|em|ex|mm|cm)\]/g, "\\\\ ").replace(/(?<!\\)\\[()[\]]/g, " ");
  if (!text.includes("$")) return text;
  text = text.replace(/\$\$/g, " ");
  const bare = text.match(/(?<!\\)\$/g)?.length ?? 0;
  if (bare === 0) return text;
  if (bare % 2 === 0) {
    // An even number delimits, unless each stands before an amount: "$5 and $6".
    const amounts = text.match(/(?<!\\)\$(?=\s*[\d.])/g)?.length ?? 0;
    if (amounts < bare || /^\s*\$.*\$\W*$/s.test(text)) return text.replace(/(?<!\\)\$/g, " ");
  }
  return text.replace(/(?<!\\)\$/g, "\\$");
}

/** The content of the brace group that opens at `open`, and the index after it; null where it never closes. */
export function braced(text: string, open: number): { content: string; end: number } | null {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    const character = text[i];
    if (character === "\\") i++;
    else if (character === "{") depth++;
    else if (character === "}" && --depth === 0) return { content: text.slice(open + 1, i), end: i + 1 };
  }
  return null;
}

/** Words as they are compared: without markup, case, accents of layout and outer punctuation. */
export function plainWords(text: string): string {
  return text
    .replace(
      /\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|operatorname|mbox|emph|underline|boxed|fbox)\s*(?=\{)/g,
      "",
    )
    .replace(/\\[,;:! ]|[~${}*`"]/g, " ")
    .replace(/\\([%$&#_])/g, "$1")
    .toLowerCase()
    .replace(/\s+/g, " ")
    .replace(/^[\s.,;:!?()]+|[\s.,;:!?()]+$/g, "");
}
