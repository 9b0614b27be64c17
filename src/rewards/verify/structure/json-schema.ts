import { GuerdonError } from "../../../error.ts";
import { canonical } from "../../canonical.ts";
import { quoted, type Score } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { answerJson } from "../answer-data.ts";
import { columns, isRecord, type Check } from "../columns.ts";

/** A JSON schema (draft 2020-12): an object of keywords, or true or false. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** Where data does not fit a schema. */
export interface Misfit {
  /** Keys from the root, for instance ["items", 2, "name"]. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Keywords that only describe. `format` is one of them in this draft: it is not checked. */
const silent = new Set(
  "$id $comment title description default deprecated readOnly writeOnly examples format contentEncoding contentMediaType contentSchema $defs definitions minContains maxContains then else".split(
    " ",
  ),
);
const types = ["null", "boolean", "object", "array", "number", "integer", "string"] as const;
/** Deeper nesting of schema and data than this is refused. */
const deepest = 256;

type Data = unknown;
interface Place {
  readonly root: JsonSchema;
  readonly path: readonly (string | number)[];
  readonly depth: number;
}

/**
 * Where data does not fit a JSON schema; nothing when it fits. The keywords of draft 2020-12 are checked except `unevaluated...`, dynamic
 * references, anchors and references to other documents; `format` is an annotation. Patterns are JavaScript regular expressions of the
 * schema's author: a badly made one can take very long on a hostile text.
 *
 * @throws GuerdonError "input" for a schema with a keyword that is unknown here or malformed, naming it
 * Source: json-schema.org, draft 2020-12.
 */
export function misfits(schema: JsonSchema, data: unknown): Misfit[] {
  checkSchema(schema);
  return check(schema, data, { root: schema, path: [], depth: 0 });
}

function check(schema: JsonSchema, data: Data, place: Place): Misfit[] {
  if (schema === true) return [];
  if (schema === false) return [{ path: place.path, message: "nothing is allowed here" }];
  if (place.depth > deepest) return [{ path: place.path, message: `is nested more than ${deepest} levels deep` }];
  const inner: Place = { ...place, depth: place.depth + 1 };
  return Object.entries(schema).flatMap(([keyword, value]) => keywords[keyword]?.(value, data, inner, schema) ?? []);
}

type Keyword = (value: unknown, data: Data, place: Place, schema: Readonly<Record<string, unknown>>) => Misfit[] | undefined;

const at = (place: Place, key: string | number): Place => ({ ...place, path: [...place.path, key] });
const fits = (schema: unknown, data: Data, place: Place): boolean => check(schema as JsonSchema, data, place).length === 0;
const list = (value: unknown): readonly JsonSchema[] => value as readonly JsonSchema[];
const record = (value: unknown): Readonly<Record<string, JsonSchema>> => value as Readonly<Record<string, JsonSchema>>;

/** A keyword for data of one type, which is one comparison. */
const numeric =
  (isRight: (data: number, bound: number) => boolean, words: string): Keyword =>
  (bound, data, { path }) =>
    typeof data === "number" && !isRight(data, bound as number)
      ? [{ path, message: `is ${data}, but must be ${words} ${String(bound)}` }]
      : undefined;
const sized =
  (sizeOf: (data: Data) => number | null, isRight: (size: number, bound: number) => boolean, words: string): Keyword =>
  (bound, data, { path }) => {
    const size = sizeOf(data);
    return size !== null && !isRight(size, bound as number) ? [{ path, message: `has ${size} ${words} ${String(bound)}` }] : undefined;
  };
const characters = (data: Data): number | null => (typeof data === "string" ? Array.from(data).length : null);
const items = (data: Data): number | null => (Array.isArray(data) ? data.length : null);
const properties = (data: Data): number | null => (isRecord(data) ? Object.keys(data).length : null);
const atLeast = (a: number, b: number): boolean => a >= b;
const atMost = (a: number, b: number): boolean => a <= b;

const keywords: Readonly<Record<string, Keyword>> = {
  type: (wanted, data, { path }) => {
    const names = Array.isArray(wanted) ? (wanted as readonly unknown[]) : [wanted];
    return names.some((name) => isOfType(data, name))
      ? undefined
      : [{ path, message: `must be ${names.join(" or ")}, not ${quoted(data)}` }];
  },
  enum: (allowed, data, { path }) =>
    (allowed as readonly unknown[]).some((one) => sameJson(one, data))
      ? undefined
      : [{ path, message: `is ${quoted(data)}, which is none of ${quoted(allowed)}` }],
  const: (only, data, { path }) => (sameJson(only, data) ? undefined : [{ path, message: `must be ${quoted(only)}, not ${quoted(data)}` }]),
  minimum: numeric(atLeast, "at least"),
  maximum: numeric(atMost, "at most"),
  exclusiveMinimum: numeric((a, b) => a > b, "above"),
  exclusiveMaximum: numeric((a, b) => a < b, "below"),
  multipleOf: numeric((a, b) => Math.abs(a / b - Math.round(a / b)) <= 1e-9 * Math.max(1, Math.abs(a / b)), "a multiple of"),
  minLength: sized(characters, atLeast, "characters, but must have at least"),
  maxLength: sized(characters, atMost, "characters, but must have at most"),
  minItems: sized(items, atLeast, "items, but must have at least"),
  maxItems: sized(items, atMost, "items, but must have at most"),
  minProperties: sized(properties, atLeast, "properties, but must have at least"),
  maxProperties: sized(properties, atMost, "properties, but must have at most"),
  pattern: (pattern, data, { path }) =>
    typeof data === "string" && !new RegExp(pattern as string, "u").test(data)
      ? [{ path, message: `does not match ${String(pattern)}` }]
      : undefined,
  required: (names, data, { path }) =>
    isRecord(data)
      ? (names as readonly string[]).filter((name) => !Object.hasOwn(data, name)).map((name) => ({ path, message: `has no "${name}"` }))
      : undefined,
  dependentRequired: (wanted, data, { path }) =>
    isRecord(data)
      ? Object.entries(wanted as Readonly<Record<string, readonly string[]>>).flatMap(([key, names]) =>
          Object.hasOwn(data, key)
            ? names
                .filter((name) => !Object.hasOwn(data, name))
                .map((name) => ({ path, message: `has "${key}" and therefore needs "${name}"` }))
            : [],
        )
      : undefined,
  properties: (inside, data, place) =>
    isRecord(data)
      ? Object.entries(record(inside)).flatMap(([key, schema]) =>
          Object.hasOwn(data, key) ? check(schema, data[key], at(place, key)) : [],
        )
      : undefined,
  patternProperties: (inside, data, place) =>
    isRecord(data)
      ? Object.entries(record(inside)).flatMap(([pattern, schema]) => {
          const named = new RegExp(pattern, "u");
          return Object.entries(data).flatMap(([key, value]) => (named.test(key) ? check(schema, value, at(place, key)) : []));
        })
      : undefined,
  additionalProperties: (inside, data, place, schema) => {
    if (!isRecord(data)) return undefined;
    const known = record(schema["properties"] ?? {});
    const patterns = Object.keys(record(schema["patternProperties"] ?? {})).map((pattern) => new RegExp(pattern, "u"));
    return Object.entries(data).flatMap(([key, value]) => {
      if (Object.hasOwn(known, key) || patterns.some((pattern) => pattern.test(key))) return [];
      return inside === false
        ? [{ path: place.path, message: `has the unknown property "${key}"` }]
        : check(inside as JsonSchema, value, at(place, key));
    });
  },
  propertyNames: (inside, data, place) =>
    isRecord(data) ? Object.keys(data).flatMap((key) => check(inside as JsonSchema, key, at(place, key))) : undefined,
  dependentSchemas: (inside, data, place) =>
    isRecord(data)
      ? Object.entries(record(inside)).flatMap(([key, schema]) => (Object.hasOwn(data, key) ? check(schema, data, place) : []))
      : undefined,
  prefixItems: (inside, data, place) =>
    Array.isArray(data) ? list(inside).flatMap((schema, i) => (i < data.length ? check(schema, data[i], at(place, i)) : [])) : undefined,
  items: (inside, data, place, schema) => {
    const from = list(schema["prefixItems"] ?? []).length;
    return Array.isArray(data)
      ? data.flatMap((item: unknown, i) => (i < from ? [] : check(inside as JsonSchema, item, at(place, i))))
      : undefined;
  },
  contains: (inside, data, place, schema) => {
    if (!Array.isArray(data)) return undefined;
    const count = data.filter((item: unknown, i) => fits(inside, item, at(place, i))).length;
    const [least, most] = [(schema["minContains"] as number | undefined) ?? 1, (schema["maxContains"] as number | undefined) ?? Infinity];
    return count >= least && count <= most
      ? undefined
      : [{ path: place.path, message: `contains ${count} of the items that it must contain` }];
  },
  uniqueItems: (wanted, data, { path }) =>
    wanted === true && Array.isArray(data) && new Set(data.map((item) => canonical(item))).size < data.length
      ? [{ path, message: "has equal items, which must differ" }]
      : undefined,
  allOf: (all, data, place) => list(all).flatMap((schema) => check(schema, data, place)),
  anyOf: (any, data, place) =>
    list(any).some((schema) => fits(schema, data, place))
      ? undefined
      : [{ path: place.path, message: "fits none of the alternatives (anyOf)" }],
  oneOf: (one, data, place) => {
    const count = list(one).filter((schema) => fits(schema, data, place)).length;
    return count === 1 ? undefined : [{ path: place.path, message: `fits ${count} of the alternatives instead of exactly one (oneOf)` }];
  },
  not: (inside, data, place) => (fits(inside, data, place) ? [{ path: place.path, message: "is what it must not be (not)" }] : undefined),
  if: (condition, data, place, schema) => {
    const branch = schema[fits(condition, data, place) ? "then" : "else"];
    return branch === undefined ? undefined : check(branch as JsonSchema, data, place);
  },
  $ref: (reference, data, place) => check(referenced(place.root, reference as string), data, place),
};

function isOfType(data: Data, name: unknown): boolean {
  if (name === "null") return data === null;
  if (name === "array") return Array.isArray(data);
  if (name === "object") return isRecord(data);
  if (name === "integer") return typeof data === "number" && Number.isInteger(data);
  return typeof data === name;
}

/** Equality of JSON data: keys in any order, numbers by value, never across types. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => sameJson(item, b[i]));
  if (!isRecord(a) || !isRecord(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]));
}

function referenced(root: JsonSchema, reference: string): JsonSchema {
  if (reference !== "#" && !reference.startsWith("#/"))
    throw malformed(`"$ref" is ${quoted(reference)}, and only places in the same schema (#/...) can be read`);
  let place: unknown = root;
  for (const key of reference.split("/").slice(1)) {
    const name = decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~");
    place =
      typeof place === "object" && place !== null && Object.hasOwn(place, name)
        ? (place as Readonly<Record<string, unknown>>)[name]
        : undefined;
  }
  if (typeof place !== "boolean" && !isRecord(place)) throw malformed(`"$ref" names ${quoted(reference)}, which is not in the schema`);
  return place;
}

const malformed = (what: string): GuerdonError => new GuerdonError("input", `The JSON schema cannot be used: ${what}.`);

const isSchema = (value: unknown): value is JsonSchema => typeof value === "boolean" || isRecord(value);
const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
const isNames = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === "string");
const isSchemas = (value: unknown): boolean => Array.isArray(value) && value.length > 0 && value.every(isSchema);
const isSchemaMap = (value: unknown): boolean => isRecord(value) && Object.values(value).every(isSchema);

/** What each keyword's value must be. */
const shapes: Readonly<Record<string, (value: unknown) => boolean>> = {
  type: (value) =>
    Array.isArray(value) ? value.length > 0 && value.every((one) => types.includes(one)) : types.includes(value as (typeof types)[number]),
  enum: Array.isArray,
  const: () => true,
  ...Object.fromEntries(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].map((keyword) => [keyword, Number.isFinite])),
  multipleOf: (value) => Number.isFinite(value) && (value as number) > 0,
  ...Object.fromEntries(
    "minLength maxLength minItems maxItems minProperties maxProperties minContains maxContains"
      .split(" ")
      .map((keyword) => [keyword, isCount]),
  ),
  pattern: isPattern,
  required: isNames,
  dependentRequired: (value) => isRecord(value) && Object.values(value).every(isNames),
  ...Object.fromEntries(["properties", "dependentSchemas", "$defs", "definitions"].map((keyword) => [keyword, isSchemaMap])),
  patternProperties: (value) => isSchemaMap(value) && Object.keys(value as object).every(isPattern),
  ...Object.fromEntries(
    "additionalProperties propertyNames items contains not if then else".split(" ").map((keyword) => [keyword, isSchema]),
  ),
  ...Object.fromEntries("prefixItems allOf anyOf oneOf".split(" ").map((keyword) => [keyword, isSchemas])),
  uniqueItems: (value) => typeof value === "boolean",
  $ref: (value) => typeof value === "string",
  // Another meta-schema may switch keywords off.
  $schema: (value) => typeof value === "string" && /^https?:\/\/json-schema\.org\//.test(value),
};

