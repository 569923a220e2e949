"""Runs exported policies; prints each one's largest difference from liprl's actions.

Arguments: the file with the documentation's loader, the folder of the cases. Differences are in
units of the actions' half widths.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import torch

sys.path.insert(0, "python")
from liprl import load as load_installed  # the wheel's numpy policies

exec(pathlib.Path(sys.argv[1]).read_text())
folder = pathlib.Path(sys.argv[2])


def npz(path, obs):
    """The policy of an .npz file, written from the page's table."""
    z = np.load(path)
    about = json.loads(bytes(z["about"]))
    x = obs
    if "obs_mean" in z:
        clip = z["obs_clip"][0]
        x = np.clip((x - z["obs_mean"]) * z["obs_scale"], -clip, clip).astype(np.float32)
    activation = about["activation"]
    count = sum(name.startswith("weight_") for name in z)
    for i in range(count):
        y = x @ z[f"weight_{i}"].T + z[f"bias_{i}"]
        if i + 1 == count:
            break
        if f"norm_scale_{i}" in z:
            y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
            y = y * z[f"norm_scale_{i}"] + z[f"norm_shift_{i}"]
        if activation == "relu":
            y = np.maximum(y, 0)
        elif activation == "tanh":
            y = np.tanh(y)
        elif activation == "swish":
            y = y / (1 + np.exp(-y))
        elif activation == "max_min":
            first, second = y[..., 0::2], y[..., 1::2]
            y = np.stack([np.maximum(first, second), np.minimum(first, second)], -1).reshape(y.shape)
        else:
            y = np.maximum(y, activation["leaky_relu"] * y)
        x = np.concatenate([x, y], -1) if about["dense"] else y
    y = np.tanh(y) if about["head"] == "tanh" else np.clip(y, -1, 1)
    return z["action_centre"] + z["action_half_width"] * y if "action_centre" in z else y


def run_onnx(path, obs, batch):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path)
    rows = [session.run(["actions"], {"obs": obs[i : i + batch]})[0] for i in range(0, len(obs), batch)]
    return np.concatenate(rows)


def run_torchscript(path, obs, batch):
    module = torch.jit.load(path)
    with torch.no_grad():
        rows = [module(torch.from_numpy(obs[i : i + batch])).numpy() for i in range(0, len(obs), batch)]
    return np.concatenate(rows)


found = []
for case in json.loads((folder / "cases.json").read_text()):
    file = lambda ending: str(folder / f"{case['name']}.{ending}")
    obs = np.fromfile(file("obs"), "<f4").reshape(-1, case["obs_dim"])
    unit = np.fromfile(file("actions"), "<f4").reshape(len(obs), -1).astype(float)
    centre, scale = (np.array(case["centre"]), np.array(case["half_width"])) if case["units"] == "env" else (0, 1)
    differences = {
        "loader": load(file("policy.safetensors"))(obs) - unit,
        "package": load_installed(file("policy.safetensors")).predict(obs) - unit,
        "npz": (npz(file("npz"), obs) - centre) / scale - unit,
    }
    for batch in (1, 64):
        differences[f"onnx, batch {batch}"] = (run_onnx(file("onnx"), obs, batch) - centre) / scale - unit
        differences[f"torch, batch {batch}"] = (run_torchscript(file("pt"), obs, batch) - centre) / scale - unit
    found.append({
        "name": case["name"],
        "differences": {how: float(np.abs(difference).max()) for how, difference in differences.items()},
        "facts": json.loads(bytes(np.load(file("npz"))["about"])),
    })
print(json.dumps(found))
