import { z } from "zod";

/** What requests and replies look like: checked where they come in, and published as /openapi.json. */

/** Schemas with names, by which the description refers to them. */
const named = z.registry<{ id: string; description?: string }>();

const said = (wanted: string) => (issue: { input?: unknown }) => (issue.input === undefined ? "is missing" : `must be ${wanted}`);

const role = z.enum(["system", "user", "assistant", "tool", "developer"], { error: said("system, user, assistant, tool or developer") });
const content = z.union([z.string(), z.null(), z.array(z.looseObject({ type: z.string() }))], {
  error: (issue) => (issue.input === undefined ? "is missing" : "must be a string or a list of parts with a type"),
});
const message = z
  .looseObject({ role, content: content.optional() }, { error: said("a message with role and content") })
  .register(named, { id: "Message" });
const text = z.union([z.string(), z.array(message).min(1, "must hold a message")], { error: said("a string or a list of messages") });

const row = z
  .looseObject({ prompt: text, completion: text }, { error: said("an object with prompt and completion") })
  .register(named, { id: "Row", description: "An answer to score. Further columns are what the reward declares, for instance reference." });

export const scoreRequest = z
  .object(
    {
      rows: z.array(row, { error: said("a list of rows") }),
      reward: z
        .string({ error: said("the name of a reward") })
        .optional()
        .describe("Which reward, where the server offers several."),
    },
    { error: said('an object: { "rows": [...] }') },
  )
  .register(named, { id: "ScoreRequest" });

const score = z
  .object({
    value: z.number().nullable(),
    parts: z.record(z.string(), z.number().nullable()).optional(),
    steps: z.array(z.number()).optional(),
    note: z.string().optional(),
    error: z
      .object({ kind: z.string(), message: z.string() })
      .optional()
      .describe("Present exactly when value is null: why the row could not be scored."),
  })
  .register(named, { id: "Score" });

const list = <T extends z.ZodType>(of: T, what: string) => z.array(of, { error: said(`a list of ${what}`) });
export const openRlhfRequest = z
  .object(
    {
      query: list(z.string({ error: said("a string") }), "strings").describe("Prompt and answer decoded together, with special tokens."),
      prompts: list(z.string({ error: said("a string") }), "strings"),
      labels: list(z.union([z.string(), z.null()], { error: said("a string or null") }), "strings and nulls").optional(),
    },
    { error: said("an object with query, prompts and labels") },
  )
  .register(named, { id: "OpenRlhfRequest" });

export const classifyRequest = z
  .object(
    {
      model: z.string({ error: said("a string") }).optional(),
      input: z.union([z.string(), z.array(z.string())], { error: said("a string or a list of strings") }),
    },
    { error: said("an object with input") },
  )
  .register(named, { id: "ClassifyRequest" });

/** Only described: they are plain data of our own, and not checked once more. */
const replies = {
  ScoreReply: z.object({ scores: z.array(score), reward: z.object({ name: z.string(), version: z.string() }) }),
  OpenRlhfReply: z.object({ rewards: z.array(z.number()), extra_logs: z.record(z.string(), z.array(z.number())) }),
  ClassifyReply: z.object({
    id: z.string(),
    object: z.literal("list"),
    created: z.number(),
    model: z.string(),
    data: z.array(z.object({ index: z.number(), label: z.string(), probs: z.array(z.number()), num_classes: z.number() })),
    usage: z.object({ prompt_tokens: z.number(), total_tokens: z.number(), completion_tokens: z.number() }),
  }),
  Rewards: z.object({
    rewards: z.array(
      z.object({
        name: z.string(),
        export: z.string(),
        version: z.string(),
        scope: z.enum(["row", "group", "batch"]),
        parts: z.array(z.string()),
        default: z.boolean(),
      }),
    ),
  }),
  Failure: z.object({
    error: z.object({ code: z.string(), message: z.string(), row: z.number().optional(), field: z.string().optional() }),
  }),
};
for (const [id, schema] of Object.entries(replies)) named.add(schema, { id });

interface Issue {
  readonly message: string;
  readonly path: readonly PropertyKey[];
  readonly errors?: readonly (readonly Issue[])[];
}

/** The first thing that is wrong with a request, as "rows[3].completion is missing", with row and field apart. */
export function faultOf(issues: readonly Issue[]): { readonly message: string; readonly row?: number; readonly field?: string } {
  const issue = deepest(issues[0]!);
  const path = issue.path.reduce<string>(
    (all, key) => (typeof key === "number" ? `${all}[${key}]` : all === "" ? String(key) : `${all}.${String(key)}`),
    "",
  );
  const [first, place, ...rest] = issue.path;
  const isInRow = typeof place === "number";
  const field = isInRow && first === "rows" ? rest.map(String).join(".") : String(first ?? "");
  return {
    message: `${path === "" ? "The body" : path} ${issue.message}.`,
    ...(isInRow ? { row: place } : {}),
    ...(field === "" ? {} : { field }),
  };
}

/** Of a value that may be one of several things, the fault of the one that it nearly was. */
function deepest(issue: Issue): Issue {
  const inner = (issue.errors ?? []).flatMap((branch) => branch.slice(0, 1)).filter(({ path }) => path.length > 0);
  return inner.length === 0 ? issue : deepest({ ...inner[0]!, path: [...issue.path, ...inner[0]!.path] });
}

/** All of them as JSON Schema, in the form in which an OpenAPI document holds them. */
export function components(): Readonly<Record<string, unknown>> {
  const { schemas } = z.toJSONSchema(named, { uri: referenceTo });
  return Object.fromEntries(Object.entries(schemas).map(([name, { $schema: _dialect, $id: _address, ...schema }]) => [name, schema]));
}

/** How a schema is referred to. */
export const referenceTo = (name: string): string => `#/components/schemas/${name}`;
