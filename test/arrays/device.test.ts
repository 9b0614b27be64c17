import { expect, test } from "vitest";
import { node, runCode as run } from "../kit/process.ts";

const work = `
  const square = A.compile((x) => { const y = A.matmul(x, x); return { y, total: A.tanh(y).sum() }; });
  const x = A.upload({ shape: [128, 128], data: Float32Array.from({ length: 128 * 128 }, (_, i) => Math.sin(i)) });
  const { y, total } = square.run(x);
  print([...(await total.read())]);
`;

test("two threads give the bits of one thread, and the process ends by itself", () => {
  const [one, two] = [1, 2].map((threads) =>
    run(`await A.startArrays({ threads: ${threads} }); print(A.arraysDevice().threads); print(typeof Worker === "function"); ${work}`),
  ) as [ReturnType<typeof run>, ReturnType<typeof run>];
  expect([one.err, two.err, one.status, two.status]).toEqual(["", "", 0, 0]);
  const [lines, others] = [one.out.split("\n"), two.out.split("\n")];
  expect([lines[0], others[0], others[1]]).toEqual(["1", "2", "true"]);
  expect(others[2]).toBe(lines[2]);
});

test("training and sampling on two and three threads give the bits of one", () => {
  const child = new URL("device-child.ts", import.meta.url).pathname;
  const [one, ...more] = ["1", "2", "3"].map((threads) => node(child, "wasm", "train", threads));
  expect(JSON.parse(one!.out)).toHaveProperty("weights");
  for (const ended of more) expect(ended).toEqual(one);
});

test("a thread that dies is reported by the next read, which does not hang", () => {
  const { out, status } = run(`await A.startArrays({ threads: 2 });
    const { Worker: Pool } = globalThis, { postMessage } = Pool.prototype;
    Pool.prototype.postMessage = function (message) {
      return postMessage.call(this, message.type === "kernel" ? { ...message, module: null } : message);
    };
    print(await attempt(async () => { ${work} }));
    Pool.prototype.postMessage = postMessage;
    print(await attempt(async () => { ${work} }));`);
  expect(status).toBe(0);
  for (const line of out.split("\n")) expect(line).toMatch(/^"internal: A thread of the array library failed \(.+\); use threads: 1\./);
});

test("another setting in the same process is refused; the same one is fine", () => {
  const { out } = run(`await A.startArrays(); await A.startArrays({ device: "wasm", threads: 1 });
    print(await attempt(() => A.startArrays({ threads: 2 })));`);
  expect(JSON.parse(out)).toMatch(/^usage: startArrays: arrays run on wasm with 1 thread\(s\) already/);
});

test("options are checked", () => {
  const { out } = run(
    `print(await attempt(() => A.startArrays({ device: "gpu" }))); print(await attempt(() => A.startArrays({ threads: 0.5 })));`,
  );
  expect(out).toMatch(/usage: startArrays: device \\"gpu\\" is not known; choose \\"wasm\\" or \\"webgpu\\"/);
  expect(out).toMatch(/threads must be a whole number from 1, not 0.5/);
});

test("the host kernel never loads the array library, and compiling says what to call", () => {
  const { out } = run(`import { registerHooks } from "node:module";
    let loaded = [];
    registerHooks({ resolve(specifier, context, next) { loaded.push(specifier); return next(specifier, context); } });
    const r = A.valueAndGradient(({ x }) => ({ value: A.softplus(x).sum() }), { x: A.host([0, 1], [2]) });
    print(A.values(r.gradient.x)[0]);
    print(await attempt(() => A.compile((x) => x).run(1)));
    print(await attempt(() => A.upload({ shape: [1], data: Float32Array.of(1) })));
    print(loaded.filter((name) => name.includes("jax")));
    await A.startArrays();
    print(loaded.filter((name) => name.includes("jax")));`);
  const lines = out.split("\n").map((line) => JSON.parse(line) as unknown);
  expect(lines[0]).toBe(0.5);
  for (const line of lines.slice(1, 3)) expect(line).toMatch(/usage: Call `await startArrays\(\)` before/);
  expect(lines[3]).toEqual([]);
  expect(lines[4]).toEqual(["@jax-js/jax"]);
});
