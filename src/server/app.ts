import { Hono, type Context } from "hono";
import type { z } from "zod";
import type { Row } from "../data/row.ts";
import { GuerdonError } from "../error.ts";
import type { Score } from "../rewards/index.ts";
import { groupOf } from "../rewards/units.ts";
import type { Scoring } from "./crew.ts";
import { description } from "./description.ts";
import { bearer, bodyBound, isJson, secretCheck } from "./listening.ts";
import type { Metrics } from "./metrics.ts";
import { replyOf, rowsOf } from "./open-rlhf.ts";
import * as schemas from "./schemas.ts";
import { lastTurn, type EndTokens } from "./special-tokens.ts";
import type { OfferedReward } from "./wire.ts";

export interface AppSettings {
  /** What scores now; another one after a reload. */
  readonly scoring: () => Scoring;
  readonly metrics: Metrics;
  /** True once the server is to end: it takes no further requests. */
  readonly isDraining: () => boolean;
  readonly timeoutMs: number;
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly token: string | null;
  /** What becomes of a row that cannot be scored where the protocol has no word for it: the request fails, or the row gets 0. */
  readonly unscorable: "fail" | 0;
  readonly endTokens: EndTokens;
  readonly version: string;
}

type Code = 400 | 401 | 404 | 413 | 415 | 422 | 429 | 500 | 503;

/** Ends a request with a sentence of ours. */
class Refused extends Error {
  readonly status: Code;
  readonly code: string;
  readonly place: { readonly row?: number; readonly field?: string };
  constructor(status: Code, code: string, message: string, place: { readonly row?: number; readonly field?: string } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.place = place;
  }
}

/** The body, checked. */
async function body<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  let given: unknown;
  try {
    given = await c.req.json();
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new Refused(400, "invalid-json", "The body is not JSON.");
    throw cause;
  }
  const { success, data, error } = schema.safeParse(given);
  if (success) return data;
  const { message, ...place } = schemas.faultOf(error.issues);
  throw new Refused(422, "invalid-request", message, place);
}

