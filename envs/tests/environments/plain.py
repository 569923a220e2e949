"""Plays an environment by Gymnasium alone: what a worker's numbers are compared with. Reads the request as JSON, prints
the spaces and every step's numbers as JSON."""
import contextlib
import importlib
import json
import sys

request = json.loads(sys.argv[1])
with contextlib.redirect_stdout(sys.stderr):
    import gymnasium
    import numpy as np

    for name in request["import"]:
        importlib.import_module(name)
    env = gymnasium.make(request["id"], disable_env_checker=True)
    space = env.observation_space
    flat = gymnasium.spaces.flatten_space(space)
    side = lambda values: [float(x) if np.isfinite(x) else None for x in values]
    row = lambda obs: [float(x) for x in gymnasium.spaces.flatten(space, obs)]
    obs, _ = env.reset(seed=request["seed"])
    rows = [row(obs)]
    for action in request["actions"]:
        obs, reward, terminated, truncated, _ = env.step(np.array(action).astype(env.action_space.dtype).reshape(env.action_space.shape))
        rows.append([*row(obs), float(reward), float(terminated), float(truncated)])
print(json.dumps({"low": side(flat.low), "high": side(flat.high), "rows": rows}))
