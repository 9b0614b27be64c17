/** Texts of tokens that end an answer. */
export type EndTokens = readonly string[];

/** End and padding tokens of common model families, as they are decoded. */
export const commonEndTokens: EndTokens = [
  "<|im_end|>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|end|>",
  "<|return|>",
  "<|EOT|>",
  "<|END_OF_TURN_TOKEN|>",
  "<|finetune_right_pad_id|>",
  "<｜end▁of▁sentence｜>",
  "<end_of_turn>",
  "<eos>",
  "</s>",
  "<pad>",
  "<|pad|>",
];

/** Begin tokens, which a tokenizer may put before a prompt that was given without. */
const beginTokens = ["<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>", "<｜begin▁of▁sentence｜>", "<|endoftext|>"];

/** An answer without the end tokens, and the white space between them, after it. */
export function withoutEnd(text: string, endTokens: EndTokens): string {
  for (let rest = text; ;) {
    const bare = rest.trimEnd();
    const token = endTokens.find((one) => one !== "" && bare.endsWith(one));
    if (token === undefined) return rest;
    rest = bare.slice(0, -token.length);
  }
}

/** The answer in a text that begins with the prompt; null when it does not. */
export function split(text: string, prompt: string, endTokens: EndTokens): string | null {
  if (text.startsWith(prompt)) return withoutEnd(text.slice(prompt.length), endTokens);
  const begin = beginTokens.find((token) => text.startsWith(token + prompt));
  return begin === undefined ? null : withoutEnd(text.slice(begin.length + prompt.length), endTokens);
}

/** How chat templates begin an assistant's turn. */
const assistantTurns = [
  /<\|im_start\|>assistant\n/g,
  /<\|start_header_id\|>assistant<\|end_header_id\|>\n\n/g,
  /<start_of_turn>model\n/g,
  /<\|start\|>assistant[^<]*(?:<\|channel\|>final)?<\|message\|>/g,
  /<\|assistant\|>\n?/g,
  /<｜Assistant｜>/g,
  /\[\/INST\] ?/g,
];

/** A rendered conversation, cut before the last assistant's turn; a text without one is all answer. */
export function lastTurn(text: string, endTokens: EndTokens): { readonly prompt: string; readonly completion: string } {
  let at = 0;
  for (const turn of assistantTurns) for (const match of text.matchAll(turn)) at = Math.max(at, match.index + match[0].length);
  return { prompt: text.slice(0, at), completion: withoutEnd(text.slice(at), endTokens) };
}
