import { beforeAll, describe, expect, test } from "vitest";
import * as A from "../../src/arrays/index.ts";
import type { Arr, Arrays } from "../../src/arrays/index.ts";
import { library } from "../../src/arrays/device.ts";
import { expectNoLeak, liveBuffers } from "../kit/leaks.ts";

beforeAll(() => A.startArrays());

/** How the library's profiler tells of a kernel. */
type Traced = PerformanceEntry & {
  readonly detail: { readonly devtools: { readonly properties: readonly (readonly [string, string])[] } };
};

const ramp = (shape: readonly number[], scale = 1): A.HostArray => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => scale * Math.sin(i)),
});
const read = async (tensor: A.Tensor): Promise<number[]> => {
  try {
    return [...(await tensor.read())];
  } finally {
    tensor.dispose();
  }
};

test("storeGradient: the product with a frozen matrix reads a stored gradient and computes none of it", async () => {
  // The sum over 48 columns is the product that leads back to x.
  const takesExponentials = async (keep: (y: Arr) => Arr): Promise<(boolean | undefined)[]> => {
    const program = A.compile((x: Arr, frozen: Arr) => {
      const value = (parameters: Arrays<"x">) => {
        const y = keep(A.matmul(parameters.x, frozen));
        return { value: A.exp(y.mul(0.1)).mul(y).sum() };
      };
      return A.valueAndGradient(value, { x }).gradient;
    });
    const { profiler } = library();
    profiler.startTrace();
    await read(program.run(ramp([40, 24]), ramp([24, 48]))["x"]!);
    profiler.stopTrace();
    program.dispose();
    const kernels = performance.getEntriesByType("measure").map((entry) => new Map((entry as Traced).detail.devtools.properties));
    performance.clearMeasures();
    return kernels.filter((kernel) => kernel.get("reduction") === "Add:48").map((kernel) => kernel.get("exp")?.includes("Exp("));
  };
  expect(await takesExponentials(A.storeGradient)).toEqual([false]);
  expect(await takesExponentials((y) => y)).toEqual([true]);
});

describe("inputs and results", () => {
  test("nested records and arrays go in and come out", async () => {
    const program = A.compile((a: { x: Arr; more: readonly Arr[] }, s: Arr) => ({
      sum: a.x.add(a.more[0]!),
      list: [a.more[1]!.mul(s), s] as const,
    }));
    const out = program.run({ x: { shape: [2], data: Float32Array.of(1, 2) }, more: [{ shape: [2], data: Int32Array.of(3, 4) }, 5] }, 2);
    expect(await read(out.sum)).toEqual([4, 6]);
    expect(await read(out.list[0])).toEqual([10]);
    expect(await read(out.list[1])).toEqual([2]);
    program.dispose();
  });

  test("numbers are arguments: new values compile nothing", async () => {
    const program = A.compile((x: Arr, s: Arr) => x.mul(s).add(1));
    const x = A.upload(ramp([3]));
    for (const s of [0.5, 2, -7])
      expect(await read(program.run(x, s))).toEqual([...(await x.read())].map((v) => Math.fround(Math.fround(v * s) + 1)));
    expect(program.shapes).toBe(1);
    x.dispose();
    program.dispose();
  });

  test("one program per shape and per type, whatever the order of the names", () => {
    const program = A.compile(({ a, b }: { a: Arr; b: Arr }) => a.mul(b));
    program.run({ a: ramp([2]), b: ramp([2]) }).dispose();
    program.run({ b: ramp([2]), a: ramp([2]) }).dispose();
    expect(program.shapes).toBe(1);
    program.run({ a: ramp([3]), b: ramp([3]) }).dispose();
    expect(program.shapes).toBe(2);
    program.run({ a: { shape: [3], data: Int32Array.of(1, 2, 3) }, b: ramp([3]) }).dispose();
    expect(program.shapes).toBe(3);
    program.dispose();
  });

  test("a result may be an input, the same array twice, a comparison or a constant", async () => {
    const program = A.compile((x: Arr) => ({ x, y: x, positive: x.greater(0), fixed: A.host([1, 2], [2]) }));
    const x = A.upload({ shape: [2], data: Float32Array.of(-1, 5) });
    const { x: first, y: second, positive, fixed } = program.run(x);
    expect([await read(first), await read(second), await read(positive), await read(fixed)]).toEqual([
      [-1, 5],
      [-1, 5],
      [0, 1],
      [1, 2],
    ]);
    expect([...(await x.read())]).toEqual([-1, 5]);
    x.dispose();
    program.dispose();
  });

  test("uploading copies: later changes of the typed array do not matter", async () => {
    const data = Float32Array.of(1, 2, 3);
    const same = Float32Array.of(4, 4, 4);
    const [a, b] = [A.upload({ shape: [3], data }), A.upload({ shape: [3], data: same })];
    data[0] = same[0] = 99;
    expect(await read(a)).toEqual([1, 2, 3]);
    expect(await read(b)).toEqual([4, 4, 4]);
  });

  test("int32 stays int32, and an unaligned view uploads as it is", async () => {
    const tensor = A.upload({ shape: [2], data: new Int32Array([7, 8, 9]).subarray(1) });
    expect(await tensor.read()).toEqual(Int32Array.of(8, 9));
    tensor.dispose();
  });

  test("readAll and settle", async () => {
    const tensors = { a: A.upload(ramp([2, 2])), b: A.upload({ shape: [1], data: Int32Array.of(3) }) };
    await A.settle(tensors);
    expect(await A.readAll(tensors)).toEqual({ a: ramp([2, 2]), b: { shape: [1], data: Int32Array.of(3) } });
    for (const tensor of Object.values(tensors)) tensor.dispose();
  });
});

