/**
 * The thread that computes for the server, so that requests are answered while it does. It takes one job after the other.
 */
import { listen } from "../../data/peer.ts";
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
    (cause: unknown) =>
      post({
        id,
        error: {
          message: cause instanceof Error ? cause.message : String(cause),
          user: cause instanceof GuerdonError && theirs.has(cause.code),
        },
      }),
  );
});
