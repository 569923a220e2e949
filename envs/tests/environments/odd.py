"""Environments that misbehave, each in its way, for the tests."""
import os
import signal
import sys
import time

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Tuple

print("odd.py is imported")  # goes to the log, as all prints


class Well(gymnasium.Env):
    """A point that actions push. Behaves; the base of those that do not."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float64)
    action_space = Box(-2.0, 2.0, (1,), np.float32)

    def __init__(self, at=3, scale=1.0, render_mode=None):
        self.at, self.scale, self.render_mode = at, scale, render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.state = self.np_random.uniform(-1.0, 1.0, 3)
        if options:
            self.state[0] = options["first"]
        return self.state.copy(), {}

    def step(self, action):
        self.steps += 1
        self.state = 0.9 * self.state + 0.1 * self.scale * action[0] + 0.01 * self.np_random.standard_normal(3)
        self.happen()
        return self.state.copy(), float(-np.sum(self.state**2)), False, self.steps == 20, {"drift": self.state[0], "word": "x"}

    def happen(self):
        pass

    def render(self):
        level = int(np.clip(100 + 50 * self.state[0], 0, 255))
        return np.full((4, 6, 3), level, dtype=np.uint8)


class Raises(Well):
    def happen(self):
        if self.steps == self.at:
            raise ValueError("the leg is broken")


class Exits(Well):
    def happen(self):
        if self.steps == self.at:
            sys.exit(3)


class Vanishes(Well):
    def happen(self):
        if self.steps == self.at:
            os._exit(7)


class Crashes(Well):
    def happen(self):
        if self.steps == self.at:
            print("about to crash")
            os.kill(os.getpid(), signal.SIGSEGV)


class Hangs(Well):
    def happen(self):
        while self.steps == self.at:
            time.sleep(0.01)


class Late(Well):
    """Fails in the step of this number over all episodes, unless there is a file `mended` in the run folder."""

    def happen(self):
        self.total = getattr(self, "total", 0) + 1
        if self.total == self.at and not os.path.exists("mended"):
            self.fail()

    def fail(self):
        raise ValueError("the leg is broken")


class LateHang(Late):
    def fail(self):
        while True:
            time.sleep(0.01)


class LateCrash(Late):
    def fail(self):
        os.kill(os.getpid(), signal.SIGSEGV)


class LateNan(Late):
    def fail(self):
        self.state[1] = np.nan


class Prints(Well):
    def happen(self):
        print("a line on stdout")
        os.system("echo a line of a child; cat")


class Grows(Well):
    def reset(self, **kwargs):
        obs, info = super().reset(**kwargs)
        self.resets = getattr(self, "resets", 0) + 1
        if self.resets == 2:
            self.observation_space = Box(-np.inf, np.inf, (4,), np.float64)
            obs = np.append(obs, 0.0)
        return obs, info


class WrongShape(Well):
    def step(self, action):
        obs, *rest = super().step(action)
        return obs[:1], *rest


class NoNumber(Well):
    def happen(self):
        if self.steps == self.at:
            self.state[1] = np.nan


class NoReward(Well):
    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, np.nan, *rest


class Remembers(Well):
    """State that outlives an episode."""

    total = 0

    def happen(self):
        Remembers.total += 1
        self.state[0] += 1e-9 * Remembers.total


class Random(Well):
    """Random numbers that the seed does not decide."""

    def happen(self):
        self.state[0] += 1e-6 * np.random.default_rng().standard_normal()


class Keeps(Remembers):
    """Saves its own state."""

    def get_state(self):
        import pickle

        return pickle.dumps((self.state, self.steps, Remembers.total, self.np_random.bit_generator.state))

    def set_state(self, state):
        import pickle

        self.state, self.steps, Remembers.total, self.np_random.bit_generator.state = pickle.loads(state)


class Forgets(Keeps):
    """Saves a part of its state."""

    def set_state(self, state):
        import pickle

        self.state, self.steps, _, _ = pickle.loads(state)


class Moves(Well):
    action_space = Discrete(4)


class Presses(Well):
    action_space = MultiBinary(3)


class Unbounded(Well):
    action_space = Box(-np.inf, np.inf, (2,), np.float32)


class Sees(Well):
    observation_space = Box(0, 255, (8, 8, 3), np.uint8)


class Counts(Well):
    observation_space = Dict({"place": Box(-1, 1, (2,), np.float32), "count": Discrete(5)})


class Nested(Well):
    """Dict of Box, Tuple and Dict, whose keys are not in order; actions with two axes."""

    observation_space = Dict({
        "z": Box(-1, 1, (2, 2), np.float32),
        "a": Tuple((Box(0, 5, (), np.float64), Box(-np.inf, np.inf, (1,), np.float32))),
        "m": Dict({"y": Box(-1, 1, (2,), np.int64), "b": Box(-1, 1, (1,), np.float64)}),
    })
    action_space = Box(-1.0, 1.0, (2, 2), np.float64)

    def observe(self, x):
        return {
            "m": {"b": np.array([x]), "y": np.array([1, -1])}, "z": np.array([[x, 0.25], [0.5, 1.0]], np.float32),
            "a": (3.5, np.array([x], np.float32)),
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(0.125), {}

    def step(self, action):
        assert action.shape == (2, 2)
        return self.observe(float(action[1, 0])), float(action[0, 1]), False, False, {}


class Missing(Nested):
    def step(self, action):
        obs, *rest = super().step(action)
        del obs["m"]["y"]
        return obs, *rest


class Double(gymnasium.Wrapper):
    def __init__(self, env, by=2.0):
        super().__init__(env)
        self.by = by

    def step(self, action):
        obs, reward, *rest = self.env.step(action)
        return obs, self.by * reward, *rest


def factory():
    return Well()


gymnasium.register("Odd/Nested-v0", entry_point="odd:Nested")
gymnasium.register("Odd/Well-v0", entry_point="odd:Well", max_episode_steps=15)
