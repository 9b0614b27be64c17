import { components, referenceTo } from "./schemas.ts";

type Media = "application/json" | "text/event-stream";

const content = (schema: string, media: readonly Media[] = ["application/json"]) => ({
  content: Object.fromEntries(media.map((type) => [type, { schema: { $ref: referenceTo(schema) } }])),
});
const failure = (description: string) => ({ description, ...content("Failure") });
const failures = {
  400: failure("The body is no JSON."),
  401: failure("No token, or a wrong one."),
  413: failure("More rows or bytes than one request may have."),
  422: failure("Something is wrong with the request; the message names row and field."),
  429: failure("Too many rows wait already; see Retry-After."),
  503: failure("The server is ending, or a row could not be scored; see Retry-After."),
};
const answered = (request: string, reply: string, summary: string, said: string, media?: readonly Media[]) => ({
  summary,
  requestBody: { required: true, ...content(request) },
  responses: { 200: { description: said, ...content(reply, media) }, ...failures },
});
const which = {
  name: "reward",
  in: "query",
  required: false,
  schema: { type: "string" },
  description: "Which reward, where the server offers several.",
};

/** The routes as an OpenAPI 3.1 document. */
export function description(version: string, hasToken: boolean): Readonly<Record<string, unknown>> {
  return {
    openapi: "3.1.0",
    info: { title: "Guerdon reward server", version },
    ...(hasToken ? { security: [{ token: [] }] } : {}),
    paths: {
      "/v1/score": {
        post: answered(
          "ScoreRequest",
          "ScoreReply",
          "Score rows. With Accept: text/event-stream one event a score, as they come.",
          "One score a row, in their order.",
          ["application/json", "text/event-stream"],
        ),
      },
      "/get_reward": {
        parameters: [which],
        post: answered(
          "OpenRlhfRequest",
          "OpenRlhfReply",
          "The remote reward of OpenRLHF (--reward.remote_url).",
          "One reward an entry of query.",
        ),
      },
      "/classify": {
        parameters: [which],
        post: answered(
          "ClassifyRequest",
          "ClassifyReply",
          "As vLLM serves a reward model with one class. The input is a conversation rendered as text; its last assistant's turn is scored.",
          "probs holds the score.",
        ),
      },
      "/v1/rewards": {
        get: {
          summary: "The rewards that this server offers.",
          responses: { 200: { description: "All of them.", ...content("Rewards") }, 401: failures[401] },
        },
      },
      "/healthz": {
        get: {
          summary: "Whether it can score now. Wants no token.",
          security: [],
          responses: { 200: { description: "It can." }, 503: { description: "It starts, or is ending." } },
        },
      },
      "/metrics": {
        get: {
          summary: "Counters in Prometheus's text format.",
          responses: { 200: { description: "text/plain; version=0.0.4" }, 401: failures[401] },
        },
      },
    },
    components: { schemas: components(), securitySchemes: { token: { type: "http", scheme: "bearer" } } },
  };
}
