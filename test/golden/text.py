"""Golden values for test/rewards/text/golden.test.ts, from sacrebleu and rouge-score. Run: python test/golden/text.py (writes text/golden.json)."""

import json
from importlib.metadata import version
from pathlib import Path

import sacrebleu
from rouge_score import rouge_scorer

pairs = [
    ("the cat sat on the mat", ["the cat sat on the mat"]),
    ("the cat sat on the mat", ["the cat is on the mat"]),
    ("the the the the the the the", ["the cat is on the mat"]),
    ("The quick brown fox jumps over the lazy dog.", ["A fast brown fox leaps over a lazy dog."]),
    ("It is 3.5 kilometres (2.2 miles), they said.", ["They said: it's 3.5 km, or 2.2 miles."]),
    ("short", ["a much longer reference than the candidate is"]),
    ("a much longer candidate than the reference is, and then some", ["short"]),
    ("two references", ["one of two references", "references, two of them"]),
    ("a b c d", ["a b c", "a b c d e", "x y"]),
    ("nothing in common", ["zzz qqq"]),
    ("", ["something"]),
    ("...", ["Hello, world!"]),
    ("Hello world", ["Hello, world!"]),
    ("\u00c4pfel und Birnen, bitte!", ["Bitte \u00c4pfel und Birnen."]),
    ("\u041a\u043e\u0448\u043a\u0430 \u0441\u0438\u0434\u0438\u0442 \u043d\u0430 \u043a\u043e\u0432\u0440\u0435", ["\u041a\u043e\u0448\u043a\u0430 \u043b\u0435\u0436\u0438\u0442 \u043d\u0430 \u043a\u043e\u0432\u0440\u0435"]),
    ("\u732b\u304c\u30de\u30c3\u30c8\u306e\u4e0a\u306b\u5ea7\u3063\u305f", ["\u732b\u306f\u30de\u30c3\u30c8\u306e\u4e0a\u306b\u3044\u308b"]),
    ("emoji \U0001f600 and \U0001f680 go", ["emoji \U0001f680 and \U0001f600 stay"]),
    ("tabs\tand\nnew lines - here", ["tabs and new-\nlines here"]),
    ("&quot;quoted&quot; &amp; so on", ['"quoted" & so on']),
    ("1-2-3 and 4,000.50 or -5", ["1-2-3 and 4,000.50 or -6"]),
    ("(hi) there's [a] {b} <c> x/y a_b", ["(hi there's a b c x y a b"]),
    ("Repeat repeat repeat the same words again and again and again", ["Repeat the same words again"]),
    ("one", ["one"]),
    ("one two", ["one two"]),
    ("one two three", ["one two four"]),
    ("UPPER lower MiXeD", ["upper lower mixed"]),
    ("In 1969, Neil Armstrong became the first person to walk on the Moon.", ["Neil Armstrong was the first human to walk on the Moon, in 1969.", "The first person on the Moon was Neil Armstrong."]),
    ("the gunman was shot dead by police .", ["the gunman was killed by the police .", "police killed the gunman"]),
    ("e=mc^2; f=ma", ["e = mc^2, f = ma"]),
    ("a", ["b"]),
    ("x, y, and z.", ["x, y, and z"]),
    ("don't stop", ["do not stop"]),
]

scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)


def case(candidate, references):
    rouge = [scorer.score(reference, candidate) for reference in references]
    return {
        "candidate": candidate,
        "references": references,
        "bleu": sacrebleu.sentence_bleu(candidate, references).score / 100,
        "chrf": sacrebleu.sentence_chrf(candidate, references).score / 100,
        "chrfPlus": sacrebleu.sentence_chrf(candidate, references, word_order=2).score / 100,
        "rouge": [{name: list(one[name]) for name in one} for one in rouge],
    }


golden = {
    "versions": {name: version(name) for name in ("sacrebleu", "rouge-score")},
    "cases": [case(*pair) for pair in pairs],
}
Path(__file__).with_name("text").joinpath("golden.json").write_text(json.dumps(golden, indent=1) + "\n")
