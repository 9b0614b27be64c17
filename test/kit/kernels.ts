import { arraysDevice, compile, host, startArrays, valueAndGradient, values, type Arr, type Arrays } from "../../src/arrays/index.ts";

/** Inputs of a test: numbers with a shape. `whole: true` marks indices, which have no gradient. */
export interface Input {
  readonly shape: readonly number[];
  readonly data: readonly number[];
  readonly whole?: boolean;
}
export type TestInputs = Readonly<Record<string, Input>>;

interface Outcome {
  readonly result: Float64Array;
  readonly shape: readonly number[];
  readonly gradient: Readonly<Record<string, Float64Array>>;
}

/** A fixed weighting of the result's entries, so that one number depends on each of them differently. */
const weights = (shape: readonly number[]): Arr => {
  const n = shape.reduce((a, b) => a * b, 1);
  return host(
    Array.from({ length: n }, (_, i) => 1 + 0.5 * Math.sin(3 * i + 1)),
    shape,
  );
};

function differentiable(f: (inputs: Arrays) => Arr, constants: Arrays) {
  return (parameters: Arrays) => {
    const y = f({ ...constants, ...parameters });
    return { value: y.mul(weights(y.shape)).sum(), aux: { y } };
  };
}

const split = <T>(
  inputs: Readonly<Record<string, T>>,
  whole: (name: string) => boolean,
): [floats: Record<string, T>, wholes: Record<string, T>] => [
  Object.fromEntries(Object.entries(inputs).filter(([name]) => !whole(name))),
  Object.fromEntries(Object.entries(inputs).filter(([name]) => whole(name))),
];

/** f and the gradient of a fixed weighted sum of its entries, on the host kernel. */
export function onHost(f: (inputs: Arrays) => Arr, inputs: TestInputs): Outcome {
  const arrays = Object.fromEntries(Object.entries(inputs).map(([name, { data, shape }]) => [name, host(data, shape)]));
  const [floats, wholes] = split(arrays, (name) => inputs[name]!.whole === true);
  const { aux, gradient } = valueAndGradient(differentiable(f, wholes), floats);
  return {
    result: values(aux.y),
    shape: aux.y.shape,
    gradient: Object.fromEntries(Object.entries(gradient).map(([name, g]) => [name, values(g)])),
  };
}

/** The same in a compiled program, on the device that arrays run on already, or else on wasm. */
export async function onDevice(f: (inputs: Arrays) => Arr, inputs: TestInputs): Promise<Outcome> {
  await startArrays(arraysDevice() ?? {});
  const program = compile((floats: Arrays, wholes: Arrays) => {
    const { aux, gradient } = valueAndGradient(differentiable(f, wholes), floats);
    return { y: aux.y, gradient };
  });
  const arrays = Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape, whole }]) => [
      name,
      { shape, data: whole ? Int32Array.from(data) : Float32Array.from(data) },
    ]),
  );
  const { y, gradient } = program.run(...split(arrays, (name) => inputs[name]!.whole === true));
  try {
    const result = Float64Array.from(await y.read());
    const read = await Promise.all(Object.entries(gradient).map(async ([name, g]) => [name, Float64Array.from(await g.read())] as const));
    return { result, shape: y.shape, gradient: Object.fromEntries(read) };
  } finally {
    for (const tensor of [y, ...Object.values(gradient)]) tensor.dispose();
    program.dispose();
  }
}

/** Central differences of the same weighted sum, on the host kernel in float64. */
export function finiteDifferences(f: (inputs: Arrays) => Arr, inputs: TestInputs, step = 1e-5): Record<string, Float64Array> {
  const total = (changed: TestInputs): number => {
    const y = f(Object.fromEntries(Object.entries(changed).map(([name, { data, shape }]) => [name, host(data, shape)])));
    return values(y.mul(weights(y.shape)).sum())[0]!;
  };
  const [floats] = split(inputs, (name) => inputs[name]!.whole === true);
  return Object.fromEntries(
    Object.entries(floats).map(([name, input]) => [
      name,
      Float64Array.from(input.data, (x, i) => {
        const at = (moved: number) => total({ ...inputs, [name]: { ...input, data: input.data.with(i, moved) } });
        return (at(x + step) - at(x - step)) / (2 * step);
      }),
    ]),
  );
}

/** Throws where two lists of numbers differ by more than `tolerance`, relative to the largest of the expected ones (at least 1). */
export function expectClose(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  if (actual.length !== expected.length) throw new Error(`${what}: ${actual.length} numbers, expected ${expected.length}`);
  let largest = 1;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(expected[i]!));
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (!(Math.abs(a - e) <= tolerance * largest) && !Object.is(a, e)) throw new Error(`${what}: entry ${i} is ${a}, expected ${e}`);
  }
}

/**
 * Runs f in float64 on the host and in float32 in a compiled program, and throws where values, shapes or gradients differ. This catches
 * miscompiled programs. Also leaves the host gradient checked against finite differences unless `differences` is false (kinks).
 */
export async function expectSameOnBothKernels(
  f: (inputs: Arrays) => Arr,
  inputs: TestInputs,
  options: { readonly tolerance?: number; readonly differences?: boolean } = {},
): Promise<void> {
  const { tolerance = 2e-5, differences = true } = options;
  const [onTheHost, onTheDevice] = [onHost(f, inputs), await onDevice(f, inputs)];
  if (onTheHost.shape.join() !== onTheDevice.shape.join())
    throw new Error(`shape ${onTheDevice.shape.join()} when compiled, ${onTheHost.shape.join()} on the host`);
  expectClose("value when compiled", onTheDevice.result, onTheHost.result, tolerance);
  const estimated = differences ? finiteDifferences(f, inputs) : null;
  for (const [name, gradient] of Object.entries(onTheHost.gradient)) {
    expectClose(`gradient of ${name} when compiled`, onTheDevice.gradient[name]!, gradient, tolerance);
    if (estimated) expectClose(`gradient of ${name} by differences`, gradient, estimated[name]!, 1e-7);
  }
}
