/**
 * How many times longer than alone this thread takes at the moment, because others want the processors too: at least 1. Bounds on time that
 * leave room for a promise (a deadline and a second) take this many times that room. It takes about 30 ms of one processor.
 */
export function crowding(): number {
  const start = performance.now();
  const { user, system } = process.threadCpuUsage();
  let used = 0;
  while (used < 30) {
    const now = process.threadCpuUsage({ user, system });
    used = (now.user + now.system) / 1000;
  }
  return Math.max(1, (performance.now() - start) / used);
}

/** Runs something and returns its result, with how long it took and how crowded the machine was before or after it, whichever is more. */
export async function timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly took: number; readonly crowd: number }> {
  const before = crowding();
  const start = performance.now();
  const result = await work();
  const took = performance.now() - start;
  return { result, took, crowd: Math.max(before, crowding()) };
}
