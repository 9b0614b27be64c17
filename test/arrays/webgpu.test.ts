import { describe, expect, test } from "vitest";
import { expectClose } from "../kit/kernels.ts";
import { node, runCode } from "../kit/process.ts";

const child = new URL("device-child.ts", import.meta.url).pathname;

function compute(device: "wasm" | "webgpu", what: string): Record<string, unknown> {
  const { out, err, status } = node(child, device, what);
  expect({ status, err }).toMatchObject({ status: 0 });
  return JSON.parse(out.split("\n").at(-1)!) as Record<string, unknown>; // the WebGPU package prints errors of its own before
}

/** A machine without a usable graphics card (or software for one) says why; there only the errors are tested. */
const start = runCode(`print(await attempt(() => A.startArrays({ device: "webgpu" }).then(() => "ready")));`);

const afterwards = `await A.startArrays();
  const sum = A.compile((x) => x.sum());
  print([...(await sum.run({ shape: [2], data: Float32Array.of(1, 2) }).read())]);`;

describe("what is not there is named, and wasm still starts afterwards", () => {
  test("the package", () => {
    const { out, status } = runCode(`import { registerHooks } from "node:module";
      registerHooks({ resolve: (name, context, next) => { if (name === "webgpu") throw new Error("not found"); return next(name, context); } });
      print(await attempt(() => A.startArrays({ device: "webgpu" }))); ${afterwards}`);
    expect(status).toBe(0);
    expect(out.split("\n")).toEqual([
      '"missing-dependency: WebGPU under Node needs an optional package: npm install webgpu@0.6.2 (or use device: \\"wasm\\")."',
      "[3]",
    ]);
  });

  test("the graphics card", () => {
    const { out, status } =
      runCode(`Object.defineProperty(globalThis.navigator, "gpu", { value: { requestAdapter: async () => null }, configurable: true });
      print(await attempt(() => A.startArrays({ device: "webgpu" }))); ${afterwards}`);
    expect(status).toBe(0);
    expect(out.split("\n")).toEqual(['"unsupported: No usable WebGPU adapter was found; use device: \\"wasm\\"."', "[3]"]);
  });

  test("this machine", () => {
    expect(start.out.split("\n").at(-1)).toMatch(
      /^"(ready|missing-dependency: .*npm install webgpu|unsupported: No usable WebGPU adapter)/,
    );
    expect(start.status).toBe(0);
  });
});

if (start.out.endsWith('"ready"'))
  describe("on the graphics card", () => {
    test("functions and their gradients are those of the host", () => {
      expect(compute("webgpu", "functions")).toBe("same");
    });

    test("training and sampling in several chunks are those of wasm", () => {
      type Trained = Record<"losses" | "norms" | "behaviour" | "forward", number[]> & {
        outputs: Record<string, number[]>;
        completions: string[];
      };
      const [card, wasm] = [compute("webgpu", "train"), compute("wasm", "train")] as unknown as [Trained, Trained];
      expectClose("losses", card.losses, wasm.losses, 1e-5);
      expectClose("gradient norms", card.norms, wasm.norms, 1e-4);
      for (const [name, values] of Object.entries(wasm.outputs)) expectClose(name, card.outputs[name]!, values, 1e-4);
      expectClose("log-probabilities while sampling", card.behaviour, card.forward, 1e-4);
      expect(card.completions).toEqual(wasm.completions);
      expect(card.losses.at(-1)!).toBeLessThan(card.losses[0]! - 0.2);
    });

    test("what is not finite stays so, and whole numbers stay whole", () => {
      expect(compute("webgpu", "ends")).toEqual({
        log: "-Infinity NaN Infinity NaN 0",
        log1p: "-Infinity NaN Infinity NaN 0",
        rows: "NaN NaN NaN",
        many: "NaN 1 NaN",
        k: "-1 4 2000000011",
      });
    });

    test("a card that fails is reported by the read, and by all later ones", () => {
      for (const line of compute("webgpu", "failure") as unknown as string[])
        expect(line).toMatch(/^The graphics card failed, and what is computed since is wrong: .*size/);
    });
  });
