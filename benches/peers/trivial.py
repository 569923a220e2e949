"""A task of Hopper's shape that costs next to nothing: what its steps take is overhead."""

import gymnasium
import numpy as np


class Trivial(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (11,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)

    def __init__(self):
        self.obs = np.zeros(11)

    def reset(self, *, seed=None, options=None):
        return self.obs, {}

    def step(self, action):
        return self.obs, 0.0, False, False, {}
