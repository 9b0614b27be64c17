/** One token for each whole number 0..99, then the end token and the marks: the vocabulary of the built-in tasks, 110 tokens. */
export const numberSymbols: readonly string[] = [
  ...Array.from({ length: 100 }, (_, number) => String(number)),
  ..."<eos> = , : ( ) + - * /".split(" "),
];
