"""Runs the authors' code of arXiv 2006.16785 (https://github.com/lionelblonde/liayn-pytorch, fetched by hand) on
liprl's demonstrations and Gymnasium's task: its speed on the work of `cargo bench -p liprl-agents --bench gail`, or
with `--curve` its learning curve, a line for each evaluation and then its own end.

    python benches/peers/liayn.py PATH_OF_THE_REPOSITORY
    python benches/peers/liayn.py PATH_OF_THE_REPOSITORY --curve 50000 --seed 0 --paper --set gamma=0.995

Its agents, networks, memory and rollouts run as they are. What they import and is not at hand has a stand-in here:
gym's old interface over Gymnasium's tasks, MPI with one worker, and no wandb, no OpenCV.
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys
import tempfile
import time
import types

import gymnasium
import h5py
import numpy as np
from demonstrations import episodes
from samples import report

# Steps before the clock starts: its updates begin with the first two.
WARM_UP = 300
# The settings of the paper's runs that the released file has otherwise.
PAPER = {"lr_schedule": "constant", "real_ls_type": "none", "one_sided_pen": False}


class Ended(Exception):
    """As many steps as asked for have been made."""


class OldGym:
    """A Gymnasium task behind gym's interface of four values a step."""

    def __init__(self, task, on_step):
        self.task, self.on_step = gymnasium.make(task), on_step
        self.observation_space, self.action_space = self.task.observation_space, self.task.action_space
        self._max_episode_steps, self._elapsed_steps = self.task.spec.max_episode_steps, 0
        self.next_seed = None

    def seed(self, seed):
        self.next_seed = seed

    def reset(self):
        seed, self.next_seed, self._elapsed_steps = self.next_seed, None, 0
        return self.task.reset(seed=seed)[0]

    def step(self, action):
        self.on_step()
        observation, reward, terminated, truncated, info = self.task.step(action)
        self._elapsed_steps += 1
        return observation, reward, terminated or truncated, info

    def close(self):
        self.task.close()


class OneWorker:
    """MPI's communicator where there is one process."""

    def Get_rank(self):
        return 0

    def Get_size(self):
        return 1

    def Allreduce(self, send, receive, op=None):
        receive[...] = send

    def Bcast(self, values, root=0):
        pass

    def Barrier(self):
        pass


def stand_in(task, on_step, on_log):
    """Puts modules in place of those that its files import."""
    made = []

    def make(_):
        # The first task made is the one learned on, the second that of evaluations.
        made.append(OldGym(task, on_step if not made else lambda: None))
        return made[-1]

    modules = {
        "gym": {"make": make},
        "mpi4py": {"MPI": types.SimpleNamespace(COMM_WORLD=OneWorker(), SUM=None)},
        "wandb": {"init": lambda **_: None, "log": on_log},
        "cv2": {},
    }
    for name, contents in modules.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        sys.modules[name] = module
    os.environ.setdefault("CONDA_PREFIX", "/nonexistent")  # it looks for a lock file below it
    np.asscalar = lambda array: array.item()  # gone since NumPy 1.23


def demonstrations(file, folder):
    """Writes each episode of a Minari file as the file that its dataset reads."""
    for index, episode in enumerate(episodes(file)):
        observations, dones = episode["observations"], episode["terminations"] | episode["truncations"]
        with h5py.File(folder / f"demo{index:03}.h5", "w") as out:
            out["obs0"], out["obs1"], out["acs"] = observations[:-1], observations[1:], episode["actions"]
            out["dones1"] = dones
            out["ep_lens"], out["ep_env_rets"] = np.int64(len(dones)), np.float64(episode["rewards"].sum())


def settings(argparser, repository, changes, task, folder, seed, every):
    """Its command line for the released settings, with `changes`."""
    import yaml

    released = yaml.safe_load((repository / "tasks/train_mujoco_sam.yaml").read_text())
    flat = {key: value for key, value in released.items() if not isinstance(value, dict)} | changes
    words = []
    for key, value in flat.items():
        if isinstance(value, bool):
            words.append(f"--{key}" if value else f"--no-{key}")
        elif key != "eval_frequency":
            # Its spawner's shell strips the inner quotes, and the file has numbers that YAML takes for text.
            text = str(value).strip('"')
            words.append(f"--{key}={int(float(text)) if key in ('num_timesteps', 'mem_size') else text}")
    args = argparser().parse_args([
        *words, "--task=train", "--algo=sam-dac", f"--env_id={task.rsplit('-', 1)[0]}-v3", f"--seed={seed}",
        f"--expert_path={folder}", "--num_demos=10", f"--eval_frequency={every}", "--uuid=run", "--no-render",
    ])
    args.root = str(folder)
    for kind in ("checkpoint", "log", "video", "replay"):
        vars(args)[f"{kind}_dir"] = str(folder / kind)
    return args


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=pathlib.Path)
    parser.add_argument("--task", default="Hopper-v5")
    parser.add_argument("--demonstrations", type=pathlib.Path, default="demos/hopper.hdf5")
    parser.add_argument("--threads", type=int, default=1, help="reported only: its code keeps to one")
    parser.add_argument("--steps", type=int, default=600, help="steps that are timed")
    parser.add_argument("--curve", type=int, help="learns for so many steps instead, and evaluates")
    parser.add_argument("--every", type=int, default=5000, help="steps between evaluations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--paper", action="store_true", help="the settings of the paper's runs, not the released ones")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    changes = (PAPER if arguments.paper else {}) | dict(pair.split("=", 1) for pair in arguments.set)
    # An evaluation follows the two steps of its iteration.
    ends = arguments.curve + 2 if arguments.curve else WARM_UP + arguments.steps
    clock = []

    def on_step():
        clock.append(time.perf_counter())
        if len(clock) > ends:
            raise Ended

    def on_log(values, step=None):
        if "eval_env_ret" in values and arguments.curve:
            line = {"step": step, "return_mean": float(values["eval_env_ret"]), "seconds": clock[-1] - clock[0]}
            print(json.dumps(line), file=sys.__stdout__, flush=True)

    stand_in(arguments.task, on_step, on_log)
    repository = arguments.repository.resolve()
    sys.path.insert(0, str(repository))
    with tempfile.TemporaryDirectory() as name, open(os.devnull, "w") as nowhere:
        folder = pathlib.Path(name)
        demonstrations(arguments.demonstrations, folder)
        with contextlib.redirect_stdout(nowhere):
            from helpers.argparsers import argparser
            import main as program

            # Evaluations follow the first iteration, of two steps, and then every so many.
            every = arguments.every // 2 if arguments.curve else 10**9
            args = settings(argparser, repository, changes, arguments.task, folder, arguments.seed, every)
            with contextlib.suppress(Ended):
                program.train(args)
    if not arguments.curve:
        timed = clock[WARM_UP:]
        steps = len(timed) - 1
        fifth = steps // 5
        rates = [fifth / (timed[(i + 1) * fifth] - timed[i * fifth]) for i in range(5)]
        report("liayn", "gail_steps_per_s", arguments.threads, rates)


if __name__ == "__main__":
    main()
