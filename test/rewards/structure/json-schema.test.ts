import fc from "fast-check";
import { expect, test } from "vitest";
import { jsonSchema, misfits, score, type JsonSchema } from "../../../src/rewards/index.ts";
import { sameJson } from "../../../src/rewards/verify/structure/json-schema.ts";

/** From text, as objects with a `then` look like promises to linters. */
const parsed = (text: string): JsonSchema => JSON.parse(text) as JsonSchema;

/** A schema, data that fits, data that does not. */
const cases: readonly (readonly [string, JsonSchema, readonly unknown[], readonly unknown[]])[] = [
  ["booleans", { properties: { a: true, b: false } }, [{ a: 1 }, []], [{ b: 1 }]],
  ["type", { type: "integer" }, [1, 1.0, -0], [1.5, "1", true, null]],
  ["types", { type: ["string", "null"] }, ["", null], [0, {}, []]],
  ["object and array", { type: "object" }, [{}], [[], null]],
  ["number", { type: "number" }, [1.5, 1e300], ["1"]],
  ["enum", { enum: [1, { a: [1, null] }] }, [1, { a: [1, null] }], ["1", { a: [null, 1] }, true]],
  ["const", { const: { a: 1, b: 2 } }, [{ b: 2, a: 1 }], [{ a: 1 }, { a: 1, b: 2, c: 3 }]],
  ["const false is not 0", { const: false }, [false], [0, null, []]],
  ["bounds", { minimum: 1, exclusiveMaximum: 3 }, [1, 2.9, "x"], [0.9, 3]],
  ["other bounds", { exclusiveMinimum: 1, maximum: 3 }, [3], [1, 3.1]],
  ["multipleOf", { multipleOf: 0.01 }, [0.07, 1.13, 0, 19.99], [0.075]],
  ["length in characters", { minLength: 1, maxLength: 2 }, ["👍", "ab"], ["", "abc", "👍👍👍"]],
  ["pattern", { pattern: "^\\p{Lu}+$" }, ["ÄB", 3], ["ab", ""]],
  ["items", { items: { type: "string" } }, [["a"], [], "x"], [["a", 1]]],
  ["prefixItems", { prefixItems: [{ type: "string" }, { type: "number" }], items: false }, [["a"], ["a", 1], []], [[1], ["a", 1, 2]]],
  ["item counts", { minItems: 1, maxItems: 2 }, [[1]], [[], [1, 2, 3]]],
  [
    "uniqueItems",
    { uniqueItems: true },
    [[1, "1", [1], { a: 1 }]],
    [
      [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ],
    ],
  ],
  [
    "contains",
    { contains: { const: 1 }, minContains: 2, maxContains: 3 },
    [
      [1, 1],
      [1, 1, 1, 2],
    ],
    [[1], [1, 1, 1, 1]],
  ],
  ["contains nothing", { contains: { const: 1 }, minContains: 0 }, [[]], []],
  ["required", { required: ["a", "toString"] }, [{ a: null, toString: 1 }, 3], [{ a: 1 }]],
  ["properties", { properties: { a: { type: "number" } } }, [{ a: 1, b: "x" }, {}], [{ a: "x" }]],
  [
    "additionalProperties",
    { properties: { a: true }, patternProperties: { "^x": { type: "number" } }, additionalProperties: false },
    [{ a: 1, xy: 2 }],
    [{ b: 1 }, { xy: "2" }],
  ],
  ["additionalProperties with a schema", { additionalProperties: { type: "string" } }, [{ a: "x" }], [{ a: 1 }]],
  ["__proto__ is a property", { additionalProperties: false }, [{}], [JSON.parse('{"__proto__": 1}')]],
  ["propertyNames", { propertyNames: { maxLength: 2 } }, [{ ab: 1 }], [{ abc: 1 }]],
  ["property counts", { minProperties: 1, maxProperties: 1 }, [{ a: 1 }], [{}, { a: 1, b: 2 }]],
  ["dependentRequired", { dependentRequired: { a: ["b"] } }, [{ a: 1, b: 1 }, { b: 1 }], [{ a: 1 }]],
  ["dependentSchemas", { dependentSchemas: { a: { required: ["b"] } } }, [{}, { a: 1, b: 2 }], [{ a: 1 }]],
  ["allOf", { allOf: [{ minimum: 1 }, { maximum: 2 }] }, [1.5], [0, 3]],
  ["anyOf", { anyOf: [{ type: "string" }, { minimum: 5 }] }, ["a", 6], [4]],
  ["oneOf", { oneOf: [{ multipleOf: 2 }, { multipleOf: 3 }] }, [2, 3], [6, 1]],
  ["not", { not: { type: "string" } }, [1], ["a"]],
  ["if", parsed('{"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}'), ["ab", 2], ["a", 1]],
  ["if without else", parsed('{"if": {"const": 1}, "then": false}'), [2], [1]],
  ["references", { $defs: { "a/b": { type: "number" } }, items: { $ref: "#/$defs/a~1b" } }, [[1]], [["x"]]],
  [
    "recursion",
    { properties: { next: { $ref: "#" }, value: { type: "number" } }, additionalProperties: false },
    [{ next: { next: { value: 1 } } }],
    [{ next: { next: { value: "x" } } }],
  ],
  ["annotations", { title: "t", format: "email", "x-own": 1, default: 3 }, ["no email", 3], []],
];

