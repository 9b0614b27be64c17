/** Runs scripts of Yosys on files in memory, in a process that can be killed. */
import { answerJobs } from "../../../data/peer.ts";

export interface YosysJob {
  readonly script: string;
  readonly files: Readonly<Record<string, string>>;
  /** The file that it should make. */
  readonly keep?: string;
}
export interface YosysResult {
  readonly failed: boolean;
  readonly log: string;
  readonly made?: string;
}

type Yosys = typeof import("@yowasp/yosys");
let library: Yosys | undefined;

answerJobs(
  async ({ script, files, keep }: YosysJob): Promise<YosysResult> => {
    let log = "";
    const decoder = new TextDecoder();
    const hear = (bytes: Uint8Array | null): void => {
      // The end says how it went.
      if (bytes) log = (log + decoder.decode(bytes, { stream: true })).slice(-20_000);
    };
    try {
      const made = await library!.runYosys(["-p", script], { ...files }, { stdout: hear, stderr: hear });
      const file = keep === undefined ? undefined : made?.[keep];
      const text = file instanceof Uint8Array ? new TextDecoder().decode(file) : file;
      return { failed: false, log, ...(typeof text === "string" ? { made: text } : {}) };
    } catch (cause) {
      if (cause instanceof library!.Exit) return { failed: true, log };
      throw cause;
    }
  },
  async () => {
    library = await import("@yowasp/yosys");
  },
);
