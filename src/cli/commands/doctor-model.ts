import { GuerdonError } from "../../error.ts";
import { openAi } from "../../policies/remote/client.ts";
import { probe, type Probe } from "../../policies/remote/probe.ts";
import type { Screen } from "../screen.ts";
import { table } from "../table.ts";

export interface DoctorModel {
  /** The server's address, for instance `http://localhost:8000/v1`. */
  readonly model: string;
  /** The model's name; the only one that the server lists unless given. */
  readonly name?: string;
  /** The environment variable that holds the key. */
  readonly keyEnv?: string;
}

/** `guerdon doctor --model URL`: what a server can do; exit status 1 when it answers no question. */
export async function doctorModel(screen: Screen, { model: address, name, keyEnv }: DoctorModel): Promise<number> {
  if (!URL.canParse(address))
    throw new GuerdonError("usage", `--model ${address} is not an address. Give one such as http://localhost:8000/v1`);
  const client = (model: string) =>
    openAi({ baseUrl: address, model, tries: 2, timeoutMs: 30_000, ...(keyEnv === undefined ? {} : { apiKey: { env: keyEnv } }) });
  screen.status(`Asking ${client("any").address} ...`);
  const found = await probe(client(name ?? (await onlyModel(client("any")))));
  const rows = findings(found);
  const advice = rows.flatMap(([, , , hint]) => (hint === null ? [] : [hint]));
  screen.result(
    [
      `${found.model} at ${found.address}`,
      "",
      table(
        ["", "asked for", "found"],
        rows.map(([mark, asked, answer]) => [mark, asked, answer]),
      ),
      ...(advice.length > 0 ? ["", ...advice] : []),
    ].join("\n"),
    { ok: found.chat === true, ...found },
  );
  return found.chat === true ? 0 : 1;
}

async function onlyModel(client: { readonly address: string; models(): Promise<readonly string[]> }): Promise<string> {
  const models = await client.models();
  if (models.length === 1) return models[0]!;
  const some = models.slice(0, 10).join(", ");
  throw new GuerdonError(
    "usage",
    models.length === 0
      ? `${client.address} lists no models. Give the model's name: --name <model>.`
      : `${client.address} has ${models.length} models: ${some}${models.length > 10 ? ", ..." : ""}. Choose one: --name <model>.`,
  );
}

type Finding = readonly [mark: string, asked: string, found: string, advice: string | null];

function findings(found: Probe): Finding[] {
  const row = (good: boolean, asked: string, answer: string, advice: string | null = null): Finding => [
    good ? "✓" : "-",
    asked,
    answer,
    good ? null : advice,
  ];
  const { chat, n, seed, logProbs, topLogProbs, jsonSchema, reasoning, models } = found;
  return [
    chat === true ? row(true, "chat completions", "yes") : (["✗", "chat completions", "no", chat] as const),
    row(models?.includes(found.model) ?? false, "lists the model", models === null ? "no list" : `${models.length} listed`),
    row(
      n === "yes",
      "several samples (n)",
      n,
      n === "ignored" ? "n: one sample comes back; each further one is a request of its own." : null,
    ),
    row(seed === "accepted", "seed", seed, seed === "refused" ? "seed: samples cannot be repeated, except from a cache." : null),
    row(
      logProbs === "yes",
      "log-probabilities",
      logProbs === "yes" ? `yes, ${topLogProbs} alternatives` : logProbs,
      `log-probabilities: judges need from: "answer" here.`,
    ),
    row(
      found.tokensSpellText !== false,
      "tokens spell the text",
      found.tokensSpellText === null ? "unknown" : found.tokensSpellText ? "yes" : "no",
      "tokens: they are those of another text; do not count or align by them.",
    ),
    row(jsonSchema === "kept", "JSON schema", jsonSchema, "JSON schema: judgements are read from the text, with one try to repair."),
    row(true, "reasoning", { field: "in a field of its own", tags: "in the text, in think tags", none: "none seen" }[reasoning]),
    row(true, "limit of tokens", found.limit),
    row(found.usage, "counts tokens", found.usage ? "yes" : "no", "usage: costs cannot be added up."),
    row(found.completions, "text completions", found.completions ? "yes" : "no"),
    row(found.echo, "echo with log-probabilities", found.echo ? "yes" : "no"),
    row(found.tokenPrompts, "prompts as token ids", found.tokenPrompts ? "yes" : "no"),
  ];
}