function isPattern(value: unknown): boolean {
  if (typeof value !== "string") return false;
  try {
    void new RegExp(value, "u");
    return true;
  } catch {
    return false;
  }
}

const checkedSchemas = new WeakSet();

/** @throws GuerdonError "input" for what `misfits` cannot check, so that it is never passed over in silence */
function checkSchema(schema: unknown): void {
  if (isRecord(schema) && checkedSchemas.has(schema)) return;
  const walk = (one: unknown, depth: number): void => {
    if (typeof one === "boolean") return;
    if (!isRecord(one) || depth > deepest) throw malformed(depth > deepest ? "it is nested too deeply" : `${quoted(one)} is no schema`);
    for (const [keyword, value] of Object.entries(one)) {
      const isShaped = shapes[keyword];
      if (isShaped === undefined) {
        if (silent.has(keyword) || keyword.startsWith("x-")) continue;
        throw malformed(`the keyword "${keyword}" is not known here`);
      }
      if (!isShaped(value)) throw malformed(`"${keyword}" cannot be ${quoted(value)}`);
      if (keyword === "$ref") referenced(schema as JsonSchema, value as string);
      if (isSchemas(value) && ["prefixItems", "allOf", "anyOf", "oneOf"].includes(keyword))
        for (const inside of list(value)) walk(inside, depth + 1);
      else if (["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"].includes(keyword))
        for (const inside of Object.values(record(value))) walk(inside, depth + 1);
      else if (shapes[keyword] === isSchema) walk(value, depth + 1);
    }
  };
  walk(schema, 0);
  if (isRecord(schema)) checkedSchemas.add(schema);
}

