/**
 * What a column declaration must offer: the Standard Schema interface (standardschema.dev), which zod, valibot and arktype objects have.
 * Written down here so that rewards need none of these packages.
 */
export interface Schema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Validated<Output> | Promise<Validated<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type Validated<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] };

export interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type InputOf<S extends Schema<object>> = NonNullable<S["~standard"]["types"]>["input"] & object;
export type OutputOf<S extends Schema<object>> = NonNullable<S["~standard"]["types"]>["output"] & object;