describe("numbers stay right", () => {
  test("the mean of a million times 0.1, in one axis or several, even or odd", async () => {
    const program = A.compile((x: Arr) => ({ mean: x.mean(), long: x.sum(0).mean() }));
    for (const shape of [[1_000_000], [1000, 1000], [1_000_003], [200_000, 5]]) {
      const n = shape.reduce((a, b) => a * b, 1);
      const { mean, long } = program.run({ shape, data: new Float32Array(n).fill(0.1) });
      expect((await read(mean))[0]).toBeCloseTo(0.1, 5);
      expect((await read(long))[0]! / shape[0]!).toBeCloseTo(0.1, 5);
    }
    program.dispose();
  });

  test("logarithms are right to float32 rounding, near 1 too, and at the ends", async () => {
    const program = A.compile((x: Arr) => ({ log: A.log(x), log1p: A.log1p(x) }));
    const data = Float32Array.from({ length: 6000 }, (_, i) => (i < 3000 ? 0.5 + i / 2000 : Math.exp((i - 4500) / 18)));
    const { log, log1p } = program.run({ shape: [6000], data });
    const [logs, log1ps] = [await read(log), await read(log1p)];
    const off = (actual: number, exact: number) => Math.abs(actual - exact) / Math.abs(exact || 1);
    for (const [i, x] of data.entries()) {
      expect(off(logs[i]!, Math.log(x))).toBeLessThan(4e-7);
      expect(off(log1ps[i]!, Math.log1p(x))).toBeLessThan(4e-7);
    }
    const ends = program.run({ shape: [6], data: Float32Array.of(0, -2, Infinity, NaN, 3e38, -1) });
    expect(await read(ends.log)).toEqual([-Infinity, NaN, Infinity, NaN, Math.fround(Math.log(3e38)), NaN]);
    expect(await read(ends.log1p)).toEqual([0, NaN, Infinity, NaN, Math.fround(Math.log(3e38)), -Infinity]);
    program.dispose();
  });

  test("an index outside is NaN, never a wrong row, and does not reach other rows", async () => {
    const program = A.compile((table: Arr, k: Arr) => ({ rows: A.take(table, k), hot: A.oneHot(k, 3).sum(-1) }));
    for (const rows of [3, 400]) {
      const { rows: picked, hot } = program.run(ramp([rows, 1]), { shape: [3], data: Int32Array.of(-1, 1, rows) });
      expect(await read(picked)).toEqual([NaN, Math.fround(Math.sin(1)), NaN]);
      expect(await read(hot)).toEqual(rows === 3 ? [NaN, 1, NaN] : [NaN, 1, NaN]);
    }
    program.dispose();
  });

  test("NaN is not swallowed", async () => {
    const program = A.compile((x: Arr) => [A.relu(x), A.clip(x, 0, 1), A.softplus(x), A.abs(x), A.sigmoid(x), x.sum(), A.softmax(x)]);
    for (const y of program.run({ shape: [2], data: Float32Array.of(NaN, 1) })) expect((await read(y))[0]).toBeNaN();
    program.dispose();
  });
});

