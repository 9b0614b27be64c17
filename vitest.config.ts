import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["guerdon-source"] },
  ssr: { resolve: { conditions: ["guerdon-source"] } },
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    // Guards against hanging, no more: the slowest test takes half a minute on two idle cores, and a busy machine is no failure.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    teardownTimeout: 60_000,
    expect: { poll: { timeout: 120_000 } },
    // Two files at a time: the machines that this is meant for have two cores, and array code uses one fully.
    maxWorkers: 2,
  },
});
