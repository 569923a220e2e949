"""Optuna's TPE on the two test functions of docs/results/search.md: one line per search, its best value.

    pip install optuna==5.0.0
    python benches/peers/optuna_functions.py [SEARCHES]
"""

import math
import statistics
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def branin(trial):
    x = trial.suggest_float("x", -5.0, 10.0)
    y = trial.suggest_float("y", 0.0, 15.0)
    bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def valley(trial):
    """Rosenbrock's valley with two settings of another kind: a logarithmic one and a category."""
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    x = trial.suggest_float("x", -2.0, 2.0)
    y = trial.suggest_float("y", -2.0, 2.0)
    kind = trial.suggest_categorical("kind", [0.0, 0.5, 1.0, 0.25])
    return (math.log10(lr) + 3) ** 2 + 0.1 * math.log1p(100 * (y - x**2) ** 2 + (1 - x) ** 2) + kind


def regret(function, least, trials, seed, sampler):
    study = optuna.create_study(sampler=sampler(seed))
    study.optimize(function, n_trials=trials)
    return study.best_value - least


def main():
    searches = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    samplers = {
        "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
        "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    }
    print(f"optuna {optuna.__version__}, {searches} searches each")
    for name, function, least in [("branin", branin, 0.39788735772973816), ("valley", valley, 0.0)]:
        for trials in [40, 100]:
            for method, sampler in samplers.items():
                found = sorted(regret(function, least, trials, seed, sampler) for seed in range(searches))
                mean, median = statistics.mean(found), statistics.median(found)
                high = found[searches * 9 // 10]
                print(f"{name}, {trials} trials, {method}: mean {mean:.4f}, median {median:.4f}, 90 % {high:.4f}", flush=True)


main()
