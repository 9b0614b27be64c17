"""Rewards of a Guerdon server for TRL. Standard library only; written by `guerdon shim trl`.

    guerdon serve ./reward.ts --port 8400

    from guerdon_reward import guerdon_reward
    GRPOTrainer(..., reward_funcs=[guerdon_reward])

Every column of the dataset reaches the reward as a column of its rows. An answer that cannot be scored is None, which TRL leaves out
of the group's mean. Parts of the reward are logged as guerdon/<part>, the share of answers without a score as guerdon/unscorable.

Environment variables: GUERDON_URL (http://127.0.0.1:8400), GUERDON_TOKEN, GUERDON_REWARD (which reward, where the server offers
several), GUERDON_TIMEOUT (seconds after which a server that does not answer is an error: 120).
"""

# guerdon: client

# What TRL hands over beside the columns of the dataset.
_NOT_COLUMNS = {"prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments"}


def guerdon_reward(prompts, completions, log_metric=None, log_extra=None, **kwargs):
    """A reward function for TRL's trainers: one number, or None, for each completion. Raises GuerdonError when the server cannot be asked."""
    count = len(completions)
    columns = {
        name: values
        for name, values in kwargs.items()
        if name not in _NOT_COLUMNS and isinstance(values, (list, tuple)) and len(values) == count
    }
    rows = []
    for i in range(count):
        row = _columns({name: values[i] for name, values in columns.items()})
        row["prompt"] = _plain(prompts[i])
        row["completion"] = _plain(completions[i])
        rows.append(row)
    scores = _score(rows) if rows else []
    if log_metric is not None and scores:
        log_metric("guerdon/unscorable", sum(score["value"] is None for score in scores) / count)
        # The same names in every batch, whatever was scored: processes that train together must agree on them.
        for part in _reward()["parts"]:
            values = [score.get("parts", {}).get(part) for score in scores]
            given = [value for value in values if value is not None]
            log_metric("guerdon/" + part, sum(given) / len(given) if given else math.nan)
    if log_extra is not None and scores:
        log_extra("guerdon_note", [(score.get("error") or {}).get("message") or score.get("note") or "" for score in scores])
    return [score["value"] for score in scores]
