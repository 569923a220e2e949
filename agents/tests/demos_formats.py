"""The Python side of demos_formats.rs: files of other layouts, and what their own libraries read in them. Answers in JSON."""

import collections
import json
import sys

import gymnasium
import h5py
import minari
import numpy as np
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer


def numbers(array):
    return np.asarray(array, dtype=np.float64).ravel().tolist()


SPACES = {
    # A plain dict is sorted by Gymnasium, an OrderedDict is not.
    "sorted": lambda: spaces.Dict({
        "observation": spaces.Box(-np.inf, np.inf, (2, 2), np.float64),
        "desired_goal": spaces.Box(-1, 1, (2,), np.float32),
        "achieved_goal": spaces.Dict({"z": spaces.Box(0, 1, (), np.float32), "mode": spaces.Discrete(3, start=-1)}),
    }),
    "ordered": lambda: spaces.Dict(collections.OrderedDict([
        ("z", spaces.Box(-1, 1, (1,), np.float32)),
        ("a", spaces.Box(-1, 1, (2,), np.float32)),
    ])),
    "tuple": lambda: spaces.Tuple(tuple(spaces.Box(-1, 1, (1 + i % 2,), np.float32) for i in range(11))),
    "choices": lambda: spaces.Dict({"many": spaces.MultiDiscrete([2, 3]), "bits": spaces.MultiBinary(3)}),
    "discrete": lambda: spaces.Discrete(4),
    "matrix": lambda: spaces.Box(-1, 1, (2, 3), np.float32),
}


class Walk(gymnasium.Env):
    """Random observations of any space."""

    def __init__(self, space="sorted"):
        self.observation_space = SPACES[space]()
        self.action_space = spaces.Box(np.float32([-1, -2]), np.float32([1, 2]))

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.steps += 1
        return self.observation_space.sample(), float(action[0]), self.steps == 7, False, {}


gymnasium.register("Walk-v0", "__main__:Walk")


def collect(name, space):
    """Two episodes of a scripted policy, stored by Minari's DataCollector."""
    env = minari.DataCollector(gymnasium.make("Walk-v0", space=space), data_format="hdf5")
    told, flat = [], gymnasium.spaces.flatten
    for seed in (3, 4):
        observation, _ = env.reset(seed=seed)
        rows, actions, done = [flat(env.observation_space, observation)], [], False
        while not done:
            action = np.float32([np.sin(len(actions)), np.cos(len(actions))])
            observation, _, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
            rows.append(flat(env.observation_space, observation))
            actions.append(action)
        told.append({"observations": numbers(rows), "actions": numbers(actions)})
    env.create_dataset(name, algorithm_name="scripted")
    box = gymnasium.spaces.flatten_space(env.observation_space)
    return {"episodes": told, "low": [str(x) for x in box.low], "high": [str(x) for x in box.high]}


def load(name):
    """The flattened episodes of a dataset, and a step of its environment."""
    dataset = minari.load_dataset(name)
    episodes = [{"observations": numbers(e.observations), "actions": numbers(e.actions), "rewards": numbers(e.rewards)}
                for e in dataset.iterate_episodes()]
    env = dataset.recover_environment()
    observation, _ = env.reset(seed=3)
    return {"episodes": episodes, "space": str(dataset.observation_space), "first": numbers(observation)}


def stored(name, data_format):
    """A small dataset in another storage format."""
    buffers = [EpisodeBuffer(observations=np.full((4, 3), i, np.float32), actions=np.full((3, 1), i, np.float32),
                             rewards=[1.0] * 3, terminations=[False] * 3, truncations=[False, False, True])
               for i in range(2)]
    minari.create_dataset_from_buffers(name, buffers, env=gymnasium.make("Pendulum-v1"), data_format=data_format,
                                       observation_space=spaces.Box(-9, 9, (3,)), action_space=spaces.Box(-2, 2, (1,)))
    return {}


def half(path):
    """All finite half-precision numbers, in both byte orders, as h5py writes them and NumPy reads them."""
    values = np.arange(65536, dtype=np.uint16).view(np.float16)
    values = values[np.isfinite(values)]
    with h5py.File(path, "w") as file:
        for i, order in enumerate("<>"):
            group = file.create_group(f"episode_{i}")
            group["observations"] = np.append(values, 0).astype(f"{order}f2").reshape(-1, 1)
            group.create_dataset("actions", data=values.astype(f"{order}f2").reshape(-1, 1), compression="gzip")
            group["rewards"] = values.astype(f"{order}f2")
            for key in ("terminations", "truncations"):
                group[key] = np.zeros(len(values), bool)
    return {"values": numbers(values)}


