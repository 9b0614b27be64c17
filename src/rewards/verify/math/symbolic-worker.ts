/** Runs in a worker: the symbolic library, loaded once, and one pair at a time. */
import type { Expression } from "@cortex-js/compute-engine";
import { answerJobs } from "../../../data/peer.ts";

/** A pair of LaTeX expressions. */
export interface SymbolicJob {
  readonly answer: string;
  readonly reference: string;
}
/** `null`: neither equality nor difference was shown; "unreadable": the answer is no mathematics that the library knows, the reference is. */
export type SymbolicResult = boolean | null | "unreadable";

let work: ((job: SymbolicJob) => SymbolicResult) | null = null;

answerJobs<SymbolicJob, SymbolicResult>(
  (job) => work!(job),
  async () => {
    const { ComputeEngine } = await import("@cortex-js/compute-engine");
    // It reports to the console what it cannot do; the answer says so already.
    console.error = console.warn = console.log = () => undefined;
    const engine = new ComputeEngine();
    work = ({ answer, reference }) => {
      const [a, b] = [engine.parse(answer), engine.parse(reference)];
      if (!b.isValid) return null;
      if (!a.isValid) return "unreadable";
      return same(a, b);
    };
  },
);

/** No single question to the library is enough: each of these finds equalities that the others miss. */
function same(a: Expression, b: Expression): boolean | null {
  const equal = a.isEqual(b);
  if (equal === true || a.simplify().isSame(b.simplify()) || a.evaluate().isSame(b.evaluate())) return true;
  return equal ?? null;
}