describe("mistakes are named", () => {
  const program = A.compile(({ x, k }: { x: Arr; k: Arr }) => x.mul(k).sum());

  test("a missing leaf", () => {
    const inputs = { x: ramp([2]), k: undefined };
    // @ts-expect-error the types refuse it too
    expect(() => program.run(inputs)).toThrow(/run: input \[0\]\.k is undefined \(missing\)/);
  });
  test("a leaf that the function reads and was not passed at all", () => {
    // @ts-expect-error the types refuse it too
    expect(() => program.run({ x: ramp([2]) })).toThrow(/mul: expected an array and got undefined \(a missing column or parameter\?\)/);
  });
  test("a leaf of a wrong kind", () => {
    // @ts-expect-error the types refuse it too
    expect(() => program.run({ x: ramp([2]), k: "3" })).toThrow(/run: input \[0\]\.k is a string/);
  });
  test("data that does not fill the shape", () => {
    expect(() => program.run({ x: { shape: [3], data: new Float32Array(2) }, k: 1 })).toThrow(
      /run: input \[0\]\.x: 2 numbers do not fill shape \[3\]/,
    );
    expect(() => A.upload({ shape: [3], data: new Float32Array(2) })).toThrow(/upload: 2 numbers do not fill shape \[3\]/);
  });
  test("a disposed tensor", async () => {
    const x = A.upload(ramp([2]));
    x.dispose();
    x.dispose();
    expect(() => program.run({ x, k: 1 })).toThrow(/run: input \[0\]\.x: this tensor of shape \[2\] was disposed/);
    await expect(x.read()).rejects.toThrow(/read: this tensor of shape \[2\] was disposed/);
  });
  test("a disposed program", () => {
    const gone = A.compile((x: Arr) => x);
    gone.dispose();
    expect(() => gone.run(1)).toThrow(/this program was disposed/);
  });
  test("shapes that do not fit", () => {
    expect(() => program.run({ x: ramp([2]), k: ramp([3]) })).toThrow(/mul: shapes \[2\] and \[3\] do not fit/);
  });
  test("a result that is no array", () => {
    expect(() => A.compile((x: Arr) => ({ x, n: 3 })).run(1)).toThrow(/the function returned a number at n, not an array/);
  });
  test("branching on an array", () => {
    expect(() => A.compile((x: Arr) => ((x as unknown as number) > 0 ? x : x.neg())).run(1)).toThrow(/cannot be used as a number/);
  });
  test("a traced array that escapes its program", () => {
    let escaped: Arr | undefined;
    A.compile((x: Arr) => (escaped = x))
      .run(1)
      .dispose();
    expect(() => A.values(escaped!)).toThrow(/only be used inside its compiled program/);
    expect(() => A.compile((x: Arr) => x.add(escaped!)).run(1)).toThrow(/An array of one compiled program cannot be used in another/);
    expect(() => A.compile(() => escaped!).run()).toThrow(/An array of one compiled program cannot be used in another/);
    expect(() => A.exp(escaped!)).toThrow(/An array of one compiled program cannot be used in another/);
  });
  test("a mistake leaves the program and its inputs usable", async () => {
    const x = A.upload(ramp([2]));
    expect(() => program.run({ x, k: ramp([3]) })).toThrow();
    expect(await read(program.run({ x, k: 2 }))).toHaveLength(1);
    x.dispose();
  });
});

