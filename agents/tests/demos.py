"""The Python side of demos.rs: what Minari makes of our files, and files that Minari makes. Answers in JSON."""

import json
import sys

import gymnasium
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


request = json.loads(sys.argv[1])
work = {"load": lambda: load(request["name"], request["replay"]), "make": lambda: make(request["name"])}
print(json.dumps(work[request["work"]]()))
