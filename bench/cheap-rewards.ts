import { z } from "zod";
import { reward } from "../src/rewards/index.ts";

// Rewards that cost next to nothing, so that what is measured is everything around them.
export const correct = reward("correct", { columns: z.object({ reference: z.coerce.string() }) }, ({ text, reference }) =>
  text.endsWith(`${reference}.`),
);
export const place = reward.group("place", (answers) => answers.map((_, i) => i));
