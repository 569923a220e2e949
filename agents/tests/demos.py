"""The Python side of demos.rs: what Minari makes of our files, and files that Minari makes. Answers in JSON."""

import json
import sys

import gymnasium
import h5py
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer


def numbers(array):
    return np.asarray(array, dtype=np.float64).ravel().tolist()


def load(name, replay):
    """All of a dataset, and how far its environment, made again, strays from it on the same seeds and actions."""
    dataset = minari.load_dataset(name)
    sampled = dataset.sample_episodes(len(dataset))
    episodes, error = [], 0.0
    for episode, metadata in zip(dataset.iterate_episodes(), dataset.storage.get_episode_metadata(dataset.episode_indices)):
        assert episode.terminations.dtype == bool and episode.truncations.dtype == bool
        assert dataset.action_space.contains(episode.actions[0]), "the action's type is not the space's"
        assert dataset.observation_space.contains(episode.observations[0])
        episodes.append({
            "seed": metadata["seed"],
            "total_steps": int(metadata["total_steps"]),
            "observations": numbers(episode.observations),
            "observations_shape": episode.observations.shape,
            "actions": numbers(episode.actions),
            "actions_shape": episode.actions.shape,
            "rewards": numbers(episode.rewards),
            "terminations": episode.terminations.tolist(),
            "truncations": episode.truncations.tolist(),
            "infos": {key: [str(x) for x in value] for key, value in (episode.infos or {}).items()},
        })
        if replay:
            env = dataset.recover_environment()
            observations = [env.reset(seed=metadata["seed"])[0]]
            for action in episode.actions:
                observation, _, _, truncated, _ = env.step(action)
                observations.append(observation)
            assert truncated == episode.truncations[-1]
            error = max(error, float(np.abs(np.array(observations) - episode.observations).max()))
    spec = dataset.env_spec
    space = dataset.observation_space
    return {
        "total_steps": dataset.total_steps,
        "sampled_steps": sum(len(episode.rewards) for episode in sampled),
        "id": dataset.spec.dataset_id,
        "algorithm": dataset.storage.metadata["algorithm_name"],
        "env": {"id": spec.id, "max_episode_steps": spec.max_episode_steps, "kwargs": spec.kwargs},
        "space": {"dtype": str(space.dtype), "low": [str(x) for x in space.low], "high": [str(x) for x in space.high]},
        "episodes": episodes,
        "replay_error": error,
    }


def make(name):
    """Two Pendulum episodes of random actions, stored by Minari itself."""
    env = gymnasium.make("Pendulum-v1")
    buffers, told = [], []
    for seed in (3, 4):
        env.action_space.seed(seed)
        observation, _ = env.reset(seed=seed)
        data = {"observations": [observation], "actions": [], "rewards": [], "terminations": [], "truncations": []}
        infos = {"angle": [0.5]}
        done = False
        while not done:
            action = env.action_space.sample()
            observation, reward, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
            for key, value in zip(data, (observation, action, float(reward), terminated, truncated)):
                data[key].append(value)
            infos["angle"].append(float(observation[0]))
        buffers.append(EpisodeBuffer(seed=seed, infos=infos, **data))
        told.append({"seed": seed, "angle": infos["angle"], **{key: numbers(value) for key, value in data.items()}})
    minari.create_dataset_from_buffers(name, buffers, env=env, algorithm_name="random")
    return {"episodes": told}


def recover(name):
    """The kwargs of a dataset's environment, which is made again and takes a step."""
    env = minari.load_dataset(name).recover_environment()
    env.reset(seed=0)
    env.step(env.action_space.sample())
    return {"kwargs": repr(env.spec.kwargs)}


def spec_of(kwargs):
    """An environment's description as Gymnasium writes it."""
    spec = gymnasium.spec("Hopper-v5")
    spec.kwargs = eval(kwargs, {"inf": float("inf")})
    return {"spec": spec.to_json()}


def odd(folder):
    """Files that h5py alone makes: links, and zeros that are not stored."""
    def put(file, name, steps=5, **how):
        group = file.create_group(name)
        shapes = {"observations": (steps + 1, 3), "actions": (steps, 1), "rewards": (steps,)}
        for key, shape in shapes.items():
            group.create_dataset(key, shape=shape, dtype="f4", **how)
        for key in ("terminations", "truncations"):
            group.create_dataset(key, shape=(steps,), dtype=bool, **how)

    with h5py.File(f"{folder}/other.hdf5", "w") as file:
        put(file, "episode_1")
    for version in ("earliest", "latest"):
        with h5py.File(f"{folder}/external_{version}.hdf5", "w", libver=version) as file:
            put(file, "episode_0")
            file["episode_1"] = h5py.ExternalLink("other.hdf5", "/episode_1")
        with h5py.File(f"{folder}/soft_{version}.hdf5", "w", libver=version, track_order=version == "latest") as file:
            put(file, "episode_0")
            file["episode_1"] = h5py.SoftLink("/episode_0")
    with h5py.File(f"{folder}/removed.hdf5", "w") as file:
        put(file, "episode_0")
        file["episode_1"] = h5py.ExternalLink("other.hdf5", "/episode_1")
        del file["episode_1"]
    with h5py.File(f"{folder}/linked_array.hdf5", "w") as file:
        put(file, "episode_0")
        del file["episode_0/actions"]
        file["episode_0/actions"] = h5py.ExternalLink("other.hdf5", "/episode_1/actions")
    with h5py.File(f"{folder}/zeros.hdf5", "w") as file:
        put(file, "episode_0", 50_000_000, chunks=True, compression="gzip")
    return {}


request = json.loads(sys.argv[1])
work = {
    "load": lambda: load(request["name"], request["replay"]),
    "make": lambda: make(request["name"]),
    "recover": lambda: recover(request["name"]),
    "spec": lambda: spec_of(request["kwargs"]),
    "odd": lambda: odd(request["folder"]),
}
print(json.dumps(work[request["work"]]()))