def qlearning(data, limit):
    """d4rl.qlearning_dataset by its description: transitions of flat rows, without those it leaves out."""
    kept, steps = [], 0
    for i in range(len(data["rewards"]) - 1):
        steps += 1
        cut = bool(data["timeouts"][i]) if "timeouts" in data else steps == limit
        terminal = bool(data["terminals"][i])
        if not cut:
            after = None if terminal else numbers(data["observations"][i + 1])
            kept.append([numbers(data["observations"][i]), numbers(data["actions"][i]), float(data["rewards"][i]),
                         terminal, after])
        if cut or terminal:
            steps = 0
    return kept


def flat(path, seed, missing, limit):
    """A flat file of random episodes without some columns."""
    rng = np.random.default_rng(seed)
    rows = collections.defaultdict(list)
    while len(rows["rewards"]) < 200:
        terminal = bool(rng.integers(2))
        length = int(rng.integers(1, limit)) if terminal or "timeouts" not in missing else limit
        walk = rng.normal(size=(length + 1, 3)).astype(np.float32)
        for i in range(length):
            rows["observations"].append(walk[i])
            rows["next_observations"].append(walk[i + 1])
            rows["actions"].append(rng.normal(size=2).astype(np.float32))
            rows["rewards"].append(np.float32(rng.normal()))
            rows["terminals"].append(terminal and i + 1 == length)
            rows["timeouts"].append(not terminal and i + 1 == length)
    data = {key: np.array(value) for key, value in rows.items() if key not in missing}
    with h5py.File(path, "w") as file:
        for key, value in data.items():
            file.create_dataset(key, data=value, compression="gzip")
    return {"transitions": qlearning(data, limit)}


def robomimic(path, next_obs):
    """A file of robomimic's layout: four demonstrations, of which a filter has two."""
    rng, told = np.random.default_rng(0), []
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "env_version": "1.4.1", "type": 1,
                                             "env_kwargs": {"robots": ["Panda"], "limit": float("inf")}})
        data.attrs["total"] = 4 * 6
        for i in (0, 1, 2, 10):
            demo = data.create_group(f"demo_{i}")
            demo.attrs["num_samples"] = 6
            demo.attrs["model_file"] = "<mujoco/>"
            eef, gripper = rng.normal(size=(7, 3)), rng.normal(size=(7, 2)).astype(np.float32)
            step = np.arange(7)
            pictures = np.zeros((6, 8, 8, 3), np.uint8)
            for key, value in {"eef_pos": eef, "gripper": gripper, "step": step}.items():
                demo[f"obs/{key}"] = value[:-1]
                if next_obs:
                    demo[f"next_obs/{key}"] = value[1:]
            demo["obs/agentview_image"] = pictures
            demo["actions"] = rng.uniform(-1, 1, size=(6, 4))
            demo["rewards"] = np.array([0, 0, 0, 0, 0, 1.0])
            # Solved at the last step, and in one demonstration before it too.
            demo["dones"] = np.array([0, 0, 0, 0, int(i == 2), int(i != 1)])
            demo["states"] = np.zeros((6, 5))
            told.append({"name": f"demo_{i}", "gripper_eef": numbers(np.hstack([gripper, eef])),
                         "all": numbers(np.hstack([eef, gripper, step[:, None]])), "actions": numbers(demo["actions"])})
        file["mask/train"] = np.array(["demo_10", "demo_1"], dtype="S")
        file["mask/valid"] = ["demo_0", "demo_2"]
        file["mask/broken"] = ["demo_3"]
    return {"demos": told}


def compressed(path, libver):
    """One episode with gzip, whose filter a test renumbers."""
    with h5py.File(path, "w", libver=libver if isinstance(libver, str) else tuple(libver)) as file:
        group = file.create_group("episode_0")
        for key, shape in {"observations": (4, 3), "actions": (3, 1), "rewards": (3,)}.items():
            group.create_dataset(key, data=np.ones(shape), compression="gzip" if key == "actions" else None)
        for key in ("terminations", "truncations"):
            group[key] = np.zeros(3, bool)
    return {}


WORK = {work.__name__: work for work in (collect, load, stored, half, flat, robomimic, compressed)}
request = json.loads(sys.argv[1])
print(json.dumps(WORK[request.pop("work")](**request)))
