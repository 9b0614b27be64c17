/** Runs in a worker: the symbolic library, loaded once, and one pair at a time. */
import type { Expression } from "@cortex-js/compute-engine";
import { answerJobs } from "../../../data/peer.ts";

/** A pair of LaTeX expressions. */
export interface SymbolicJob {
  readonly answer: string;
  readonly reference: string;
}
/** `null`: neither equality nor difference was shown. */
export type SymbolicResult = boolean | null;

let work: ((job: SymbolicJob) => SymbolicResult) | null = null;

answerJobs<SymbolicJob, SymbolicResult>(
  (job) => work!(job),
  async () => {
    const { ComputeEngine } = await import("@cortex-js/compute-engine");
    const engine = new ComputeEngine();
    work = ({ answer, reference }) => {
      const [a, b] = [engine.parse(answer), engine.parse(reference)];
      if (!a.isValid || !b.isValid) return null;
      return same(a, b);
    };
  },
);

/** No single question to the library is enough: each of these finds equalities that the others miss. */
function same(a: Expression, b: Expression): SymbolicResult {
  const equal = a.isEqual(b);
  if (equal === true || a.simplify().isSame(b.simplify()) || a.evaluate().isSame(b.evaluate())) return true;
  return equal ?? null;
}
