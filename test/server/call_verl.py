"""Calls the verl shim as verl's reward managers do, sync, async and in a batch. Prints JSON."""
import asyncio
import importlib.util
import inspect
import json
import sys

# As verl loads a reward function: by path and name, and with reward_kwargs.
spec = importlib.util.spec_from_file_location("custom_module", sys.argv[1] + "/guerdon_reward.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


class Index(int):
    """Stands for numpy's numbers, which verl's rows hold."""

    def tolist(self):
        return int(self)


extra_info = {"split": "train", "index": Index(3), "question": "6 x 7?", "num_turns": 1}
rows = [
    dict(data_source="math", solution_str=text, ground_truth="42", extra_info=extra_info) for text in json.loads(sys.argv[2])
]


async def main():
    return await asyncio.gather(*(module.compute_score(**row) for row in rows))


assert inspect.iscoroutinefunction(module.compute_score)
batch = {
    "data_sources": [row["data_source"] for row in rows],
    "solution_strs": [row["solution_str"] for row in rows],
    "ground_truths": [row["ground_truth"] for row in rows],
    "extra_infos": [row["extra_info"] for row in rows],
}
print(
    json.dumps(
        {
            "async": asyncio.run(main()),
            "sync": [module.compute_score_sync(**row) for row in rows],
            "batch": module.compute_score_batch(**batch),
            "none": module.compute_score_batch([], [], [], []),
        }
    )
)
