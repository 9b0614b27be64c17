"""Compares with Math-Verify (pip install "math-verify[antlr4_13_2]"), the Python library that this verifier measures itself against.

    python scripts/math-verify.py corpus test/rewards/math/corpus.jsonl > its-verdicts.json
        Runs Math-Verify on our pairs. Prints one JSON object: accuracy, false accepts, false rejects, pairs a second, by category.
        Each pair is tried in several wrappings (as it is, in dollars, boxed), and the wrapping that does best over all pairs is reported.

    python scripts/math-verify.py cases path/to/Math-Verify/tests cases.jsonl
        Reads the cases of Math-Verify's own tests from a checkout of its repository, runs Math-Verify on them and writes them down, for
        `node scripts/math-accuracy.ts --cases cases.jsonl`. Cases that set options other than the defaults are left out.
"""

import ast
import json
import math
import sys
import time
from collections import defaultdict
from pathlib import Path


def verifier():
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    targets = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]

    def same(reference: str, answer: str, precision: int = 6) -> bool:
        try:
            return bool(verify(parse(reference, targets), parse(answer, targets), float_rounding=precision))
        except Exception:  # its parsers raise on some inputs; that is a rejection
            return False

    return same


WRAPPINGS = {
    "as it is": lambda text: text,
    "dollars where there is LaTeX": lambda text: text if "$" in text or not any(c in text for c in "\\^_{}=<>") else f"${text}$",
    "dollars": lambda text: text if "$" in text else f"${text}$",
    "boxed in dollars": lambda text: text if "boxed" in text else "$\\boxed{" + text.replace("$", "") + "}$",
}


def corpus(path: str) -> None:
    same = verifier()
    pairs = [json.loads(line) for line in Path(path).read_text().splitlines()]
    results = {}
    for name, wrap in WRAPPINGS.items():
        tally = defaultdict(lambda: {"pairs": 0, "right": 0, "falseAccepts": 0, "falseRejects": 0})
        start = time.time()
        for pair in pairs:
            answer = pair["completion"] if "completion" in pair else wrap(pair["answer"])
            said = same(wrap(pair["reference"]), answer)
            for one in (tally[pair["category"]], tally["all"]):
                one["pairs"] += 1
                one["right"] += said == pair["same"]
                one["falseAccepts"] += said and not pair["same"]
                one["falseRejects"] += not said and pair["same"]
        results[name] = {"pairsPerSecond": round(len(pairs) / (time.time() - start)), "categories": dict(tally)}
    best = max(results, key=lambda name: results[name]["categories"]["all"]["right"])
    summary = {name: result["categories"]["all"]["right"] / len(pairs) for name, result in results.items()}
    print(json.dumps({"wrapping": best, "accuracyByWrapping": summary, **results[best]}, indent=2))


def cases(folder: str, out: str) -> None:
    same = verifier()
    rows = []
    for file in sorted(Path(folder).glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            for decorator in node.decorator_list:
                if not (isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.parametrize"):
                    continue
                names = [name.strip() for name in ast.literal_eval(decorator.args[0]).split(",")]
                verdict = next((name for name in ("expected", "result") if name in names), None)
                if "gold" not in names or "pred" not in names or verdict is None:
                    continue
                for values in eval(compile(ast.Expression(decorator.args[1]), str(file), "eval"), {"math": math}):
                    row = dict(zip(names, values))
                    if row.get("strict", True) is not True or row.get("allow_set_relation_comp", False) is not False:
                        continue
                    rows.append({"category": node.name, "completion": row["pred"], "reference": row["gold"], "same": bool(row[verdict])})
                    if "precision" in row:
                        rows[-1]["tolerance"] = 10 ** -row["precision"]
    right = sum(same(row["reference"], row["completion"], round(-math.log10(row.get("tolerance", 1e-6)))) == row["same"] for row in rows)
    Path(out).write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(json.dumps({"cases": len(rows), "mustDiffer": sum(not row["same"] for row in rows), "mathVerifyRight": right}))


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "corpus":
        corpus(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "cases":
        cases(sys.argv[2], sys.argv[3])
    else:
        sys.exit(__doc__)
