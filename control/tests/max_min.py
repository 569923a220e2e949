"""The Python side of max_min.rs: LipSDP for networks with max_min by cvxpy and Clarabel. Answers in JSON.

Networks are drawn here and handed over, so that both sides have the same weights, exact in 32 bits.
"""

import json

import cvxpy as cp
import numpy as np


def networks():
    rng = np.random.default_rng(0)
    for name, sizes in [
        ("one layer", [4, 8, 3]),
        ("two layers", [3, 8, 6, 2]),
        ("three layers", [2, 6, 4, 6, 1]),
        ("wide inputs", [12, 4, 4, 2]),
    ]:
        shapes = list(zip(sizes[1:], sizes[:-1]))
        yield name, [(rng.normal(size=s) / np.sqrt(s[1])).astype(np.float32).astype(np.float64) for s in shapes]


def pairs(width):
    """[width / 2, width]: the sum of each two neighbours."""
    return np.kron(np.eye(width // 2), np.ones((1, 2)))


def published(weights):
    """min √ρ s.t. ρI ⪰ W₁ᵀT₁W₁, T_k ⪰ W_{k+1}ᵀT_{k+1}W_{k+1}, T_K ⪰ WᵀW, T of blocks λI + γ11ᵀ, λ ≥ 0, γ free (arXiv 2401.14033)."""
    rho = cp.Variable(nonneg=True)
    constraints, before = [], rho * np.eye(weights[0].shape[1])
    for w in weights[:-1]:
        sums = pairs(w.shape[0])
        lam, gamma = cp.Variable(len(sums), nonneg=True), cp.Variable(len(sums))
        t = sum(lam[g] * np.diag(sums[g]) + gamma[g] * np.outer(sums[g], sums[g]) for g in range(len(sums)))
        slack = cp.Variable((w.shape[1], w.shape[1]), PSD=True)
        constraints.append(before - w.T @ t @ w == slack)
        before = t
    slack = cp.Variable(before.shape, PSD=True)
    constraints.append(before - weights[-1].T @ weights[-1] == slack)
    problem = cp.Problem(cp.Minimize(rho), constraints)
    problem.solve(solver=cp.CLARABEL)
    assert problem.status == "optimal", problem.status
    return float(np.sqrt(rho.value))


def joint(weights):
    """min √ρ s.t. ‖W y_K‖² − ρ‖x‖² + Σ λ_g (‖z_g‖² − ‖y_g‖²) ≤ 0 for all (x, y₁, …, y_K) whose pairs keep their sums."""
    sizes = [w.shape[1] for w in weights]
    starts, order = np.cumsum([0, *sizes]), sum(sizes)
    part = [np.eye(order)[starts[k]:starts[k + 1]] for k in range(len(sizes))]
    kept = np.vstack([pairs(w.shape[0]) @ (w @ part[k] - part[k + 1]) for k, w in enumerate(weights[:-1])])
    free = np.linalg.svd(kept)[2][len(kept):].T
    part = [p @ free for p in part]
    rho = cp.Variable(nonneg=True)
    form = (weights[-1] @ part[-1]).T @ (weights[-1] @ part[-1]) - rho * (part[0].T @ part[0])
    for k, w in enumerate(weights[:-1]):
        z, y, sums = w @ part[k], part[k + 1], pairs(w.shape[0])
        lam = cp.Variable(len(sums), nonneg=True)
        each = cp.diag(sums.T @ lam)
        form = form + z.T @ each @ z - y.T @ each @ y
    slack = cp.Variable((free.shape[1], free.shape[1]), PSD=True)
    problem = cp.Problem(cp.Minimize(rho), [form + slack == 0])
    problem.solve(solver=cp.CLARABEL)
    assert problem.status == "optimal", problem.status
    return float(np.sqrt(rho.value))


def main():
    answers = []
    for name, weights in networks():
        answers.append({
            "name": name,
            "weights": [w.tolist() for w in weights],
            "published": published(weights),
            "joint": joint(weights),
            "product": float(np.prod([np.linalg.norm(w, 2) for w in weights])),
        })
    print(json.dumps(answers))


main()
