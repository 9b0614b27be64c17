import { GuerdonError } from "../../../error.ts";
import { unscorable, type Score } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { columns, type Check } from "../columns.ts";

/**
 * Languages by the script that they are written in and, where several share one, their most frequent small words. Letters that only one of
 * them has count as words.
 */
const languages: Readonly<Record<string, { readonly script: string; readonly words?: string; readonly letters?: string }>> = {
  en: {
    script: "Latin",
    words:
      "the and of to is that it was for with as are this be on not have you by at from but they which or we were an their has would there what will so if can who been all more when about",
  },
  de: {
    script: "Latin",
    words:
      "der die das und ist nicht ein eine zu den mit von auf für im sich dem es auch als an wird aus sie er ich wir dass nach bei einen sind oder wie über zum war haben einem noch",
    letters: "ß",
  },
  fr: {
    script: "Latin",
    words:
      "le la les et est des une un du que dans pour qui sur pas au par avec ce il elle sont plus ne se nous vous mais ou aux cette ont leur être aussi fait comme",
    letters: "œ",
  },
  es: {
    script: "Latin",
    words:
      "el la los las y es de que en un una por con para del se no lo como más su al pero son sus este está también muy ha cuando hay sobre todo entre fue",
    letters: "ñ¿¡",
  },
  pt: {
    script: "Latin",
    words:
      "o os as e é de que em um uma por com para do da dos das no na não se mais como ao mas são seu sua foi muito também está ele ela isso você pelo",
    letters: "ãõ",
  },
  it: {
    script: "Latin",
    words:
      "il lo gli e è di che in un una per con del della dei delle non si sono come anche più ma al dal nel alla questo questa ha ho suo loro essere molto perché cosa",
    letters: "",
  },
  nl: {
    script: "Latin",
    words:
      "de het een en van is dat in op te niet zijn voor met aan er ook die als maar om bij naar wordt deze dit hij zij wij heeft hebben kan nog door over uit tot",
  },
  pl: {
    script: "Latin",
    words: "i w na nie jest się że z do to jak co ale o po za od tak dla przez być są był może tylko czy już jego które który także",
    letters: "ąęłśźż",
  },
  fi: {
    script: "Latin",
    words: "ja on ei se että oli hän mutta ovat kuin myös joka tai niin mitä kun voi sen ole tämä olen minä sinä he jos vain kanssa hyvin",
  },
  sv: {
    script: "Latin",
    words: "och det är att en som på för med inte av till den har de ett om jag var men så vi från kan han hon när eller också ska",
  },
  tr: {
    script: "Latin",
    words: "ve bir bu için ile da de çok daha olarak olan ne gibi ben sen var yok ama kadar en değil her sonra o mi ya",
    letters: "ığş",
  },
  vi: {
    script: "Latin",
    words: "và của là có không được cho một những các với trong người này đã khi để từ như cũng rất tôi bạn",
    letters: "đơưạảấầậắệịọộớợụứừựỳ",
  },
  id: {
    script: "Latin",
    words: "yang dan di ini itu dengan untuk tidak dari dalam akan pada juga saya ke karena ada adalah oleh sudah atau mereka bisa kita",
  },
  sw: { script: "Latin", words: "na ya wa kwa ni katika za la hii kuwa huu hiyo yake kama au lakini sana watu pia hivyo kila mtu cha vya" },
  ru: {
    script: "Cyrillic",
    words: "и в не на что с как это по но он она они все для из у так его же вы мы от бы за был есть",
    letters: "ыэё",
  },
  uk: {
    script: "Cyrillic",
    words: "і в не на що з як це та до але він вона вони для із у так його ви ми від за був є також",
    letters: "іїєґ",
  },
  bg: {
    script: "Cyrillic",
    words: "и в не на че с как това по но той тя те за от да се са е ще съм има като или ние вие беше",
    letters: "",
  },
  ar: { script: "Arabic", words: "في من على إلى أن هذا هذه التي الذي كان لا ما مع عن هو هي أو كما قد", letters: "ةىأإ" },
  fa: { script: "Arabic", words: "و در به از که این را با است برای آن یک می ها هم تا بر خود شده ما", letters: "پچژ" },
  ur: { script: "Arabic", words: "کے میں کی ہے اور سے کا کو پر یہ نے ہیں کہ بھی تھا وہ ایک نہیں", letters: "ٹڈڑںےھہ" },
  hi: { script: "Devanagari", words: "है के में की और से का को पर यह ने हैं कि भी था वह एक नहीं हो लिए" },
  mr: { script: "Devanagari", words: "आहे आणि च्या मध्ये या ते हे तर की नाही होते आहेत त्या एक साठी करून", letters: "ळ" },
  ne: { script: "Devanagari", words: "छ र को मा हो यो पनि छन् भएको लागि गर्न एक थियो गरेको त्यो हुन्छ" },
  ja: { script: "Japanese" },
  zh: { script: "Han" },
  ko: { script: "Hangul" },
  th: { script: "Thai" },
  he: { script: "Hebrew" },
  el: { script: "Greek" },
  bn: { script: "Bengali" },
  ta: { script: "Tamil" },
  te: { script: "Telugu" },
  kn: { script: "Kannada" },
  ml: { script: "Malayalam" },
  gu: { script: "Gujarati" },
  pa: { script: "Gurmukhi" },
};

