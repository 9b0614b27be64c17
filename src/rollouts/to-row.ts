import type { Message, Row } from "../data/row.ts";
import { GuerdonError } from "../error.ts";
import type { Rollout } from "./rollout.ts";

/**
 * A rollout as rewards see it: `prompt`, `completion` (the conversation since the prompt, where there were several turns), `reference`,
 * `group` (answers of one group are compared with each other), `weightsVersion` (of the policy that answered), and the task's tags and
 * columns. `task` is the task's id, unless the data has a column of that name; the data's own `completion`, `group` and `weightsVersion`
 * are not seen.
 *
 * @throws GuerdonError "input" when the task's prompt is not text
 */
export function toRow(rollout: Rollout<unknown>): Row {
  const { task, completion, turns, group } = rollout;
  return {
    task: task.id,
    ...task.columns,
    ...task.tags,
    prompt: textPrompt(task.prompt, task.id),
    ...(turns ? { completion: turns } : completion === undefined ? {} : { completion }),
    ...(task.reference === undefined ? {} : { reference: task.reference }),
    group,
    weightsVersion: rollout.weightsVersion,
  };
}

function textPrompt(prompt: unknown, id: string): string | readonly Message[] {
  if (typeof prompt === "string" || Array.isArray(prompt)) return prompt;
  throw new GuerdonError(
    "input",
    `The prompt of task "${id}" is not text, so a reward of rows cannot score it. Score these rollouts by their rows of states and actions.`,
  );
}