test.each(cases)("%s", (_, schema, right, wrong) => {
  for (const data of right) expect(misfits(schema, data)).toEqual([]);
  for (const data of wrong) expect(misfits(schema, data)).not.toEqual([]);
});

test("misfits say where and what", () => {
  const schema = { properties: { list: { items: { required: ["name"], properties: { age: { minimum: 0 } } } } } };
  expect(misfits(schema, { list: [{ name: "a" }, { age: -1 }] })).toEqual([
    { path: ["list", 1], message: 'has no "name"' },
    { path: ["list", 1, "age"], message: "is -1, but must be at least 0" },
  ]);
});

test("a schema that cannot be checked is refused, never passed over", () => {
  for (const [schema, what] of [
    [{ minimun: 1 }, '"minimun" is not known'],
    [{ properties: { a: { unevaluatedProperties: false } } }, "unevaluatedProperties"],
    [{ type: "float" }, '"type" cannot be "float"'],
    [{ pattern: "(" }, "pattern"],
    [{ $ref: "#/$defs/none" }, "which is not in the schema"],
    [{ $ref: "https://example.org/schema" }, "only places in the same schema"],
    [{ items: [{ type: "string" }] }, "items"],
    [{ required: "a" }, "required"],
    [{ $schema: "https://example.org/own" }, "$schema"],
    [3, "3 is no schema"],
  ] as const)
    expect(() => misfits(schema as unknown as JsonSchema, {})).toThrow(what);
});

test("endless references and deep data end", () => {
  expect(misfits({ $ref: "#" }, 1)[0]!.message).toMatch(/nested more than/);
  const deep: unknown = JSON.parse(`${"[".repeat(2000)}${"]".repeat(2000)}`);
  expect(misfits({ items: { $ref: "#" } }, deep)[0]!.message).toMatch(/nested more than/);
});

test("answers against a schema", async () => {
  const person = { type: "object", required: ["name"], properties: { name: { type: "string" } }, additionalProperties: false };
  const grade = jsonSchema({ schema: person });
  const values = async (one: typeof grade, completions: readonly string[]) =>
    (
      await score(
        one,
        completions.map((completion) => ({ prompt: "p", completion })),
      )
    ).map(({ value }) => value);
  const completions = ['{"name": "A"}', 'Here:\n```json\n{"name": "A"}\n```', 'I say {"name": "A"}.', '{"name": 1}', "none", ""];
  expect(await values(grade, completions)).toEqual([1, 1, 1, 0, 0, 0]);
  expect(await values(jsonSchema({ schema: person, bare: true }), completions)).toEqual([1, 0, 0, 0, 0, 0]);
  expect((await score(grade, { prompt: "p", completion: '{"name": 1, "x": 2}' })).note).toBe(
    'name must be string, not 1; it has the unknown property "x"',
  );
  const own = jsonSchema();
  expect((await score(own, { prompt: "p", completion: "[1]", schema: { type: "array" } })).value).toBe(1);
  expect((await score(own, { prompt: "p", completion: "[1]", schema: { type: "list" } })).error!.kind).toBe("wrong-column");
  expect(() => jsonSchema({ schema: { type: "list" } as JsonSchema })).toThrow(/cannot be used/);
});

test("validation never throws for any data, and equality is an equivalence", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      for (const [, schema] of cases) misfits(schema, a);
      expect(sameJson(a, a)).toBe(true);
      expect(sameJson(a, b)).toBe(sameJson(b, a));
      expect(misfits({ const: a }, a)).toEqual([]);
      expect(misfits({ enum: [a] }, b).length === 0).toBe(sameJson(a, b));
    }),
    { seed: 1 },
  );
});
