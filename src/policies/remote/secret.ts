import { GuerdonError } from "../../error.ts";

/**
 * A key that can be used but not shown: printing it, putting it into a text or into JSON gives `[secret]`. Only `reveal` gives the key,
 * and only the transport calls it.
 */
export class Secret {
  readonly #value: string;
  /** @throws GuerdonError "usage" for a key that no HTTP header can carry; the message does not quote it */
  constructor(value: string) {
    // fetch would quote a header value that it refuses, and with it the key.
    if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value))
      throw new GuerdonError(
        "usage",
        "A key or header value is empty, or has line ends, blanks around it or other characters that an HTTP header cannot carry.",
      );
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return hidden;
  }
  toJSON(): string {
    return hidden;
  }
  [Symbol.toPrimitive](): string {
    return hidden;
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return hidden;
  }
}

const hidden = "[secret]";

/** Where a key comes from: the key itself, or the name of an environment variable, which is read when the client is made. */
export type Key = string | Secret | { readonly env: string };

/** @throws GuerdonError "usage" when the environment variable is not set, naming it */
export function secret(key: Key): Secret {
  if (key instanceof Secret) return key;
  if (typeof key === "string") return new Secret(key);
  const value = typeof process === "object" ? process.env?.[key.env] : undefined;
  if (value === undefined || value.trim() === "")
    throw new GuerdonError("usage", `The environment variable ${key.env}, which should hold the server's key, is not set.`);
  return new Secret(value.trim());
}

/** What secrets look like in foreign text is removed from it: servers quote keys in their errors, and could in their answers. */
export interface Redactor {
  /** For messages: every secret is replaced, plain or escaped for JSON or a URL. */
  readonly text: (text: string) => string;
  /**
   * For a reply's JSON text: parsed, with every string cleaned. Keys shorter than 8 characters ("EMPTY", "none") are stand-ins that
   * local servers ask for; they stay, because they may be ordinary words of an answer.
   * @throws SyntaxError when it is not JSON
   */
  readonly json: (text: string) => unknown;
}

export function redactor(secrets: readonly Secret[]): Redactor {
  const forms = (values: readonly string[]): string[] =>
    [...new Set(values.flatMap((value) => [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value)]))].sort(
      (a, b) => b.length - a.length,
    );
  const values = secrets.map((one) => one.reveal());
  const all = forms(values);
  const real = forms(values.filter((value) => value.length >= 8));
  const clean = (text: string, from: readonly string[]): string =>
    from.reduce((left, form) => (left.includes(form) ? left.replaceAll(form, hidden) : left), text);
  return {
    text: (text) => clean(text, all),
    json: (text) =>
      real.length === 0
        ? (JSON.parse(text) as unknown)
        : (JSON.parse(text, (_, value: unknown) => (typeof value === "string" ? clean(value, real) : value)) as unknown),
  };
}
