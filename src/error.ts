/** Why a call failed; one list for the whole package, documented in docs/errors.md. */
export type ErrorCode =
  | "usage" // the call itself is wrong: an unknown option, a missing argument
  | "input" // the user's data or file is wrong; the message names file, row and field
  | "missing-dependency" // an optional package is not installed; the message has the install line
  | "unsupported" // the thing asked for cannot be done here; the message says what can
  | "non-finite" // a loss, gradient, log-probability or score is NaN or infinite
  | "coverage" // too few rows could be scored
  | "io" // a file could not be read or written, or a server gave no usable answer
  | "interrupted" // the caller's signal was aborted
  | "internal"; // a broken promise of ours

/** The only error class that Guerdon throws on purpose. The message says what, where and what to do. */
export class GuerdonError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "GuerdonError";
    this.code = code;
  }
}
