/** Somewhere work waits. */
export interface Source {
  /** Takes the piece of work that may run now, or null. */
  next(): (() => Promise<void>) | null;
}

export interface Turns {
  /** There may be work. */
  wake(): void;
  /** Resolves when nothing runs or could run. */
  idle(): Promise<void>;
}

/** Runs work one piece at a time, since there is one computer: each source in its turn, so that none waits for all of another's. */
export function turns(sources: () => readonly Source[]): Turns {
  let running: Promise<void> | null = null;
  let last: Source | null = null;

  /** The next piece, from the source after the one that had the last turn. */
  function pick(): (() => Promise<void>) | null {
    const all = sources();
    const from = last ? all.indexOf(last) + 1 : 0;
    for (let i = 0; i < all.length; i++) {
      const source = all[(from + i) % all.length]!;
      const work = source.next();
      if (!work) continue;
      last = source;
      return work;
    }
    return null;
  }

  async function run(): Promise<void> {
    for (let work = pick(); work; work = pick()) await work();
    running = null;
  }

  return {
    wake() {
      // Later, so that what arrives together is seen together.
      running ??= new Promise((resolve) => setImmediate(() => resolve(run())));
    },
    idle: () => running ?? Promise.resolve(),
  };
}
