/**
 * The beginning of an answer: its first words (runs without whitespace), so many that they make up a share of all, rounded, but never all, with
 * a space after each.
 */
export function beginning(answer: string, share: number): string {
  const words = answer.trim().split(/\s+/);
  return words
    .slice(0, Math.min(words.length - 1, Math.round(share * words.length)))
    .map((word) => `${word} `)
    .join("");
}