/** The server's routes as a web application: `app.fetch(request)` answers, whatever listens. */
export function application(settings: AppSettings): Hono {
  const { scoring, metrics, timeoutMs, maxRows, token, endTokens } = settings;
  const app = new Hono();

  const refused = (c: Context, { status, code, message, place }: Refused): Response => {
    if (status === 429 || status === 503) c.header("Retry-After", "1");
    if (status === 401) c.header("WWW-Authenticate", "Bearer");
    return c.json({ error: { code, message, ...place } }, status);
  };
  app.onError((cause, c) => {
    if (cause instanceof Refused) return refused(c, cause);
    return refused(c, new Refused(500, "internal", cause instanceof Error ? cause.message : String(cause)));
  });
  app.notFound((c) =>
    refused(c, new Refused(404, "not-found", `There is no ${c.req.method} ${c.req.path} here. GET /openapi.json lists what there is.`)),
  );

  const isToken = token === null ? null : secretCheck(token);
  const bounded = bodyBound(settings.maxBytes, () => tooLarge(settings.maxBytes));
  app.use(async (c, next) => {
    const started = performance.now();
    const { method, path } = c.req;
    await (async () => {
      if (path !== "/healthz" && isToken !== null && !isToken(bearer(c)))
        throw new Refused(401, "unauthorized", "This server wants a token: Authorization: Bearer <token>.");
      if (method !== "POST") return next();
      if (settings.isDraining()) throw new Refused(503, "ending", "The server is ending.");
      if (!isJson(c.req.header("content-type")))
        throw new Refused(415, "not-json", "Send JSON, with the header Content-Type: application/json.");
      return bounded(c, next);
    })().catch((cause: unknown) => {
      // Refused here and not by a route: answered here, so that it is counted like the others.
      if (!(cause instanceof Refused)) throw cause;
      c.res = refused(c, cause);
    });
    if (settings.isDraining()) c.header("Connection", "close");
    const route = routes.has(path) ? path : "other";
    metrics.count("guerdon_requests_total", { route, status: c.res.status });
    metrics.observe(route, (performance.now() - started) / 1000);
  });

  /** The reward that a request means. */
  function chosen({ offer }: Scoring, name: string | undefined): number {
    const { rewards, main } = offer;
    const names = rewards.map((one) => one.export).join(", ");
    if (name === undefined) {
      if (main !== null) return main;
      throw new Refused(422, "no-reward", `This server offers several rewards; say which: ${names}.`, { field: "reward" });
    }
    const at = rewards.findIndex((one) => one.export === name);
    const found = at >= 0 ? at : rewards.findIndex((one) => one.name === name);
    if (found >= 0) return found;
    throw new Refused(422, "no-reward", `There is no reward ${JSON.stringify(name)} here. There is ${names}.`, { field: "reward" });
  }

  /** The group of a row, for a reward that compares them. */
  function groupIn(rows: readonly Row[], row: number): string {
    try {
      return groupOf(rows[row]!, `rows[${row}]`);
    } catch (cause) {
      throw cause instanceof GuerdonError ? new Refused(422, "invalid-request", cause.message, { row, field: "group" }) : cause;
    }
  }

  /** Starts scoring; `onScore` hears of each row exactly once. */
  function start(from: Scoring, which: number, rows: readonly Row[], onScore: (index: number, score: Score) => void): void {
    if (rows.length > maxRows)
      throw new Refused(413, "too-many-rows", `A request may have ${maxRows} rows and this one has ${rows.length}: send several.`);
    if (from.rows() + rows.length > maxRows) throw new Refused(429, "busy", `${from.rows()} rows wait already; send these again later.`);
    const deadline = performance.now() + timeoutMs;
    if (from.offer.rewards[which]!.scope !== "group") return from.submit({ reward: which, rows, whole: false, deadline, onScore });
    for (const places of Map.groupBy(rows.keys(), (i) => groupIn(rows, i)).values())
      from.submit({
        reward: which,
        rows: places.map((i) => rows[i]!),
        whole: true,
        deadline,
        onScore: (i, score) => onScore(places[i]!, score),
      });
  }

  /** What was scored, for the metrics; once a request, because rows are many. */
  function tally(reward: OfferedReward, scores: readonly Score[]): void {
    const outcomes = new Map<string, number>();
    let sum = 0;
    for (const { value, error } of scores) {
      const outcome = value === null ? error!.kind : "scored";
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      sum += value ?? 0;
    }
    for (const [outcome, amount] of outcomes) metrics.count("guerdon_rows_total", { reward: reward.name, outcome }, amount);
    metrics.count("guerdon_score_sum", { reward: reward.name }, sum);
  }

  async function scored(which: number, rows: readonly Row[], from: Scoring): Promise<readonly Score[]> {
    const scores = Array.from<Score>({ length: rows.length });
    if (rows.length > 0)
      await new Promise<void>((resolve) => {
        let left = rows.length;
        start(from, which, rows, (index, score) => {
          scores[index] = score;
          if (--left === 0) resolve();
        });
      });
    tally(from.offer.rewards[which]!, scores);
    return scores;
  }

  /** For protocols that know single answers only, and numbers only. */
  async function numbers(
    name: string | undefined,
    rows: readonly Row[],
  ): Promise<{ readonly scores: readonly Score[]; readonly reward: OfferedReward }> {
    const from = scoring();
    const which = chosen(from, name);
    const reward = from.offer.rewards[which]!;
    if (reward.scope === "group" && rows.length > 0)
      throw new Refused(
        422,
        "needs-groups",
        `The reward "${reward.name}" compares all answers to a prompt; send them together to /v1/score.`,
      );
    const scores = await scored(which, rows, from);
    const failed = scores.findIndex(({ value }) => value === null);
    if (failed >= 0 && settings.unscorable === "fail")
      throw new Refused(503, "unscorable", `Row ${failed} could not be scored: ${scores[failed]!.error!.message}`, { row: failed });
    return { scores, reward };
  }

  app.post("/v1/score", async (c) => {
    const { rows: given, reward: name } = await body(c, schemas.scoreRequest);
    const rows = given as readonly Row[];
    const from = scoring();
    const which = chosen(from, name);
    const reward = from.offer.rewards[which]!;
    const about = { name: reward.name, version: reward.version };
    if (c.req.header("accept")?.includes("text/event-stream") !== true) {
      // Plain data from our own code: not checked once more.
      const scores = await scored(which, rows, from);
      return c.body(JSON.stringify({ scores, reward: about }), 200, { "Content-Type": "application/json" });
    }
    return stream(rows, about, (onScore, done) => {
      if (rows.length === 0) return done([]);
      const scores: Score[] = [];
      start(from, which, rows, (index, score) => {
        onScore(index, score);
        scores.push(score);
        if (scores.length < rows.length) return;
        tally(reward, scores);
        done(scores);
      });
    });
  });

  app.post("/get_reward", async (c) => {
    const request = await body(c, schemas.openRlhfRequest);
    const read = rowsOf(request, endTokens);
    if (!("rows" in read))
      throw new Refused(422, "invalid-request", `${read.row === null ? "" : `Row ${read.row}: `}${read.message}.`, {
        field: read.field,
        ...(read.row === null ? {} : { row: read.row }),
      });
    const { scores, reward } = await numbers(c.req.query("reward"), read.rows);
    return c.json(replyOf(scores, reward.parts), 200);
  });

  app.post("/classify", async (c) => {
    const { input, model } = await body(c, schemas.classifyRequest);
    const rows = (typeof input === "string" ? [input] : input).map((text) => lastTurn(text, endTokens));
    // vLLM's clients must name a model; where it is one of ours, it is meant.
    const { rewards, main } = scoring().offer;
    const named = rewards.find((one) => one.export === model || one.name === model);
    const { scores, reward } = await numbers(c.req.query("reward") ?? named?.export ?? (main === null ? model : undefined), rows);
    const data = scores.map(({ value }, index) => ({ index, label: reward.name, probs: [value ?? 0], num_classes: 1 }));
    const usage = { prompt_tokens: 0, total_tokens: 0, completion_tokens: 0 };
    return c.json(
      {
        id: `classify-${crypto.randomUUID()}`,
        object: "list" as const,
        created: Math.floor(Date.now() / 1000),
        model: model ?? reward.name,
        data,
        usage,
      },
      200,
    );
  });

  app.get("/v1/rewards", (c) => {
    const { rewards, main } = scoring().offer;
    return c.json({ rewards: rewards.map((one, i) => ({ ...one, parts: [...one.parts], default: i === main })) }, 200);
  });
  app.get("/healthz", (c) => {
    const ready = scoring().ready();
    const status = settings.isDraining() ? "ending" : ready === 0 ? "starting" : "ok";
    return c.json({ status, processes: ready, rows: scoring().rows() }, status === "ok" ? 200 : 503);
  });
  app.get("/metrics", (c) =>
    c.body(metrics.text({ guerdon_rows_waiting: scoring().rows(), guerdon_processes_ready: scoring().ready() }), 200, {
      "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
    }),
  );
  const described = description(settings.version, token !== null);
  app.get("/openapi.json", (c) => c.json(described));
  return app;
}

const routes = new Set(["/v1/score", "/get_reward", "/classify", "/v1/rewards", "/healthz", "/metrics", "/openapi.json"]);

function tooLarge(bytes: number): never {
  throw new Refused(413, "too-large", `A request may have ${bytes} bytes: send fewer rows at a time.`);
}

/** Server-sent events: `score` with index and score for each row, `end` with the reward and how many were scored. */
function stream(
  rows: readonly Row[],
  reward: { readonly name: string; readonly version: string },
  run: (onScore: (index: number, score: Score) => void, done: (scores: readonly Score[]) => void) => void,
): Response {
  const encoder = new TextEncoder();
  let isOpen = true;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (event: string, data: unknown): void => {
        if (isOpen) controller.enqueue(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
      };
      run(
        (index, score) => send("score", { index, ...score }),
        (scores) => {
          send("end", { reward, rows: rows.length, scored: scores.filter(({ value }) => value !== null).length });
          if (isOpen) controller.close();
          isOpen = false;
        },
      );
    },
    cancel() {
      isOpen = false;
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" } });
}
