/** Why a grade could not be given. */
export type ScoreErrorKind =
  | "declined" // the reward itself said "cannot say" (null)
  | "timeout" // no answer within the deadline
  | "threw" // the reward's function threw
  | "unparsable" // the answer, or a judge's reply, could not be read
  | "missing-column" // the row lacks a column that the reward needs
  | "wrong-column" // a column has a value that the reward's declaration refuses
  | "not-finite" // NaN or infinite
  | "not-a-grade" // the reward's function returned something else
  | "aborted"; // the caller's signal was aborted first

export interface ScoreError {
  readonly kind: ScoreErrorKind;
  readonly message: string;
}

/** What a reward says of one answer. Plain data: it survives JSON. A grade that cannot be given is null and carries its reason. */
export interface Score {
  readonly value: number | null;
  /** The named parts of a composed reward, before weighting; null for a part that could not be scored, absent for one that was not asked. */
  readonly parts?: Readonly<Record<string, number | null>>;
  /** One number a step, for rewards that grade steps. */
  readonly steps?: readonly number[];
  readonly note?: string;
  /** Present exactly when `value` is null. */
  readonly error?: ScoreError;
}

/** What a reward's function may return: a number, true for 1 and false for 0, null for "cannot say", or a whole score. */
export type Grade = number | boolean | null | Score;

export const unscorable = (kind: ScoreErrorKind, message: string): Score & { readonly error: ScoreError } => ({
  value: null,
  error: { kind, message },
});

/** Turns what a function returned into a score of its own. Whatever is not a finite number is unscorable, and quoted. */
export function toScore(returned: unknown, name: string): Score {
  if (typeof returned === "number") return fromNumber(returned, name);
  if (typeof returned === "boolean") return { value: returned ? 1 : 0 };
  if (returned === null) return unscorable("declined", `The reward "${name}" could not say (null).`);
  if (typeof returned === "object" && "value" in returned) return fromObject(returned as Readonly<Record<string, unknown>>, name);
  return notAGrade(name, quoted(returned));
}

const fromNumber = (value: number, name: string): Score =>
  Number.isFinite(value) ? { value } : unscorable("not-finite", `The reward "${name}" returned ${value}.`);

const notAGrade = (name: string, what: string): Score =>
  unscorable("not-a-grade", `The reward "${name}" returned ${what}. It must return a number, true, false, null or a score.`);

function fromObject(returned: Readonly<Record<string, unknown>>, name: string): Score {
  const { value, parts, steps, note, error } = returned;
  if (value !== null && typeof value !== "number") return notAGrade(name, `a score whose value is ${quoted(value)}`);
  if (value !== null && !Number.isFinite(value)) return fromNumber(value, name);
  if (parts !== undefined && !isParts(parts)) return notAGrade(name, `a score whose parts are ${quoted(parts)}`);
  if (steps !== undefined && !(Array.isArray(steps) && steps.every((s) => Number.isFinite(s))))
    return notAGrade(name, `a score whose steps are ${quoted(steps)}`);
  if (note !== undefined && typeof note !== "string") return notAGrade(name, `a score whose note is ${quoted(note)}`);
  if (error !== undefined && !isScoreError(error)) return notAGrade(name, `a score whose error is ${quoted(error)}`);
  // Copies: the function may go on using its objects for the next answer.
  const rest = {
    ...(parts ? { parts: { ...parts } } : {}),
    ...(steps ? { steps: [...(steps as number[])] } : {}),
    ...(note === undefined ? {} : { note }),
  };
  if (error !== undefined) return { value: null, ...rest, error: { kind: error.kind, message: error.message } };
  return value === null ? { ...unscorable("declined", `The reward "${name}" could not say (null).`), ...rest } : { value, ...rest };
}

const isParts = (parts: unknown): parts is Readonly<Record<string, number | null>> =>
  typeof parts === "object" && parts !== null && Object.values(parts).every((part) => part === null || Number.isFinite(part));

const isScoreError = (error: unknown): error is ScoreError =>
  typeof error === "object" && error !== null && "kind" in error && "message" in error && typeof error.message === "string";

/** A value as a message shows it: short, and told apart from its look-alikes ("1" from 1). */
export function quoted(value: unknown): string {
  if (typeof value === "string") return shortened(JSON.stringify(value));
  if (value === undefined || typeof value !== "object" || value === null) return shortened(String(value));
  try {
    return shortened(JSON.stringify(value));
  } catch {
    return "an object that JSON cannot hold";
  }
}

export const shortened = (text: string, most = 80): string => (text.length > most ? `${text.slice(0, most - 3)}...` : text);
