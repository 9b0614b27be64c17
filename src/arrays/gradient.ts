import { GuerdonError } from "../error.ts";
import { Arr, type Arrays } from "./arr.ts";
import { library } from "./device.ts";
import { stopGradient } from "./functions.ts";
import { hostGradient } from "./host.ts";
import { unwrap, wrap } from "./traced.ts";
import { mapTree } from "./tree.ts";

/** Named arrays beside the value (metrics, outputs); records may be nested. */
export type Aux = { readonly [name: string]: Arr | Aux };

/**
 * Value and gradient of a scalar function of named arrays: on host arrays (float64, reverse mode, first derivatives only) or inside a
 * function given to `compile`. Parameters that do not matter get zeros. All parameters must be on the same kernel.
 *
 * @param f returns `value`, a scalar, and `aux`, anything else wanted from the same pass, without a gradient
 */
export function valueAndGradient<P extends string, A = Aux>(
  f: (parameters: Arrays<P>) => { readonly value: Arr; readonly aux?: A },
  parameters: Arrays<P>,
): { value: Arr; aux: A; gradient: Arrays<P> } {
  const first = Object.values<Arr>(parameters)[0];
  if (!first) throw new GuerdonError("usage", "valueAndGradient: there are no parameters");
  if (first.value.kernel === "traced") return tracedGradient(f, parameters);
  const { result, gradient } = hostGradient((inputs) => f(inputs as Arrays<P>), parameters);
  const constant = (array: Arr): Arr => stopGradient(array);
  return {
    value: constant(result.value),
    aux: mapTree(result.aux ?? {}, isArr, constant, notAnArray) as A,
    gradient: gradient as Arrays<P>,
  };
}

function tracedGradient<P extends string, A>(
  f: (parameters: Arrays<P>) => { readonly value: Arr; readonly aux?: A },
  parameters: Arrays<P>,
): { value: Arr; aux: A; gradient: Arrays<P> } {
  type Tracer = NonNullable<ReturnType<typeof unwrap>>;
  const tracer = (array: Arr, path: string): Tracer => {
    const inner = unwrap(array);
    if (!inner) throw new GuerdonError("usage", `valueAndGradient: ${path} is a host array among traced ones`);
    return inner;
  };
  const differentiated = library().valueAndGrad(
    (inputs: Record<string, Tracer>) => {
      const { value, aux } = f(Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, wrap(x)])) as Arrays<P>);
      return [tracer(value, "the value"), mapTree(aux ?? {}, isArr, tracer, notAnArray)] as unknown as Tracer;
    },
    { hasAux: true },
  );
  const inputs = Object.fromEntries(Object.entries<Arr>(parameters).map(([name, p]) => [name, tracer(p, name)]));
  const [[value, aux], gradient] = differentiated(inputs) as unknown as [[Tracer, unknown], Record<string, Tracer>];
  const isTracer = (x: unknown): x is Tracer => typeof x === "object" && x !== null && "aval" in x;
  return {
    value: wrap(value),
    aux: mapTree(aux, isTracer, wrap, notAnArray) as A,
    gradient: Object.fromEntries(Object.entries(gradient).map(([name, g]) => [name, wrap(g)])) as Arrays<P>,
  };
}

const isArr = (x: unknown): x is Arr => x instanceof Arr;

function notAnArray(_: unknown, path: string): never {
  throw new GuerdonError("usage", `valueAndGradient: aux.${path} is not an array`);
}
