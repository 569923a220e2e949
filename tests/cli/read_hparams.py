"""Prints what TensorBoard shows of a sweep: its runs, and the rows of the HPARAMS tab."""

import json
import sys

from tensorboard import default
from tensorboard.backend import application
from tensorboard.program import TensorBoard
from werkzeug.test import Client

board = TensorBoard(plugins=default.get_plugins())
board.configure(logdir=sys.argv[1], load_fast="false", reload_interval=0, reload_task="blocking")
ingester = board._make_data_ingester()
ingester.start()
client = Client(application.TensorBoardWSGIApp(board.flags, board.plugin_loaders, ingester.data_provider))


def ask(path, **body):
    return json.loads((client.post(path, json=body) if body else client.get(path)).get_data())


experiment = ask("/data/plugin/hparams/experiment", experimentName="", includeMetrics=True)
groups = ask(
    "/data/plugin/hparams/session_groups",
    experimentName="",
    allowedStatuses=["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
    colParams=[{"metric": metric["name"], "order": "ORDER_UNSPECIFIED"} for metric in experiment["metricInfos"]],
    startIndex=0,
    sliceSize=100,
)
rows = {
    group["name"]: {
        "hparams": group["hparams"],
        "sessions": len(group["sessions"]),
        "metrics": {value["name"]["tag"]: value["value"] for value in group["metricValues"]},
    }
    for group in groups["sessionGroups"]
}
print(json.dumps({"runs": sorted(ask("/data/plugin/scalars/tags")), "rows": rows}))
