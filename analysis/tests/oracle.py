"""Point estimates and intervals of the real `rliable` package, as JSON, for the scores on standard input.

Scores are matrices of runs × tasks: {"x": [[…], …], "y": [[…], …], "gamma": …, "thresholds": […], "resamples": …}.
"""

import json
import sys

import numpy as np
from rliable import library, metrics

given = json.load(sys.stdin)
x, y = np.array(given["x"]), np.array(given["y"])
thresholds = np.array(given["thresholds"])
np.random.seed(0)

estimates = {
    "mean": metrics.aggregate_mean,
    "median": metrics.aggregate_median,
    "iqm": metrics.aggregate_iqm,
    "gap": lambda scores: metrics.aggregate_optimality_gap(scores, given["gamma"]),
}


def interval(scores, estimate, **more):
    point, ends = library.get_interval_estimates(
        {"x": scores}, lambda *drawn: np.array([estimate(*drawn)]), reps=given["resamples"], **more
    )
    return [float(point["x"][0]), float(ends["x"][0][0]), float(ends["x"][1][0])]


answer = {name: interval(x, estimate) for name, estimate in estimates.items()}
answer["iqm_over_tasks"] = interval(x, metrics.aggregate_iqm, task_bootstrap=True)
answer["improvement"] = interval([x, y], metrics.probability_of_improvement)
profile, ends = library.create_performance_profile({"x": x}, thresholds, reps=given["resamples"])
answer["profile"] = [list(map(float, row)) for row in zip(profile["x"], ends["x"][0], ends["x"][1])]
print(json.dumps(answer))
