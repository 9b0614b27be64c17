import concurrent.futures
import datetime
import http.client
import json
import math
import os
import time
import urllib.error
import urllib.request
import warnings

URL = os.environ.get("GUERDON_URL", "http://127.0.0.1:8400").rstrip("/")
REWARD = os.environ.get("GUERDON_REWARD") or None
SECONDS = float(os.environ.get("GUERDON_TIMEOUT", "120"))
ROWS_A_REQUEST = 64
_pool = concurrent.futures.ThreadPoolExecutor(max_workers=16, thread_name_prefix="guerdon")
_known = {}
_told = set()


class GuerdonError(RuntimeError):
    """The reward server could not be asked, or refused."""


def _request(path, body=None):
    """Asks the server; again, up to SECONDS in all, while it is busy, starting or not reachable."""
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    token = os.environ.get("GUERDON_TOKEN")
    if token:
        headers["Authorization"] = "Bearer " + token
    data = None if body is None else json.dumps(body, allow_nan=False).encode("utf-8")
    give_up = time.monotonic() + SECONDS
    pause = 0.25
    while True:
        left = give_up - time.monotonic()
        try:
            request = urllib.request.Request(URL + path, data=data, headers=headers)
            with urllib.request.urlopen(request, timeout=max(0.1, left)) as response:
                return json.loads(response.read().decode("utf-8"))
        except urllib.error.HTTPError as error:
            said = _sentence(error)
            if error.code == 401:
                said += " Set the environment variable GUERDON_TOKEN to the server's token."
            reason = "%s%s answered HTTP %d: %s" % (URL, path, error.code, said)
            if error.code not in (429, 502, 503, 504):
                raise GuerdonError(reason) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = getattr(error, "reason", None) or str(error) or type(error).__name__
            reason = "%s%s cannot be reached: %s. Is `guerdon serve` running there? GUERDON_URL says where to look." % (URL, path, why)
        if time.monotonic() + pause >= give_up:
            raise GuerdonError("%s (tried for %g s, GUERDON_TIMEOUT)" % (reason, SECONDS))
        time.sleep(pause)
        pause = min(5.0, pause * 2)


def _sentence(error):
    text = error.read().decode("utf-8", "replace")
    try:
        return json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return text[:200]


def _reward():
    """The reward that scores: its name and parts, asked once. Its parts fix the names that are reported."""
    if "reward" not in _known:
        rewards = _request("/v1/rewards")["rewards"]
        fits = [one for one in rewards if (REWARD in (one["export"], one["name"]) if REWARD else one["default"])]
        if not fits:
            names = ", ".join(one["export"] for one in rewards)
            raise GuerdonError("Set the environment variable GUERDON_REWARD to one of the rewards of %s: %s" % (URL, names))
        _known["reward"] = fits[0]
    return _known["reward"]


def _score(rows):
    """One score a row, in their order."""
    reward = _reward()["export"]
    # A reward that compares answers must see all of them at once.
    size = len(rows) if _reward()["scope"] == "group" else ROWS_A_REQUEST
    lots = [rows[i : i + size] for i in range(0, len(rows), max(1, size))]
    replies = [_request("/v1/score", {"rows": lot, "reward": reward}) for lot in lots[:1]]
    if len(lots) > 1:
        replies += _pool.map(lambda lot: _request("/v1/score", {"rows": lot, "reward": reward}), lots[1:])
    scores = [score for reply in replies for score in reply["scores"]]
    if len(scores) != len(rows):
        raise GuerdonError("%s was asked for %d scores and gave %d." % (URL, len(rows), len(scores)))
    return scores


def _plain(value):
    """A value as JSON can hold it: numpy's numbers and arrays and dates are taken along. Raises TypeError for what it cannot hold."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    raise TypeError(type(value).__name__)


def _columns(columns):
    """Those columns that can be sent; the others are left out, which is said once."""
    kept = {}
    for name, value in columns.items():
        try:
            kept[name] = _plain(value)
        except TypeError as error:
            if name not in _told:
                _told.add(name)
                warnings.warn("guerdon: the column %r holds a %s, which is not sent to the reward" % (name, error))
    return kept
