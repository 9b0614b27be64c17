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

/** Milliseconds between two looks at the clock, and the least that counts as a standstill. */
const look = { every: 10, least: 50 };

/**
 * Starts to measure how long this thread wants to run and is not let: a machine that is stopped, or has no processor for it. What the thread
 * computes itself is no standstill. Returns the way to end it, which gives the milliseconds.
 */
function standstills(): () => number {
  let stood = 0;
  let last = performance.now();
  let used = process.threadCpuUsage();
  const measure = (): void => {
    const now = performance.now();
    const { user, system } = process.threadCpuUsage(used);
    const idle = now - last - look.every - (user + system) / 1000;
    if (idle > look.least) stood += idle;
    last = now;
    used = process.threadCpuUsage();
  };
  const timer = setInterval(measure, look.every);
  return () => {
    measure();
    clearInterval(timer);
    return stood;
  };
}

interface Timed<T> {
  readonly result: T;
  /** Milliseconds, but for those in which this thread stood still through no doing of its own. */
  readonly took: number;
  readonly crowd: number;
}

/** Runs something and returns its result, with how long it took and how crowded the machine was before or after it, whichever is more. */
export async function timed<T>(work: () => Promise<T>): Promise<Timed<T>> {
  const before = crowding();
  const start = performance.now();
  const stood = standstills();
  const result = await work();
  const took = performance.now() - start - stood();
  return { result, took, crowd: Math.max(before, crowding()) };
}

/**
 * Runs something that must take less than `bound` says for the crowding that was measured, and returns its result. What is late is done again,
 * up to three times in all: a machine may stop other processes than this one for seconds, but what breaks its promise breaks it each time.
 */
export async function inTime<T>(work: () => Promise<T>, bound: (crowd: number) => number): Promise<T> {
  const late: string[] = [];
  for (;;) {
    const { result, took, crowd } = await timed(work);
    if (took < bound(crowd)) return result;
    late.push(`${Math.round(took)} ms instead of ${Math.round(bound(crowd))}`);
    if (late.length === 3) throw new Error(`It took too long each time: ${late.join(", ")}`);
  }
}

/** Milliseconds of the processor that this thread takes for something: others on the machine hardly lengthen them. */
export async function processorTime(work: () => unknown): Promise<number> {
  const before = process.threadCpuUsage();
  await work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

/**
 * What comes of the shortest of some deadlines that leaves this machine enough time for what is to be done before it; null when none does.
 *
 * @param work null when it was too short
 */
export async function withEnough<T>(deadlines: readonly number[], work: (deadlineMs: number) => Promise<T | null>): Promise<T | null> {
  for (const deadline of deadlines) {
    const made = await work(deadline);
    if (made !== null) return made;
  }
  return null;
}
