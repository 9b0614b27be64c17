"""Rewards of a Guerdon server for verl. Standard library only; written by `guerdon shim verl`.

    guerdon serve ./reward.ts --port 8400

    custom_reward_function.path=guerdon_reward.py            (newer versions: reward.custom_reward_function.path)
    custom_reward_function.name=compute_score                async, one row a call: the server scores concurrent calls together
                                compute_score_sync           for reward managers that do not await
                                compute_score_batch          for the batch manager: lists in, a list out

A row has the columns of extra_info, and completion = solution_str, reference = ground_truth, data_source, and as its prompt
extra_info["prompt"] or extra_info["question"] (put it there when you prepare the data: verl does not hand over the prompt itself).
Every row returns the same keys: score, unscorable, and for each part of the reward <part> and <part>_unscored.

Environment variables: GUERDON_URL (http://127.0.0.1:8400), GUERDON_TOKEN, GUERDON_REWARD (which reward, where the server offers
several), GUERDON_TIMEOUT (seconds after which a server that does not answer is an error: 120), GUERDON_UNSCORABLE: what an answer is
that cannot be scored. verl has no word for it: "fail" (the default) raises an error, "0" gives the score 0 and unscorable 1.
"""

import asyncio

# guerdon: client

UNSCORABLE = os.environ.get("GUERDON_UNSCORABLE", "fail")
if UNSCORABLE not in ("fail", "0"):
    raise GuerdonError("GUERDON_UNSCORABLE is fail or 0, not %r" % UNSCORABLE)
# One call waits for one answer: as many threads as answers are asked for at a time.
_waiting = concurrent.futures.ThreadPoolExecutor(max_workers=128, thread_name_prefix="guerdon-wait")


def _row(data_source, solution_str, ground_truth, extra_info, extra):
    row = _columns({**(extra_info or {}), **extra})
    row["prompt"] = row.get("prompt") or row.get("question") or ""
    row["completion"] = solution_str
    row["data_source"] = _plain(data_source)
    if ground_truth is not None:
        row["reference"] = _plain(ground_truth)
    return row


def _result(score):
    if score["value"] is None and UNSCORABLE == "fail":
        raise GuerdonError("%s: %s (GUERDON_UNSCORABLE=0 gives such answers 0)" % (score["error"]["kind"], score["error"]["message"]))
    parts = score.get("parts", {})
    result = {"score": 0.0 if score["value"] is None else float(score["value"]), "unscorable": float(score["value"] is None)}
    for part in _reward()["parts"]:
        value = parts.get(part)
        result[part] = 0.0 if value is None else float(value)
        result[part + "_unscored"] = float(value is None)
    return result


def compute_score_sync(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """The score of one answer as a dict with the same keys for every row. reward_kwargs become columns of the row."""
    return _result(_score([_row(data_source, solution_str, ground_truth, extra_info, kwargs)])[0])


async def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """As compute_score_sync, without holding up the event loop."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_waiting, lambda: compute_score_sync(data_source, solution_str, ground_truth, extra_info, **kwargs))


def compute_score_batch(data_sources, solution_strs, ground_truths, extra_infos, **kwargs):
    """As compute_score_sync, for many answers at once."""
    rows = [_row(*four, kwargs) for four in zip(data_sources, solution_strs, ground_truths, extra_infos)]
    return [_result(score) for score in (_score(rows) if rows else [])]
