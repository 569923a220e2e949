"""The search of benches/peers/search_td3.yaml by Optuna: the same runs, settings, score and batches.

    pip install optuna==5.0.0
    python benches/peers/optuna_td3.py target/release/liprl OUT_FOLDER SEARCH_SEED [JOBS]

Prints the best score after each batch, and the best point run again with fresh seeds.
"""

import json
import pathlib
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
BASE = pathlib.Path(__file__).parents[2] / "configs/td3/pendulum.yaml"
FIXED = {
    "steps": 4000,
    "eval.every": 1000,
    "eval.episodes": 5,
    "agent.learning_starts": 500,
    "agent.actor.hidden": "[64, 64]",
    "agent.critic.hidden": "[64, 64]",
    "log.tensorboard": "false",
}
POINTS, PARALLEL, STARTUP = 24, 4, 8
SEEDS, FRESH = (0, 1, 2), (3, 4, 5, 6, 7)


def settings(trial):
    return {
        "agent.actor.lr": trial.suggest_float("actor.lr", 1e-5, 1e-1, log=True),
        "agent.critic.lr": trial.suggest_float("critic.lr", 1e-5, 1e-1, log=True),
        "agent.batch_size": trial.suggest_int("batch_size", 16, 256, log=True),
        "agent.gamma": trial.suggest_float("gamma", 0.8, 0.999),
        "agent.n_step": trial.suggest_categorical("n_step", [1, 3, 5]),
    }


def score(program, out, values, seed):
    """Mean of the run's evaluations; None if it failed."""
    sets = [f"{path}={value}" for path, value in (FIXED | values).items()]
    command = [program, "train", BASE, "--out", out, "--seed", str(seed), "--quiet"]
    done = subprocess.run(command + [word for one in sets for word in ("--set", one)], capture_output=True)
    if done.returncode != 0:
        return None
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return statistics.mean(event["eval/return_mean"] for event in events if "eval/return_mean" in event)


def main():
    program, out, seed = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    jobs = int(sys.argv[4]) if len(sys.argv) > 4 else 2
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    with ThreadPoolExecutor(jobs) as pool:
        run = lambda name, values, seed: pool.submit(score, program, out / name, values, seed)
        tried = {}
        for _ in range(POINTS // PARALLEL):
            batch = [study.ask() for _ in range(PARALLEL)]
            tried |= {trial.number: settings(trial) for trial in batch}
            futures = [
                [run(f"{trial.number:03}/{seed}", tried[trial.number], seed) for seed in SEEDS] for trial in batch
            ]
            for trial, of_trial in zip(batch, futures):
                values = [future.result() for future in of_trial]
                if None in values:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(trial, statistics.mean(values))
            print(f"{len(tried)} trials: {study.best_value:.1f}", flush=True)
        best = study.best_trial.number
        again = [run(f"again/{seed}", tried[best], seed) for seed in FRESH]
        fresh = [future.result() for future in again]
    print(f"best {study.best_value:.1f}, fresh seeds {statistics.mean(fresh):.1f}: {tried[best]}")


main()
