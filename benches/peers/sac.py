"""Soft actor-critic in Stable-Baselines3 and SBX, timed on the work of `agents/benches/sac.rs`.

HalfCheetah-v5 (17 observations, 6 actions), two hidden layers of 256, batches of 256: gradient updates per second on
a filled buffer, and environment steps per second with one update a step. One JSON object per measurement. SBX uses
every core it may run on, so pin the process to as many as `--threads` says; `cargo xtask bench` does.
"""

import argparse
import json
import statistics
import time

BATCH = 256
WARM_UP = 1000  # environment steps before learning starts


def stable_baselines3(threads):
    import torch
    from stable_baselines3 import SAC

    torch.set_num_threads(threads)
    return SAC("MlpPolicy", "HalfCheetah-v5", batch_size=BATCH, learning_starts=WARM_UP, device="cpu", seed=0)


def sbx(threads):
    from sbx import SAC

    return SAC("MlpPolicy", "HalfCheetah-v5", batch_size=BATCH, learning_starts=WARM_UP, seed=0)


def rates(work, amount, repeats):
    """The amount of work per second in each of several goes, after one that warms up and compiles."""
    work(amount)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work(amount)
        seconds.append(time.perf_counter() - start)
    return [amount / second for second in seconds]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    for library, make in [("Stable-Baselines3", stable_baselines3), ("SBX", sbx)]:
        model = make(arguments.threads)
        model.learn(WARM_UP + 100)
        measurements = {
            "updates_per_s": lambda n: model.train(gradient_steps=n, batch_size=BATCH),
            "steps_per_s_end_to_end": lambda n: model.learn(n, reset_num_timesteps=False),
        }
        for what, work in measurements.items():
            values = rates(work, arguments.updates, arguments.repeats)
            row = {"library": library, "what": what, "threads": arguments.threads}
            row |= {"median": round(statistics.median(values), 1), "min": round(min(values), 1), "max": round(max(values), 1)}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
