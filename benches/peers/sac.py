"""Times SAC in Stable-Baselines3 and SBX, one JSON object a line: gradient updates on the work of `cargo bench -p
liprl-agents --bench sac` (17 observations, 6 actions, nets 256-256, batch 256, sampling included), and steps of
HalfCheetah-v5 with one update each, end to end.

SBX (JAX) has no thread setting: it uses the cores it may run on, so pin the whole script (`taskset -c 0,1`).
"""

import argparse
import time

import gymnasium
import numpy as np
from samples import report

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


def learner(library, threads, task):
    if library == "sb3":
        import torch
        from stable_baselines3 import SAC

        torch.set_num_threads(threads)
        options = {"device": "cpu"}
    else:
        from sbx import SAC

        options = {}
    return SAC("MlpPolicy", task, batch_size=256, learning_starts=1000, buffer_size=100_000,
               policy_kwargs={"net_arch": [256, 256]}, **options)


def rates(count, repeats, work):
    """Rates per second of `work` on `count` things."""
    measured = []
    for _ in range(repeats):
        start = time.perf_counter()
        work(count)
        measured.append(count / (time.perf_counter() - start))
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["sb3", "sbx"])
    arguments = parser.parse_args()
    for library in [arguments.only] if arguments.only else ["sb3", "sbx"]:
        work = {}
        updates = learner(library, arguments.threads, gymnasium.wrappers.TimeLimit(Noise(), 1000))
        work["updates_per_s"] = lambda count: updates.train(gradient_steps=count, batch_size=256)
        steps = learner(library, arguments.threads, gymnasium.make("HalfCheetah-v5"))
        work["steps_per_s_end_to_end"] = lambda count: steps.learn(count, reset_num_timesteps=False)
        for model in updates, steps:
            model.learn(1300)  # fills the buffer and compiles what is compiled
        updates.train(gradient_steps=arguments.updates, batch_size=256)
        for what, of in work.items():
            report(library, what, arguments.threads, rates(arguments.updates, arguments.repeats, of))


if __name__ == "__main__":
    main()
