"""Reads an event file of ours with TensorBoard's own reader (tensorboard 2.x) and writes what it found to scalars.json.

python test/golden/read_events.py test/golden/tensorboard
"""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = sys.argv[1]
events = EventAccumulator(folder)
events.Reload()
found = {tag: [[e.wall_time, e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
with open(f"{folder}/scalars.json", "w") as out:
    json.dump(found, out, indent=1)
    out.write("\n")
