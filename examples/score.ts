import { coverage, gate, reward, score, sum } from "guerdon";
import { z } from "zod";

const brief = reward("brief", ({ text }) => text.length < 60);
const polite = reward("polite", ({ text }) => !text.includes("!"));
const correct = reward("correct", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) =>
  text.includes(`= ${reference}`),
);
const quality = gate(polite, sum({ correct, brief }, { weights: { brief: 0.1 } }));

const scores = await score(quality, [
  { prompt: "What is 6 x 7?", completion: "6 x 7 = 42", reference: "42" },
  { prompt: "What is 6 x 8?", completion: "6 x 8 = 49!", reference: "48" },
]);
console.log(scores[0].value, scores[0].parts); // 1.1 { polite: 1, correct: 1, brief: 1 }
console.log(coverage(scores).text); // scored 2 of 2
