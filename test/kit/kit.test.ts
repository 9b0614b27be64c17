import { expect, test } from "vitest";
import { exp, host, stopGradient, type Arr, type Arrays } from "../../src/arrays/index.ts";
import { expectClose, expectSameOnBothKernels, finiteDifferences, onHost } from "./kernels.ts";

const inputs = { x: { shape: [3], data: [0.1, -0.2, 0.3] } };

test("finite differences of a known function", () => {
  const { x } = finiteDifferences(({ x }) => exp(x!).sum(), inputs);
  const { gradient } = onHost(({ x }) => exp(x!).sum(), inputs);
  expectClose("slope", x!, gradient["x"]!, 1e-9);
});

test("a wrong gradient is found", async () => {
  await expect(expectSameOnBothKernels(({ x }) => exp(stopGradient(x!)).add(x!.mul(0)), inputs)).rejects.toThrow(
    "gradient of x by differences: entry 0",
  );
});

test("a program that computes something else is found", async () => {
  const different = ({ x }: Arrays): Arr => x!.add(host([x!.value.kernel === "host" ? 1 : 1.001], []));
  await expect(expectSameOnBothKernels(different, inputs)).rejects.toThrow("value when compiled: entry 0");
  const wider = ({ x }: Arrays): Arr => (x!.value.kernel === "host" ? x! : x!.reshape([1, 3]));
  await expect(expectSameOnBothKernels(wider, inputs)).rejects.toThrow("shape 1,3 when compiled, 3 on the host");
});

test("NaN is close to NaN only", () => {
  expectClose("x", [NaN], [NaN], 1);
  expect(() => expectClose("x", [NaN], [1], 1)).toThrow("entry 0 is NaN, expected 1");
  expect(() => expectClose("x", [1], [1, 2], 1)).toThrow("1 numbers, expected 2");
});
