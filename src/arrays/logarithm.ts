import type * as Jax from "@jax-js/jax";
import { library } from "./device.ts";

type Tracer = Jax.numpy.Array;

/** Below it float32 numbers lose precision. */
const smallest = 1.1754943508222875e-38;

/**
 * Natural logarithm to float32 rounding, for the traced kernel. The library's own is 1.3e-5 off, which near 1 leaves no correct digit.
 * Its value is corrected here; its slope is right. Uses one reference of x.
 */
export function log(x: Tracer): Tracer {
  const rough = library().numpy.log(x.ref);
  const finite = x.ref.greater(smallest).mul(x.ref.less(Infinity));
  return corrected(rough, fineLog(x.ref), finite, ends(x, 0));
}

/** log(1 + x) to float32 rounding, see `log`. Uses one reference of x. */
export function log1p(x: Tracer): Tracer {
  const { numpy } = library();
  const rough = numpy.log1p(x.ref);
  const finite = x.ref.greater(-1).mul(x.ref.less(Infinity));
  const near = x.ref.greaterEqual(-0.5).mul(x.ref.lessEqual(1));
  const fine = numpy.where(near, atanhSeries(x.ref.div(x.ref.add(2)), 13), fineLog(x.ref.add(1)));
  return corrected(rough, fine, finite, ends(x, -1));
}

/** The rough value made right: `fine` where that is finite, and elsewhere what added to it gives `beyond`. */
function corrected(rough: Tracer, fine: Tracer, finite: Tracer, beyond: Tracer): Tracer {
  const { numpy, lax } = library();
  const correction = numpy.where(finite, fine.sub(rough.ref), beyond);
  return rough.add(lax.stopGradient(correction) as Tracer);
}

/** -Infinity at the pole and NaN below it and for NaN: a graphics card may have any finite numbers there, and takes NaN for equal to all. */
function ends(x: Tracer, pole: number): Tracer {
  const { numpy } = library();
  const below = numpy.where(x.ref.less(pole), NaN, -Infinity);
  return numpy.where(x.ref.greater(pole), 0, below).add(x);
}

/** x = 2^k m with m between the square roots of 1/2 and 2, read off the bits; log m = 2 atanh((m - 1) / (m + 1)). */
function fineLog(x: Tracer): Tracer {
  const { numpy, lax, DType } = library();
  // Plain numbers would pass through float32 and lose their last bits.
  const whole = (n: number): Tracer => numpy.full([], n, { dtype: DType.Int32 });
  const rootHalf = 0x3f3504f3;
  const bits = (lax.stopGradient(x) as Tracer).view(DType.Int32).add(whole(0x3f800000 - rootHalf));
  const k = numpy.rightShift(bits.ref, whole(23)).sub(127).astype(DType.Float32);
  const m = numpy.bitwiseAnd(bits, whole(0x7fffff)).add(whole(rootHalf)).view(DType.Float32);
  return k.mul(Math.LN2).add(atanhSeries(m.ref.sub(1).div(m.add(1)), 9));
}

/** 2 atanh(s) = 2 (s + s^3/3 + s^5/5 + ...), up to the given odd power. */
function atanhSeries(s: Tracer, power: number): Tracer {
  const squared = s.ref.mul(s.ref);
  let series: Tracer | number = 2 / power;
  for (let n = power - 2; n > 0; n -= 2) series = squared.ref.mul(series).add(2 / n);
  return s.mul(series);
}
