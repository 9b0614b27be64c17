import { Unreadable, type Cursor } from "./tokens.ts";
import type { Node, UnitPower } from "./node.ts";
import { isUnitLetter, number } from "./parts.ts";
import { changesValue, isUnit, multipliers } from "./units.ts";

/** What stands behind a value and is no maths: a unit or other words. */
export function unitBehind(cursor: Cursor, value: Node): Node {
  const unit: UnitPower[] = [];
  let side = 1;
  let power = 1;
  let result = value;
  for (;;) {
    const token = cursor.next;
    if (token === undefined) break;
    if (
      token.kind === "word" ||
      (token.kind === "symbol" && (token.upright || unit.length > 0 || isUnitLetter(token, cursor.tokens[cursor.at + 1])))
    ) {
      cursor.at++;
      const lower = token.text.toLowerCase();
      if (Object.hasOwn(multipliers, lower) && unit.length === 0) {
        result = { kind: "multiply", factors: [result, number(multipliers[lower]!)] };
        continue;
      }
      if (changesValue(lower)) throw new Unreadable(lower);
      if (lower === "per") side = -1;
      else if (lower === "square" || lower === "sq") power = 2;
      else if (lower === "cubic" || lower === "cu") power = 3;
      else if (lower === "squared" || lower === "cubed") unit.push({ ...unit.pop()!, power: lower === "cubed" ? 3 : 2 });
      else {
        if (cursor.is("^")) power *= unitPower(cursor);
        unit.push({ name: token.text.length > 1 && !isUnit(token.text) ? lower : token.text, power: power * side });
        power = 1;
        if (side < 0) side = 1;
      }
    } else if (token.kind === "sign" && ["$", "€", "£", "¥", "₹"].includes(token.text)) {
      cursor.at++;
      unit.push({ name: token.text, power: 1 });
    } else if (unit.length > 0 && cursor.take("/")) side = -1;
    else if (unit.length > 0 && cursor.take("*")) continue;
    // "people in total", "people (rounded)"
    else if (unit.length > 0 && token.kind === "sign" && (token.text === "to" || token.text === "in" || token.text === "'")) cursor.at++;
    else break;
  }
  return unit.length === 0 || unit[0] === undefined ? result : { kind: "quantity", value: result, unit };
}

function unitPower(cursor: Cursor): number {
  cursor.expect("^");
  const brace = cursor.take("{");
  const sign = cursor.take("-") ? -1 : 1;
  const token = cursor.next;
  if (token?.kind !== "number") throw new Unreadable("a unit's power");
  cursor.at++;
  if (brace) cursor.expect("}");
  return sign * Math.min(9, Number(token.text));
}
