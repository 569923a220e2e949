"""Prints a run's TensorBoard scalars and histograms as one JSON line: no times, no speeds, no config."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
events.Reload()
tags = events.Tags()
found = {}
for tag in sorted(tags["scalars"]):
    if not tag.startswith("perf/"):
        found[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
for tag in sorted(tags["histograms"]):
    found[tag] = [(event.step, event.histogram_value.bucket_limit, event.histogram_value.bucket) for event in events.Histograms(tag)]
for tag in sorted(tags["tensors"]):
    if not tag.startswith(("perf/", "config", "_hparams_/")):
        found[tag] = [(event.step, event.tensor_proto.SerializeToString().hex()) for event in events.Tensors(tag)]
print(json.dumps(found))
