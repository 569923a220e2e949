"""Times SAC's gradient updates in Stable-Baselines3 and SBX on the work of `cargo bench -p liprl-agents --bench sac`:
17 observations, 6 actions, nets 256-256, batch 256, sampling included. One JSON object a line.

SBX (JAX) has no thread setting: it uses the cores it may run on, so pin the whole script (`taskset -c 0,1`).
"""

import argparse
import json
import statistics
import time

import gymnasium
import numpy as np

OBSERVATIONS, ACTIONS = 17, 6


class Noise(gymnasium.Env):
    """A task of the right shape that costs nothing: only updates are timed."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVATIONS,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(-1.0, 1.0, OBSERVATIONS), {}

    def step(self, action):
        return self.np_random.uniform(-1.0, 1.0, OBSERVATIONS), float(self.np_random.uniform(-1.0, 1.0)), False, False, {}


def learner(library, threads):
    if library == "sb3":
        import torch
        from stable_baselines3 import SAC

        torch.set_num_threads(threads)
        options = {"device": "cpu"}
    else:
        from sbx import SAC

        options = {}
    task = gymnasium.wrappers.TimeLimit(Noise(), 1000)
    return SAC("MlpPolicy", task, batch_size=256, learning_starts=1000, buffer_size=100_000,
               policy_kwargs={"net_arch": [256, 256]}, **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["sb3", "sbx"])
    arguments = parser.parse_args()
    for library in [arguments.only] if arguments.only else ["sb3", "sbx"]:
        model = learner(library, arguments.threads)
        model.learn(1300)  # fills the buffer and compiles what is compiled
        model.train(gradient_steps=arguments.updates, batch_size=256)
        rates = []
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            model.train(gradient_steps=arguments.updates, batch_size=256)
            rates.append(arguments.updates / (time.perf_counter() - start))
        print(json.dumps({"library": library, "what": "updates_per_s", "threads": arguments.threads,
                          "median": statistics.median(rates), "min": min(rates), "max": max(rates)}), flush=True)


if __name__ == "__main__":
    main()
