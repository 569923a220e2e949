"""Reads a run folder with the real tensorboard package and prints what it found, as JSON.

Two ways in: EventAccumulator on the run, as people's scripts do, and what each tab of TensorBoard's page asks its server for, on the
folder of runs around it.
"""

import base64
import json
import math
import os
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.program import TensorBoard
from werkzeug.test import Client


def accumulated(folder):
    found = EventAccumulator(folder, size_guidance=dict.fromkeys(["scalars", "histograms", "images", "tensors"], 0))
    found.Reload()
    tags = found.Tags()
    return {
        "scalars": {tag: [[e.step, None if math.isnan(e.value) else e.value] for e in found.Scalars(tag)] for tag in tags["scalars"]},
        "histograms": {
            tag: [[e.step, e.histogram_value.__dict__] for e in found.Histograms(tag)] for tag in tags["histograms"]
        },
        "images": {
            tag: [[e.step, e.width, e.height, base64.b64encode(e.encoded_image_string).decode()] for e in found.Images(tag)]
            for tag in tags["images"]
        },
        "text": {
            tag: [[e.step, e.tensor_proto.string_val[0].decode()] for e in found.Tensors(tag)]
            for tag in tags["tensors"]
            if found.SummaryMetadata(tag).plugin_data.plugin_name == "text"
        },
    }


def served(folder):
    from tensorboard import default
    from tensorboard.backend import application

    board = TensorBoard(plugins=default.get_plugins())
    board.configure(logdir=folder, load_fast="false", reload_interval=0, reload_task="blocking")
    ingester = board._make_data_ingester()
    ingester.start()
    client = Client(application.TensorBoardWSGIApp(board.flags, board.plugin_loaders, ingester.data_provider))

    def ask(path, **body):
        answer = client.post(path, json=body) if body else client.get(path)
        return json.loads(answer.get_data())

    hparams = "/data/plugin/hparams/"
    experiment = ask(hparams + "experiment", experimentName="", includeMetrics=True)
    columns = [{"metric": m["name"], "order": "ORDER_UNSPECIFIED"} for m in experiment["metricInfos"]]
    groups = ask(
        hparams + "session_groups",
        experimentName="",
        allowedStatuses=["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        colParams=columns,
        startIndex=0,
        sliceSize=100,
    )
    tags = {tab: ask(f"/data/plugin/{tab}/tags") for tab in ["scalars", "histograms", "images", "text"]}
    return {
        "tags": tags,
        "histograms": {
            tag: ask(f"/data/plugin/histograms/histograms?run={run}&tag={tag}")
            for run, of_run in tags["histograms"].items()
            for tag in of_run
        },
        "experiment": experiment,
        "groups": groups,
    }


print(json.dumps({"accumulated": accumulated(sys.argv[1]), "served": served(os.path.dirname(sys.argv[1]))}))