describe("nothing leaks", () => {
  const step = A.compile((p: Arrays<"w" | "b">, x: Arr, rate: Arr) => {
    const { value, aux, gradient } = A.valueAndGradient(({ w, b }) => {
      const y = A.softmax(
        A.matmul(x, w)
          .add(b)
          .div(A.sqrt(A.square(x).mean(-1, true).add(1))),
      );
      return { value: A.log(y).mean().neg(), aux: { y } };
    }, p);
    return { value, y: aux.y, w: p.w.sub(gradient.w.mul(rate)), b: p.b.sub(gradient.b.mul(rate)) };
  });

  test("a training step", async () => {
    let p = { w: A.upload(ramp([40, 30], 0.1)), b: A.upload(ramp([30])) };
    let rate = 0.1;
    await expectNoLeak(async () => {
      const { value, y, w, b } = step.run(p, ramp([50, 40]), (rate *= 0.9));
      expect((await read(value))[0]).toBeGreaterThan(0);
      for (const tensor of [y, p.w, p.b]) tensor.dispose();
      p = { w, b };
    });
    p.w.dispose();
    p.b.dispose();
  });

  test("failed calls, before, during and after tracing", async () => {
    const fails = A.compile((x: Arr, y: Arr) => A.matmul(x, y).add(x.mul(2).sum()));
    const boom = A.compile((x: Arr) => {
      const y = x.mul(2).add(x);
      throw new Error(`boom ${y.shape.length}`);
    });
    const x = A.upload(ramp([40, 40]));
    const gone = A.upload(ramp([40, 40]));
    gone.dispose();
    await expectNoLeak(() => {
      expect(() => fails.run(x, ramp([30, 40]))).toThrow(/matmul/);
      expect(() => fails.run(x, gone)).toThrow(/disposed/);
      expect(() => boom.run(x)).toThrow("boom 2");
      expect(() => boom.run(ramp([40, 40]))).toThrow("boom 2");
    });
    expect(await x.read()).toHaveLength(1600);
    x.dispose();
  });

  describe("a disposed program frees its constants", () => {
    const fixed = (shape: readonly number[]): Arr => A.host(ramp(shape).data, shape);
    const slope = (f: (x: Arr) => Arr) => (x: Arr) => A.valueAndGradient((p: Arrays<"x">) => ({ value: f(p.x).sum() }), { x }).gradient.x;
    const functions: Record<string, (x: Arr) => Arr> = {
      "used twice": (x) => {
        const c = fixed([40, 40]);
        return x.add(c).mul(c.sum(0));
      },
      "used for nothing": (x) => {
        x.add(fixed([40, 40]));
        return x.mul(2);
      },
      "met by another": (x) =>
        A.matmul(
          x,
          fixed([40, 40])
            .add(x.mul(0))
            .add(fixed([40])),
        ),
      "the result": () => fixed([40, 40]),
      "inside a gradient": slope((x) => A.logSoftmax(A.exp(A.matmul(x, fixed([40, 40]))).mul(fixed([40])))),
      "outside a gradient": (x) => {
        const c = fixed([40, 40]);
        return slope((y) => A.square(y.mul(c)))(x);
      },
      "of a parameter that does not matter": (x) =>
        A.valueAndGradient((p: Arrays<"x" | "y">) => ({ value: A.exp(p.x.mul(fixed([40]))).sum() }), { x, y: x.mul(2) }).gradient.y,
      "of a function that throws": slope((x) => {
        A.matmul(x, fixed([40, 40])).mul(fixed([40]));
        throw new Error("boom");
      }),
    };
    test.each(Object.entries(functions))("%s", async (_, f) => {
      const x = A.upload(ramp([40, 40]));
      await expectNoLeak(async () => {
        const program = A.compile(f);
        try {
          for (let call = 0; call < 2; call++) await read(program.run(x));
        } catch (error) {
          expect(error).toEqual(new Error("boom"));
        }
        program.dispose();
      });
      x.dispose();
    });
  });

  test("handles: retain, read, dispose", async () => {
    await expectNoLeak(async () => {
      const x = A.upload(ramp([40, 40]));
      const second = x.retain();
      x.dispose();
      expect(await second.read()).toHaveLength(1600);
      second.dispose();
    });
  });

  test("the same tensor as several leaves, in a call that works and in one that fails", async () => {
    const add = A.compile((x: Arr, y: Arr) => A.concat([x, y], 1));
    const x = A.upload(ramp([40, 40]));
    await expectNoLeak(() => {
      add.run(x, x).dispose();
      // @ts-expect-error one leaf is missing
      expect(() => add.run(x)).toThrow(/concat: expected an array/);
    });
    expect(await x.read()).toHaveLength(1600);
    x.dispose();
  });

  test("the counter sees a leak", async () => {
    const forgotten: A.Tensor[] = [];
    await expect(expectNoLeak(() => forgotten.push(A.upload(ramp([40, 40]))))).rejects.toThrow("1 device buffers leak at each call");
    const before = await liveBuffers();
    for (const tensor of forgotten) tensor.dispose();
    expect(before - (await liveBuffers())).toBe(forgotten.length);
  });
});
