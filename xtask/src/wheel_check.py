"""A user's first minutes with the wheel: training, evaluation, prediction, certificates, errors."""

import json
import os
import pathlib
import subprocess

import gymnasium
import liprl
import numpy as np

here = pathlib.Path.cwd()
assert pathlib.Path(liprl.program()).is_relative_to(here / "venv"), liprl.program()

# The libraries are those of this environment's packages, not those that the program was built with.
traced = subprocess.run([liprl.program(), "--version"], env={**os.environ, "LD_DEBUG": "libs"}, capture_output=True, text=True)
for library in ("libtorch_cpu.so", "libmujoco.so"):
    loaded = [line for line in traced.stderr.splitlines() if "calling init" in line and library in line]
    assert loaded and all(str(here / "venv") in line for line in loaded), (library, loaded)

CONFIG = """
env: Pendulum-v1
steps: 1500
agent: {kind: td3, learning_starts: 500, actor: {hidden: [32, 32]}, critic: {hidden: [32, 32]}}
eval: {every: 500, episodes: 2}
"""
(here / "pendulum.yaml").write_text(CONFIG)
run = liprl.train("pendulum.yaml", out="run", set={"agent.gamma": 0.98}, steps=1000, quiet=True)
rows = liprl.metrics(run)
assert rows[-1]["step"] == 1000 and "eval/return_mean" in rows[-1], rows[-1]

# The policy in numpy, driving Gymnasium, has the returns of `liprl eval`.
env = gymnasium.make("Pendulum-v1")
policy = liprl.load(run, env.action_space)
returns = []
for seed in range(2):
    obs, _ = env.reset(seed=seed)
    total, done = 0.0, False
    while not done:
        obs, reward, terminated, truncated, _ = env.step(policy.predict(obs))
        total, done = total + float(reward), terminated or truncated
    returns.append(total)
episodes = json.loads(liprl.run("eval", run, "--episodes", 2, "--json", quiet=True))["episodes"]
np.testing.assert_allclose(returns, [episode["return"] for episode in episodes], rtol=1e-3)
assert policy.predict(np.zeros((5, 3))).shape == (5, 1)

bounds = liprl.certify(run)
assert bounds, bounds

# MuJoCo and the models of Gymnasium's package are found too.
liprl.train("pendulum.yaml", out="mujoco", set={"env": "Hopper-v5"}, steps=200, quiet=True)
provenance = json.loads((here / "mujoco/provenance.json").read_text())
assert os.environ["EXPECTED_MUJOCO"] in json.dumps(provenance["libraries"]), provenance["libraries"]

try:
    liprl.train("nowhere.yaml", out="nothing", quiet=True)
    raise SystemExit("a missing config must be an error")
except liprl.LiprlError as error:
    assert error.returncode == 2 and "nowhere.yaml" in str(error), error
print("the wheel trains, evaluates, predicts and certifies outside the repository")