/** The languages that can be told, by their ISO 639-1 codes. */
export const knownLanguages: readonly string[] = Object.keys(languages);

const scripts =
  "Latin Cyrillic Arabic Devanagari Hiragana Katakana Han Hangul Thai Hebrew Greek Bengali Tamil Telugu Kannada Malayalam Gujarati Gurmukhi".split(
    " ",
  );
const letterOf = new Map(scripts.map((script) => [script, new RegExp(`\\p{Script=${script}}`, "gu")]));
const wordsOf = new Map(Object.entries(languages).map(([code, { words = "" }]) => [code, new Set(words.split(" "))]));

/** The script of most letters, "Japanese" for Han with kana; null without letters, or where no script has 60 % of them. */
export function scriptOf(text: string): string | null {
  const counts = new Map(scripts.map((script) => [script, text.match(letterOf.get(script)!)?.length ?? 0]));
  const kana = counts.get("Hiragana")! + counts.get("Katakana")!;
  const japanese = kana + counts.get("Han")!;
  const total = text.match(/\p{L}/gu)?.length ?? 0;
  if (total === 0) return null;
  if (kana > 0 && kana >= 0.05 * japanese && japanese >= 0.6 * total) return "Japanese";
  const [script, count] = [...counts].reduce((best, one) => (one[1] > best[1] ? one : best));
  return count >= 0.6 * total && script !== "Hiragana" && script !== "Katakana" ? script : null;
}

/**
 * The language of a text, by its script and, where several languages share it, by their most frequent small words and own letters. Null
 * where that does not decide: too few small words, a mixture, or two languages alike. This tells languages apart in paragraphs, not in
 * names, short phrases or code, and a language that is not in `knownLanguages` may be taken for a neighbour of the same script.
 */
export function languageOf(text: string): string | null {
  const script = scriptOf(text);
  if (script === null) return null;
  const candidates = Object.entries(languages).filter(([, language]) => language.script === script);
  if (candidates.length === 1) return candidates[0]![0];
  const lower = text.toLowerCase();
  const words = lower.match(/[\p{L}\p{M}]+/gu) ?? [];
  const points = candidates
    .map(([code, { letters = "" }]) => {
      const small = words.filter((word) => wordsOf.get(code)!.has(word)).length;
      const own = letters === "" ? 0 : Array.from(lower).filter((sign) => letters.includes(sign)).length;
      return { code, points: small + Math.min(own, words.length / 4) };
    })
    .sort((a, b) => b.points - a.points);
  const [first, second] = points;
  return first!.points >= 2 && first!.points >= 0.05 * words.length && first!.points >= 1.3 * second!.points ? first!.code : null;
}

/**
 * Whether a text is in a language: false when its script or its small words say that it is another, null where they do not decide.
 *
 * @param code one of `knownLanguages`
 * @throws GuerdonError "input" for a language that is not known here
 */
export function isInLanguage(text: string, code: string): boolean | null {
  const wanted = languages[code];
  if (wanted === undefined || !Object.hasOwn(languages, code))
    throw new GuerdonError("input", `The language "${code}" cannot be told; known are ${knownLanguages.join(", ")}.`);
  const script = scriptOf(text);
  if (script === null) return null;
  // Japanese without kana looks like Chinese.
  if (script === "Han" && code === "ja") return null;
  if (script !== wanted.script) return false;
  const found = languageOf(text);
  return found === null ? null : found === code;
}

const language: Check<string> = (cell) =>
  typeof cell === "string" && knownLanguages.includes(cell) ? { value: cell } : `must be one of ${knownLanguages.join(", ")}`;

/**
 * 1 when an answer is in the language of the column `language` (an ISO 639-1 code), 0 when it is in another, unscorable where that cannot be
 * told (see `languageOf`): for short answers that is often.
 */
export function languageMatch({ name = "language" }: { readonly name?: string } = {}): Reward<{ readonly language: string }> {
  type Needs = { readonly language: string };
  return reward(name, { columns: columns<Needs, Needs>({ language }) }, (answer): Score => {
    const verdict = isInLanguage(answer.text, answer.language);
    if (verdict === null)
      return unscorable("declined", `Script and small words do not tell whether the answer is in "${answer.language}".`);
    return { value: verdict ? 1 : 0 };
  });
}
