import { fraction, multiply, divide, whole, type Num } from "./number.ts";
import type { UnitPower } from "./node.ts";

/** name: [dimension, factor to that dimension's base unit as a fraction n/d] */
const table: Record<string, readonly [dimension: string, n: number, d: number]> = {};
function define(dimension: string, entries: Readonly<Record<string, readonly [number, number?]>>): void {
  for (const [names, [n, d = 1]] of Object.entries(entries)) for (const name of names.split(" ")) table[name] = [dimension, n, d];
}
define("length", {
  "m meter meters metre metres": [1],
  "km kilometer kilometers kilometre kilometres": [1000],
  "cm centimeter centimeters centimetre centimetres": [1, 100],
  "mm millimeter millimeters millimetre millimetres": [1, 1000],
  "dm decimeter decimeters": [1, 10],
  "nm nanometer nanometers": [1, 1e9],
  "in inch inches": [254, 10000],
  "ft foot feet": [3048, 10000],
  "yd yard yards": [9144, 10000],
  "mi mile miles": [1609344, 1000],
});
define("mass", {
  "kg kilogram kilograms": [1],
  "g gram grams": [1, 1000],
  "mg milligram milligrams": [1, 1e6],
  "t ton tons tonne tonnes": [1000],
  "lb lbs": [45359237, 1e8],
  "oz ounce ounces": [28349523125, 1e12],
});
define("time", {
  "s sec secs second seconds": [1],
  "ms millisecond milliseconds": [1, 1000],
  "min mins minute minutes": [60],
  "h hr hrs hour hours": [3600],
  "day days": [86400],
  "week weeks": [604800],
  "month months": [2629746],
  "year years yr yrs": [31556952],
});
define("volume", {
  "L l liter liters litre litres": [1, 1000],
  "mL ml milliliter milliliters millilitre millilitres": [1, 1e6],
  "gal gallon gallons": [3785411784, 1e12],
});
define("temperature", { "K kelvin kelvins": [1] });
define("celsius", { "C celsius": [1] });
define("fahrenheit", { "F fahrenheit": [1] });
define("angle", { "rad radian radians": [1] });
define("current", { "A amp amps ampere amperes": [1] });
define("force", { "N newton newtons": [1], kN: [1000] });
define("energy", { "J joule joules": [1], kJ: [1000] });
define("watt", { "W watt watts": [1], kW: [1000] });
define("volt", { "V volt volts": [1] });
define("pascal", { "Pa pascal pascals": [1], kPa: [1000] });
define("hertz", { "Hz hertz": [1], kHz: [1000] });
define("mole", { "mol mole moles": [1] });
define("dollar", { "$ dollar dollars usd": [1], "cent cents": [1, 100] });
define("euro", { "€ euro euros eur": [1] });
define("pound", { "£ pound pounds gbp": [1] });
define("yen", { "¥ yen": [1], "yuan rmb": [1] });
define("rupee", { "₹ rupee rupees rs": [1] });
table["yuan"] = table["rmb"] = ["yuan", 1, 1];

/** Several units in one name. */
const compound: Readonly<Record<string, readonly UnitPower[]>> = {
  mph: [
    { name: "mi", power: 1 },
    { name: "h", power: -1 },
  ],
  kph: [
    { name: "km", power: 1 },
    { name: "h", power: -1 },
  ],
  kmh: [
    { name: "km", power: 1 },
    { name: "h", power: -1 },
  ],
};

const known = (name: string): string | null =>
  Object.hasOwn(table, name) ? name : Object.hasOwn(table, name.toLowerCase()) && name.length > 1 ? name.toLowerCase() : null;

/** Whether a word is the name of a unit. */
export const isUnit = (name: string): boolean => known(name) !== null || Object.hasOwn(compound, name.toLowerCase());

/** Words that multiply the number before them. */
export const multipliers: Readonly<Record<string, number>> = {
  dozen: 12,
  hundred: 100,
  thousand: 1000,
  million: 1e6,
  billion: 1e9,
  trillion: 1e12,
};

/** Words behind a number that change its value or take it back, and so are no unit: "5 hundredths", "5 squared", "5 not". */
export const changesValue = (word: string): boolean =>
  /^(?:(?:ten|hundred|thousand|million)ths?|halves|half|thirds?|quarters?|fourths?|fifths?|sixths?|eighths?|dozens|hundreds|thousands|millions|factorial|plus|minus|times|over|divided|modulo|root|negative|more|less|not|never|except|without|wrong|incorrect)$/.test(
    word,
  );

/**
 * What a unit measures, and its size in base units; null for one with a part that is no known unit, such as "apples". A cubic metre and a
 * thousand litres measure the same.
 */
export function measure(unit: readonly UnitPower[]): { dimensions: string; size: Num } | null {
  const powers = new Map<string, number>();
  let size: Num = whole(1);
  const simple = unit.flatMap(({ name, power }) =>
    (compound[name.toLowerCase()] ?? [{ name, power: 1 }]).map((part) => ({ name: part.name, power: part.power * power })),
  );
  for (const { name, power } of simple) {
    const key = known(name);
    if (key === null) return null;
    const [dimension, n, d] = table[key]!;
    const one = fraction(BigInt(n), BigInt(d));
    for (let k = 0; k < Math.min(Math.abs(power), 9); k++) size = power > 0 ? multiply(size, one) : divide(size, one);
    const [base, times] = dimension === "volume" ? ["length", 3] : [dimension, 1];
    powers.set(base!, (powers.get(base!) ?? 0) + Number(times) * power);
  }
  const dimensions = [...powers]
    .filter(([, power]) => power !== 0)
    .map(([name, power]) => `${name}^${power}`)
    .sort();
  return { dimensions: dimensions.join(" "), size };
}
