"""Point estimates and intervals of the real `rliable` package, as JSON, for the scores on standard input.

Scores are matrices of runs × tasks: {"x": [[…], …], "y": [[…], …], "gamma": …, "thresholds": […], "resamples": …}.
"""

import json
import sys

import numpy as np
from rliable import library, metrics
from scipy import stats

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


def mean_difference(a, b, c, d):
    """Mean over two pairs of the difference of trimmed means, by scipy's own."""
    a, b, c, d = (stats.trim_mean(scores, 0.25, axis=None) for scores in (a, b, c, d))
    return (a - b + c - d) / 2


answer["mean_difference"] = interval([x, y, np.roll(x, 1, axis=1) * 2, y + 1], mean_difference)
print(json.dumps(answer))