export interface JsonSchemaOptions {
  /** The schema of all answers. Without it each row has its own, in the column `schema`. */
  readonly schema?: JsonSchema;
  /** The answer must be nothing but the data, without words or a fence around it; false unless said. */
  readonly bare?: boolean;
  readonly name?: string;
}

/**
 * 1 when the JSON in an answer fits a schema, else 0, with the first misfits as a note (see `misfits`). An answer without JSON gets 0. A row
 * whose schema cannot be used is unscorable.
 *
 * @throws GuerdonError "input" for a schema that cannot be used
 */
export function jsonSchema(options: JsonSchemaOptions & { readonly schema: JsonSchema }): Reward;
export function jsonSchema(options?: JsonSchemaOptions): Reward<{ readonly schema: JsonSchema }>;
export function jsonSchema({ schema, bare = false, name = "json-schema" }: JsonSchemaOptions = {}):
  | Reward
  | Reward<{ readonly schema: JsonSchema }> {
  const grade = (text: string, wanted: JsonSchema): Score => {
    const found = bare ? bareJson(text) : answerJson(text);
    if (found === null) return { value: 0, note: "no JSON found" };
    const wrong = misfits(wanted, found.value);
    if (wrong.length === 0) return { value: 1 };
    const first = wrong.slice(0, 3).map(({ path, message }) => `${path.length === 0 ? "it" : path.join(".")} ${message}`);
    return { value: 0, note: `${first.join("; ")}${wrong.length > 3 ? `; and ${wrong.length - 3} more` : ""}` };
  };
  if (schema !== undefined) {
    checkSchema(schema);
    return reward(name, { version: `1 ${bare} ${JSON.stringify(schema)}` }, ({ text }) => grade(text, schema));
  }
  type Needs = { readonly schema: JsonSchema };
  return reward(name, { version: `1 ${bare}`, columns: columns<Needs, Needs>({ schema: schemaCell }) }, (answer) =>
    grade(answer.text, answer.schema),
  );
}

const schemaCell: Check<JsonSchema> = (cell) => {
  if (!isSchema(cell)) return "must be a JSON schema";
  try {
    checkSchema(cell);
  } catch (cause) {
    if (cause instanceof GuerdonError) return cause.message;
    throw cause;
  }
  return { value: cell };
};

function bareJson(text: string): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return null;
  }
}
