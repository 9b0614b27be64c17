import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { completeDigest, sourceDigest, sourceFiles } from "../../src/cli/source-digest.ts";

const folder = mkdtempSync(join(tmpdir(), "guerdon-sources-"));
afterAll(() => rmSync(folder, { recursive: true }));
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
const names = (name: string) => [...sourceFiles(join(folder, name)).keys()].map((path) => basename(path)).sort();

write(
  "index.ts",
  `// A room.\nexport { one, two as second } from "./numbers.ts";\nexport { other } from "./other.ts";\nexport type { Kind } from "./kind.ts";\n`,
);
write("numbers.ts", `import { helper } from "./helper.ts";\nexport const one = helper;\nexport const two = 2;\n`);
write("helper.ts", `export const helper = 1;\n`);
write("other.ts", `export const other = 3;\n`);
write("kind.ts", `export type Kind = string;\n`);
write("all.ts", `export * from "./index.ts";\n`);

test("of a file that only passes on, what is used counts and the rest does not", () => {
  write("a.ts", `import { second } from "./index.ts";\nimport type { Kind } from "./kind.ts";\nconsole.log(second as Kind);\n`);
  expect(names("a.ts")).toEqual(["a.ts", "helper.ts", "index.ts", "numbers.ts"]);
  const before = sourceDigest(join(folder, "a.ts"));
  write("other.ts", `export const other = 4;\n`);
  write("kind.ts", `export type Kind = number;\n`);
  write(
    "index.ts",
    `export { other } from "./other.ts";\nexport { two as second } from "./numbers.ts";\nexport { one } from "./numbers.ts";\n`,
  );
  expect(sourceDigest(join(folder, "a.ts"))).toBe(before);
  write("helper.ts", `export const helper = 0;\n`);
  expect(sourceDigest(join(folder, "a.ts"))).not.toBe(before);
});

test("where it cannot be told what is used, everything counts", () => {
  write("b.ts", `import * as everything from "./index.ts";\nconsole.log(everything);\n`);
  expect(names("b.ts")).toEqual(["b.ts", "helper.ts", "index.ts", "numbers.ts", "other.ts"]);
  write("c.ts", `import { other } from "./all.ts";\nawait import("./numbers.ts");\nconsole.log(other);\n`);
  expect(names("c.ts")).toEqual(["all.ts", "c.ts", "helper.ts", "index.ts", "numbers.ts", "other.ts"]);
  write("d.ts", `import { type Kind, other } from "./index.ts";\nimport "./helper.ts";\nconsole.log(other as Kind);\n`);
  expect(names("d.ts")).toEqual(["d.ts", "helper.ts", "index.ts", "other.ts"]);
});

test("the complete digest changes with the version of a package that is imported, however deep", () => {
  const installed = (name: string, version: string) => {
    mkdirSync(join(folder, "node_modules", name), { recursive: true });
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, version }));
  };
  installed("numbers", "1.0.0");
  installed("@some/types", "1.0.0");
  installed("optional", "1.0.0");
  write(
    "e.ts",
    `import { helper } from "./uses.ts";\nimport type { T } from "@some/types";\nconsole.log(helper as T, await import("optional"));\n`,
  );
  write(
    "uses.ts",
    `import { readFileSync } from "fs";\nimport {\n  sum,\n} from "numbers/deep/part";\nexport const helper = sum(readFileSync);\n`,
  );
  const digest = () => completeDigest(join(folder, "e.ts"));
  const before = digest();
  expect(digest()).toBe(before);
  installed("@some/types", "2.0.0");
  installed("optional", "2.0.0");
  expect(digest()).toBe(before);
  installed("numbers", "1.0.1");
  expect(digest()).not.toBe(before);
  expect(sourceDigest(join(folder, "e.ts"))).not.toBe(digest());
});

test("the sources of a paper are not those of everything", () => {
  const files = sourceFiles(join(import.meta.dirname, "../../src/papers/canon.ts"));
  const canon = [...files.keys()].map((path) => basename(path));
  expect(canon).toContain("softmax.ts");
  expect(canon).not.toContain("transformer.ts");
});
