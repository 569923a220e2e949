"""GAIL with SAC by imitation 1.0.1 on liprl's demonstrations: its learning curve, a JSON line for each evaluation, to
set beside that of `configs/liayn/*_fast.yaml`.

imitation needs Gymnasium 0.29 and NumPy 1, so it has an environment of its own:

    python -m venv imitation && imitation/bin/pip install imitation==1.0.1 gymnasium[mujoco]==0.29.1 "numpy<2" h5py
    imitation/bin/python benches/peers/imitation_gail.py --steps 60000 --seed 0

The same 500 transitions (of each of ten episodes every 20th), networks and batch sizes of SAC and of the
discriminator, learning rates, random steps first, and as many discriminator steps as environment steps. Seconds, and
those of the processor, are of learning alone. The tasks are Gymnasium's of version 4, since 0.29 has no version 5.
"""

import argparse
import json
import pathlib
import time

import gymnasium
import numpy as np
import torch
from demonstrations import episodes
from imitation.algorithms.adversarial.gail import GAIL
from imitation.data.types import Transitions
from imitation.rewards.reward_nets import BasicRewardNet
from imitation.util.logger import configure
from imitation.util.networks import RunningNorm
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

KEEP_EVERY = 20
# Steps of the policy between two rounds of the discriminator.
ROUND = 100


def demonstrations(file):
    parts = []
    kept = slice(0, None, KEEP_EVERY)
    for episode in episodes(file):
        observations = episode["observations"]
        parts.append((observations[:-1][kept], episode["actions"][kept], observations[1:][kept],
                      episode["terminations"][kept]))
    obs, acts, next_obs, dones = (np.concatenate(column) for column in zip(*parts))
    return Transitions(obs=obs, acts=acts, infos=np.array([{}] * len(obs)), next_obs=next_obs, dones=dones)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="HalfCheetah-v4")
    parser.add_argument("--demonstrations", type=pathlib.Path, default="demos/half_cheetah.hdf5")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--every", type=int, default=5000)
    parser.add_argument("--episodes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train = DummyVecEnv([lambda: Monitor(gymnasium.make(arguments.task))])
    train.seed(arguments.seed)
    test = Monitor(gymnasium.make(arguments.task))
    test.reset(seed=arguments.seed + 1_000_000)
    learner = SAC("MlpPolicy", train, batch_size=128, learning_starts=1000, seed=arguments.seed, device="cpu",
                  policy_kwargs={"net_arch": [256, 256]})
    rewards = BasicRewardNet(train.observation_space, train.action_space, hid_sizes=(100, 100),
                             normalize_input_layer=RunningNorm)
    trainer = GAIL(demonstrations=demonstrations(arguments.demonstrations), demo_batch_size=128, venv=train,
                   gen_algo=learner, reward_net=rewards, gen_train_timesteps=ROUND, n_disc_updates_per_round=ROUND,
                   disc_opt_kwargs={"lr": 5e-4}, allow_variable_horizon=True,
                   custom_logger=configure(format_strs=[]))
    seconds = processor = 0.0
    for step in range(arguments.every, arguments.steps + 1, arguments.every):
        start, busy = time.perf_counter(), time.process_time()
        trainer.train(arguments.every)
        seconds, processor = seconds + time.perf_counter() - start, processor + time.process_time() - busy
        mean, _ = evaluate_policy(learner, test, n_eval_episodes=arguments.episodes, deterministic=True)
        print(json.dumps({"library": "imitation", "step": step, "return_mean": mean, "seconds": seconds,
                          "processor_seconds": processor}), flush=True)


if __name__ == "__main__":
    main()
