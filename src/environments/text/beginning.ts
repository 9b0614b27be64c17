import { GuerdonError } from "../../error.ts";
import type { TextEnvironment, TextTask } from "../environment.ts";

/**
 * The beginning of an answer: its first words (runs without whitespace, with what follows them), so many that they make up a share of all,
 * rounded, but never all. Empty for none.
 */
export function beginning(answer: string, share: number): string {
  const words = answer.trim().match(/\S+\s*/g) ?? [];
  return words.slice(0, Math.max(0, Math.min(words.length - 1, Math.round(share * words.length)))).join("");
}

/**
 * What an environment can do with written solutions: show them, and give their beginnings away. A hint is added to the prompt (of messages:
 * to the last one of the user); the answer is graded as without it, so it may go on from there or begin anew.
 */
export function fromSolutions(solutionOf: (task: TextTask) => string): Required<Pick<TextEnvironment, "demonstrate" | "hint">> {
  return {
    demonstrate: solutionOf,
    hint(task, share) {
      const given = beginning(solutionOf(task), share).trimEnd();
      if (given === "") return task;
      const hinted = (text: string): string => `${text}\n\nA solution begins like this:\n${given}`;
      const { prompt } = task;
      if (typeof prompt === "string") return { ...task, prompt: hinted(prompt) };
      const last = prompt.findLastIndex(({ role }) => role === "user");
      if (last < 0) throw new GuerdonError("input", `The task "${task.id}" has no message of the user to add a hint to.`);
      return { ...task, prompt: prompt.map((message, i) => (i === last ? { ...message, content: hinted(message.content) } : message)) };
    },
  };
}
