"""Times a step of one environment in Python itself and through Gymnasium's vector environments, for
`cargo bench -p liprl-envs --bench python`, which times liprl's worker alternately with it. One JSON object a line:
microseconds per step, the median over blocks.
"""

import argparse
import json
import statistics
import time

import gymnasium
import numpy as np

TASKS = {
    "trivial": lambda: gymnasium.make(gymnasium.envs.registration.EnvSpec("Trivial-v0", entry_point="trivial:Trivial"),
                                      disable_env_checker=True),
    "hopper": lambda: gymnasium.make("Hopper-v5", terminate_when_unhealthy=False, disable_env_checker=True),
}


def blocks(reset, step, action, done, count, size):
    """Microseconds per step in each of `count` blocks."""
    times = []
    reset()
    for _ in range(count):
        start = time.perf_counter()
        for _ in range(size):
            result = step(action)
            if done and (result[2] or result[3]):
                reset()
        times.append((time.perf_counter() - start) / size * 1e6)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=list(TASKS), required=True)
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--size", type=int, default=200)
    arguments = parser.parse_args()
    make = TASKS[arguments.task]
    rows = []
    env = make()
    action = np.full(env.action_space.shape, 0.25, env.action_space.dtype)
    rows.append(("env.step", blocks(lambda: env.reset(seed=0), env.step, action, True, arguments.blocks, arguments.size)))
    env.close()
    for name, kind in [("SyncVectorEnv", gymnasium.vector.SyncVectorEnv), ("AsyncVectorEnv", gymnasium.vector.AsyncVectorEnv)]:
        envs = kind([make])
        rows.append((name, blocks(lambda: envs.reset(seed=0), envs.step, action[None], False, arguments.blocks, arguments.size)))
        envs.close()
    for name, times in rows:
        print(json.dumps({"library": name, "what": f"python_{arguments.task}_step_us", "threads": 1,
                          "median": statistics.median(times)}), flush=True)


if __name__ == "__main__":
    main()
