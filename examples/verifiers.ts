// Verifiers: a maths answer, tags, and a program that runs in a sandbox (npm install quickjs-emscripten).
import { coverage, gate, route, score, sum } from "guerdon";
import { closeSandboxes, codeTests, mathAnswer, softOverlong, thinkTags } from "guerdon/rewards";

const maths = sum({ correct: mathAnswer(), brief: softOverlong({ limit: 200, buffer: 50, unit: "words" }) }, { weights: { brief: 0.1 } });
const program = codeTests({ language: "javascript", credit: "share", timeoutMs: 500 });
const quality = route("kind", { maths: gate(thinkTags(), maths), program });

const common = { prompt: "", reference: "3/2", tests: ["assert(double(2) === 4)", { call: "double", args: [-1], returns: -2 }] };
const scores = await score(quality, [
  { ...common, kind: "maths", completion: "<think>3 halves</think> It is \\boxed{1.5}." },
  { ...common, kind: "maths", completion: "<think>3 halves</think> It is \\boxed{2}." },
  { ...common, kind: "program", completion: "```js\nconst double = (x) => Math.abs(x) * 2;\n```" },
  { ...common, kind: "program", completion: "```js\nfunction double(x) { while (true); }\n```" },
  { ...common, reference: "", kind: "maths", completion: "<think>?</think> \\boxed{2}" },
]);
for (const { value, note, error } of scores) console.log(value, error?.message ?? note);
console.log(coverage(scores).text);
await closeSandboxes();
