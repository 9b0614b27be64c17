/**
 * The thread that computes for the server, so that requests are answered while it does. It takes one job after the other.
 */
import { arraysDevice, upload } from "../../arrays/index.ts";
import { listen } from "../../data/peer.ts";
import { isOutOfMemory } from "../../engines/memory.ts";
import { oneAtATime } from "../../engines/readers.ts";
import { GuerdonError } from "../../error.ts";
import { computer } from "./computer.ts";
import type { FromComputer, ToComputer } from "./wire.ts";

/** What is wrong with the request, and not with the server. */
const theirs = new Set(["usage", "input", "unsupported", "non-finite"]);

const computing = computer();
const inTurn = oneAtATime();

const post: (message: FromComputer) => void = listen((message) => {
  const { id, name, job } = message as ToComputer;
  const work = computing[name] as (given: typeof job) => Promise<unknown>;
  void inTurn(() => work(job)).then(
    (result) => post({ id, result }),
    async (cause: unknown) => {
      const user = cause instanceof GuerdonError && theirs.has(cause.code);
      // Not caught: this thread ends, and the server takes a new one.
      if (!user && (await isBroken(cause))) throw cause;
      post({ id, error: { message: cause instanceof Error ? cause.message : String(cause), user, full: isOutOfMemory(cause) } });
    },
  );
});

/** Whether numbers computed from now on may be wrong: after a trap, or when a thread of the array library itself is lost. */
async function isBroken(cause: unknown): Promise<boolean> {
  if (cause instanceof WebAssembly.RuntimeError) return true;
  if (arraysDevice() === null) return false;
  const probe = upload({ shape: [1], data: new Float32Array(1) });
  const reads = await probe.read().then(
    () => true,
    () => false,
  );
  probe.dispose();
  return !reads;
}
