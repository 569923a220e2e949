"""Policies in numpy: the layout is in docs/policies.md of the repository."""

import json
from pathlib import Path

import numpy as np

_TYPES = {"F32": "<f4", "F64": "<f8"}
_ACTIVATIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "swish": lambda z: z / (1 + np.exp(-z)),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "max_min": lambda z: -np.sort(-z.reshape(*z.shape[:-1], -1, 2)).reshape(z.shape),
}
_NORM_EPS = 1e-5


def load(path, action_space=None):
    """The policy of a policy file, a checkpoint or a run folder (its best checkpoint, else the newest).

    With a Gymnasium `action_space` actions are in its units, else in [-1, 1]. Policies that extend
    a table of actions are refused with a ValueError.
    """
    return Policy(_policy_file(Path(path)), action_space)


def _policy_file(path):
    if path.is_file():
        return path
    if (path / "policy.safetensors").is_file():
        return path / "policy.safetensors"
    checkpoints = sorted((path / "checkpoints").glob("step_*/policy.safetensors"))
    if not checkpoints:
        raise FileNotFoundError(f"{path} is no policy file and no run folder with a checkpoint")
    best = None
    if (path / "summary.json").is_file():
        best = json.loads((path / "summary.json").read_text()).get("best_step")
    named = {int(file.parent.name.removeprefix("step_")): file for file in checkpoints}
    return named.get(best, checkpoints[-1])


class Policy:
    """A deterministic policy. `about` has its task (`env`), agent, seed and step."""

    def __init__(self, path, action_space=None):
        data = Path(path).read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        values = json.loads(header.pop("__metadata__")["values"])
        arrays = {
            name: np.frombuffer(data[start:][slice(*entry["data_offsets"])], _TYPES[entry["dtype"]])
            for name, entry in header.items()
        }
        self.about, self._shape = values["about"], values["policy"]
        self.obs_dim, self.act_dim = self._shape["obs_dim"], self._shape["act_dim"]
        if self._shape.get("table") is not None:
            raise ValueError(f"{path} extends a table of actions; `liprl eval` runs it, numpy does not")
        self._normaliser = self._moments(values, arrays)
        self._layers = list(self._split(arrays["params"]))
        self._bounds = None
        if action_space is not None:
            low, high = (np.asarray(b, np.float64) for b in (action_space.low, action_space.high))
            if low.shape != (self.act_dim,):
                raise ValueError(f"the policy has {self.act_dim} actions, the space has the shape {low.shape}")
            self._bounds = (low + high) / 2, (high - low) / 2

    def _moments(self, values, arrays):
        options = self._shape["normaliser"]
        if options is None:
            return None
        count = values["normaliser/count"]
        variance = np.maximum(arrays["normaliser/m2"] / count, options["variance_floor"]) if count else 1.0
        return arrays["normaliser/mean"], np.sqrt(variance), options["clip"]

    def _split(self, rest):
        inputs, dense = self.obs_dim, self._shape.get("dense")
        widths = [*self._shape["hidden"], self._shape["outputs"]]
        for i, width in enumerate(widths):
            weight, bias, rest = np.split(rest, np.cumsum([width * inputs, width]))
            norm, last = None, i + 1 == len(widths)
            if self._shape["layer_norm"] and not last:
                scale, shift, rest = np.split(rest, np.cumsum([width, width]))
                norm = scale, shift
            yield weight.reshape(width, inputs), bias, norm
            inputs = inputs + width if dense else width

    def _activate(self, z):
        activation = self._shape["activation"]
        if isinstance(activation, dict):
            return np.maximum(z, activation["leaky_relu"] * z)
        return _ACTIVATIONS[activation](z)

    def predict(self, obs):
        """Actions [..., A] at observations [..., O]."""
        x = np.asarray(obs, np.float32)
        if x.shape[-1:] != (self.obs_dim,):
            raise ValueError(f"the policy takes observations of {self.obs_dim} numbers, got the shape {x.shape}")
        if self._normaliser is not None:
            mean, std, clip = self._normaliser
            x = np.clip((x - mean) / std, -clip, clip).astype(np.float32)
        for weight, bias, norm in self._layers[:-1]:
            z = x @ weight.T + bias
            if norm is not None:
                z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + _NORM_EPS) * norm[0] + norm[1]
            z = self._activate(z)
            x = np.concatenate([x, z], -1) if self._shape.get("dense") else z
        weight, bias, _ = self._layers[-1]
        z = (x @ weight.T + bias)[..., : self.act_dim]
        action = np.clip(z, -1, 1) if self._shape.get("head") == "clamp" else np.tanh(z)
        if self._bounds is None:
            return action
        centre, half = self._bounds
        return (centre + half * action).astype(np.float32)
