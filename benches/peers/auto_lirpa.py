"""Bounds of auto_LiRPA (https://github.com/Verified-Intelligence/auto_LiRPA, not on PyPI in this
version) over boxes, as JSON lines beside those of `cargo bench -p liprl-control --bench tightness`.

    cargo bench -p liprl-control --bench tightness -- --nets nets.json
    python benches/peers/auto_lirpa.py nets.json
"""

import json
import sys
import time

import numpy as np
import torch
from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm
from auto_LiRPA.bound_ops import GradNorm, JacobianOP

ITERATIONS = 20


def network(net):
    layers = []
    for index, (layer, inputs, outputs) in enumerate(zip(net["layers"], net["sizes"], net["sizes"][1:])):
        linear = torch.nn.Linear(inputs, outputs)
        linear.weight.data = torch.tensor(layer["weight"], dtype=torch.float32).view(outputs, inputs)
        linear.bias.data = torch.tensor(layer["bias"], dtype=torch.float32)
        layers.append(linear)
        if index + 1 < len(net["layers"]):
            layers.append(torch.nn.ReLU() if net["activation"] == "relu" else torch.nn.Tanh())
    return torch.nn.Sequential(*layers)


class RowNorm(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.norm = model, GradNorm(norm=1)

    def forward(self, x, mask):
        return self.norm(JacobianOP.apply(self.model(x).matmul(mask), x))


class Jacobian(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return JacobianOP.apply(self.model(x), x)


def rows(net, options, optimise):
    """The largest bound on a row's l1 norm."""
    model, outputs = network(net), net["sizes"][-1]
    centre = torch.full((1, net["sizes"][0]), 0.1)
    x = BoundedTensor(centre, PerturbationLpNorm(norm=np.inf, eps=net["radius"]))
    mask = torch.zeros(outputs, 1)
    mask[0, 0] = 1
    bounded = BoundedModule(RowNorm(model), (BoundedTensor(centre), mask), bound_opts=options)
    found = []
    for output in range(outputs):
        mask.zero_()
        mask[output, 0] = 1
        found.append(bounded.compute_jacobian_bounds((x, mask), optimize=optimise, bound_lower=False)[1].item())
    return max(found)


def spectral(net, options, optimise):
    """A bound on the spectral norm from the entries' intervals."""
    model = network(net)
    centre = torch.full((1, net["sizes"][0]), 0.1)
    x = BoundedTensor(centre, PerturbationLpNorm(norm=np.inf, eps=net["radius"]))
    bounded = BoundedModule(Jacobian(model), centre, bound_opts=options)
    low, high = bounded.compute_jacobian_bounds(x, optimize=optimise)
    low, high = (end.detach().double().numpy().reshape(net["sizes"][-1], -1) for end in (low, high))
    norm = lambda a: np.linalg.norm(a, 2)
    return min(norm((low + high) / 2) + norm((high - low) / 2), norm(np.maximum(abs(low), abs(high))))


def main():
    torch.set_num_threads(1)
    with open(sys.argv[1]) as file:
        nets = json.load(file)
    for index, net in enumerate(nets):
        for norm, bound in (("l2", spectral), ("linf", rows)):
            for optimise in (False, True):
                options = {"optimize_bound_args": {"iteration": ITERATIONS}}
                start = time.time()
                try:
                    upper = bound(net, options, optimise)
                except Exception as error:  # a case that it does not cover
                    upper = repr(error)
                line = {"net": index, "sizes": net["sizes"], "activation": net["activation"], "norm": norm,
                        "by": "auto_LiRPA" + (" optimised" if optimise else ""), "upper": upper,
                        "seconds": time.time() - start}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
