"""The Python side of certify.rs: LipSDP by cvxpy and Clarabel, straight from the matrix inequality of the paper. Answers in JSON.

Networks are drawn here and handed over, so that both sides have the same weights, exact in 32 bits.
"""

import json

import cvxpy as cp
import numpy as np


def networks():
    rng = np.random.default_rng(0)
    relu, leaky, swish = (0.0, 1.0), (0.1, 1.0), (1.0 - 1.099839320128867, 1.099839320128867)
    for name, sizes, activation, sector, positive in [
        ("positive", [2, 8, 12, 8, 2], "relu", relu, True),
        # The shape of the paper's own example, whose weights are positive too.
        ("positive, as in the paper", [2, 10, 30, 20, 2], "relu", relu, True),
        ("positive, tanh", [3, 12, 7, 3], "tanh", relu, True),
        ("relu", [3, 8, 8, 2], "relu", relu, False),
        ("wide inputs", [15, 6, 5, 1], "relu", relu, False),
        ("one layer", [4, 12, 3], "relu", relu, False),
        ("tanh", [3, 9, 7, 2], "tanh", relu, False),
        ("leaky", [4, 10, 8, 3], {"leaky_relu": 0.1}, leaky, False),
        ("swish", [3, 8, 6, 2], "swish", swish, False),
    ]:
        shapes = list(zip(sizes[1:], sizes[:-1]))
        draw = rng.random if positive else (lambda shape: rng.normal(size=shape) * np.sqrt(2.0 / shape[1]))
        weights = [draw(shape).astype(np.float32).astype(np.float64) for shape in shapes]
        yield name, weights, activation, sector


def lipsdp(weights, sector, per_layer):
    """min √ρ s.t. [A; B]ᵀ [[−2αβT, (α+β)T], [(α+β)T, −2T]] [A; B] + diag(−ρI, 0, …, WᵀW) ⪯ 0, A x = (W₁x₀, …), B x = (x₁, …)."""
    alpha, beta = sector
    inputs, hidden = weights[0].shape[1], [w.shape[0] for w in weights[:-1]]
    neurons, order = sum(hidden), inputs + sum(hidden)
    a, b = np.zeros((neurons, order)), np.zeros((neurons, order))
    row, column = 0, 0
    for w in weights[:-1]:
        a[row:row + w.shape[0], column:column + w.shape[1]] = w
        row, column = row + w.shape[0], column + w.shape[1]
    b[:, inputs:] = np.eye(neurons)
    rho = cp.Variable(nonneg=True)
    if per_layer:
        each = cp.Variable(len(hidden), nonneg=True)
        t = cp.hstack([each[k] * np.ones(n) for k, n in enumerate(hidden)])
    else:
        t = cp.Variable(neurons, nonneg=True)
    big = cp.diag(t)
    cross = (alpha + beta) * (a.T @ big @ b)
    left = -2.0 * alpha * beta * (a.T @ big @ a) + cross + cross.T - 2.0 * (b.T @ big @ b)
    first, last = np.zeros((order, order)), np.zeros((order, order))
    first[:inputs, :inputs] = np.eye(inputs)
    last[order - hidden[-1]:, order - hidden[-1]:] = weights[-1].T @ weights[-1]
    slack = cp.Variable((order, order), PSD=True)
    problem = cp.Problem(cp.Minimize(rho), [left - rho * first + last + slack == 0])
    problem.solve(solver=cp.CLARABEL)
    assert problem.status == "optimal", problem.status
    return float(np.sqrt(rho.value))


def main():
    answers = []
    for name, weights, activation, sector in networks():
        answers.append({
            "name": name,
            "weights": [w.tolist() for w in weights],
            "activation": activation,
            "neuron": lipsdp(weights, sector, False),
            "layer": lipsdp(weights, sector, True),
            "product": float(np.prod([np.linalg.norm(w, 2) for w in weights]) * sector[1] ** (len(weights) - 1)),
            "linear": float(np.linalg.norm(np.linalg.multi_dot(weights[::-1]), 2)),
        })
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
