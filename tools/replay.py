"""Replays a run's metrics.jsonl into an experiment tracker through its own API.

    python tools/replay.py RUN_FOLDER --to wandb|mlflow|trackio [--project NAME] [--follow]

The run may still be going on: --follow waits for new rows until it ends.
"""

import argparse
import json
import time
from pathlib import Path


def rows(run, follow):
    """The rows of metrics.jsonl as (step, {name: number}); null is left out."""
    with open(run / "metrics.jsonl", encoding="utf-8") as file:
        line = ""
        while True:
            line += file.readline()
            if line.endswith("\n"):
                row = {name: value for name, value in json.loads(line).items() if value is not None}
                yield row.pop("step"), row
                line = ""
            elif follow and json.loads((run / "summary.json").read_text())["status"] == "running":
                time.sleep(1)
            else:
                return


def replay(run, to, project, follow):
    name, config = "-".join(run.resolve().parts[-2:]), (run / "config.yaml").read_text()
    if to == "mlflow":
        import mlflow

        mlflow.set_experiment(project)
        with mlflow.start_run(run_name=name):
            mlflow.log_text(config, "config.yaml")
            for step, row in rows(run, follow):
                mlflow.log_metrics({key.replace("∞", "inf"): value for key, value in row.items()}, step=step)
        return
    tracker = __import__(to)  # wandb and trackio share one interface
    tracker.init(project=project, name=name, config={"config.yaml": config})
    for step, row in rows(run, follow):
        tracker.log(row, step=step)
    tracker.finish()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--to", choices=["wandb", "mlflow", "trackio"], required=True)
    parser.add_argument("--project", default="liprl")
    parser.add_argument("--follow", action="store_true")
    arguments = parser.parse_args()
    replay(arguments.run, arguments.to, arguments.project, arguments.follow)
