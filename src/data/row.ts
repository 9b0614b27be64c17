/** One turn of a conversation. */
export interface Message {
  readonly role: "system" | "user" | "assistant" | "tool" | "developer";
  readonly content: string;
  readonly [extra: string]: unknown;
}

/** The user's data: the same object in code, in a JSONL or Parquet file and over HTTP. Rewards declare which further columns they need. */
export interface Row {
  readonly prompt: string | readonly Message[];
  readonly completion?: string | readonly Message[];
  readonly [column: string]: unknown;
}
