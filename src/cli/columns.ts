import type { ColumnMapping } from "../data/recognise.ts";
import { GuerdonError } from "../error.ts";
import { didYouMean } from "./suggest.ts";

const roles = ["prompt", "completion", "reference", "chosen", "rejected", "messages", "text", "label", "labels", "completions", "steps"];

/** "reference=solution,prompt=question" as a mapping. */
export function columnsFrom(text: string | undefined): ColumnMapping {
  if (text === undefined) return {};
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const [role = "", source = ""] = pair.split("=").map((word) => word.trim());
      if (source === "") throw new GuerdonError("usage", `--columns ${text}: write name=column, for instance reference=solution`);
      if (!roles.includes(role))
        throw new GuerdonError("usage", `--columns ${pair}: "${role}" is none of ${roles.join(", ")}.${didYouMean(role, roles)}`);
      return [role, source];
    }),
  );
}
