"""Times the parts of model-based policy optimisation in eager PyTorch on the work of `cargo bench -p liprl-agents --bench mbpo`: Hopper's sizes
(11 observations, 3 actions), models of four layers of 200 with swish, ensembles in batched products, batch 256, fused Adam with per-layer decay;
rollouts of five steps from 20,000 states; SAC with nets 256-256 and batch 256. One JSON object a line.
"""

import argparse
import time

import torch
from samples import report
from torch import nn
from torch.nn import functional

OBS, ACT, HIDDEN, BATCH = 11, 3, 200, 256
ROWS, FIT_STEPS, ROLLOUTS, ROLLOUT_LENGTH, UPDATES = 20_000, 53, 20_000, 5, 200
DECAYS = [2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4]


class Model(nn.Module):
    """`members` networks from (s, a) to (s' - s, r): in one batched product each layer, or plain linear layers for one."""

    def __init__(self, members, gaussian):
        super().__init__()
        self.members, self.gaussian = members, gaussian
        sizes = [OBS + ACT] + [HIDDEN] * 4 + [(OBS + 1) * (2 if gaussian else 1)]
        shape = (lambda i, o: (members, i, o)) if members > 1 else (lambda i, o: (o, i))
        bias = (lambda o: (members, 1, o)) if members > 1 else (lambda o: (o,))
        pairs = list(zip(sizes, sizes[1:]))
        self.weights = nn.ParameterList([torch.randn(shape(i, o)) / (2 * i**0.5) for i, o in pairs])
        self.biases = nn.ParameterList([torch.zeros(bias(o)) for _, o in pairs])
        if gaussian:
            self.most, self.least = nn.Parameter(torch.full((OBS + 1,), 0.5)), nn.Parameter(torch.full((OBS + 1,), -10.0))

    def forward(self, x):
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            x = torch.baddbmm(bias, x, weight) if self.members > 1 else functional.linear(x, weight, bias)
            if layer + 1 < len(self.weights):
                x = functional.silu(x)
        if not self.gaussian:
            return x, None
        mean, log_var = x.chunk(2, dim=-1)
        log_var = self.most - functional.softplus(self.most - log_var)
        return mean, self.least + functional.softplus(log_var - self.least)

    def loss(self, x, y):
        mean, log_var = self(x)
        if log_var is None:
            return ((mean - y) ** 2).mean((-2, -1)).sum()
        likelihood = ((mean - y) ** 2 * (-log_var).exp() + log_var).mean((-2, -1)).sum()
        return likelihood + 0.01 * (self.most.sum() - self.least.sum())

    def optimiser(self):
        groups = [{"params": [w, b], "weight_decay": decay} for w, b, decay in zip(self.weights, self.biases, DECAYS)]
        if self.gaussian:
            groups.append({"params": [self.most, self.least]})
        return torch.optim.Adam(groups, lr=1e-3, fused=True)


def fit_rate(members, gaussian, x, y):
    """Gradient steps a second; every member has its own bootstrap order."""
    model = Model(members, gaussian)
    optimiser = model.optimiser()
    order = torch.randint(ROWS, (members, ROWS)) if members > 1 else torch.randperm(ROWS)

    def run(steps):
        for step in range(steps):
            rows = order[..., step * BATCH : (step + 1) * BATCH]
            optimiser.zero_grad(set_to_none=True)
            model.loss(x[rows], y[rows]).backward()
            optimiser.step()

    run(3)
    start = time.perf_counter()
    run(FIT_STEPS)
    return FIT_STEPS / (time.perf_counter() - start)


def mlp(sizes):
    layers = []
    for i, o in zip(sizes, sizes[1:]):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def sample(actor, obs):
    """A squashed Gaussian's action and its log-density."""
    mean, log_std = actor(obs).chunk(2, dim=-1)
    log_std = log_std.clamp(-20, 2)
    noise = torch.randn_like(mean)
    before = mean + log_std.exp() * noise
    density = (-0.5 * noise**2 - log_std - 0.9189385).sum(-1)
    return before.tanh(), density - (2 * (0.6931472 - before - functional.softplus(-2 * before))).sum(-1)


@torch.no_grad()
def rollout_rate(members, gaussian, x):
    """Imagined steps a second, policy included; each row's member is drawn anew each step."""
    model, actor = Model(members, gaussian), mlp([OBS, 256, 256, 2 * ACT])
    count = ROLLOUTS // members * members

    def run():
        obs, stored = x[torch.randint(ROWS, (count,)), :OBS], []
        for _ in range(ROLLOUT_LENGTH):
            action, _ = sample(actor, obs)
            inputs = torch.cat([obs, action], -1)
            if members > 1:
                # Every row through the one member that was drawn for it: rows sorted by member, in equal shares.
                shares = torch.randperm(count)
                mean, log_var = model(inputs[shares].view(members, -1, OBS + ACT))
                mean, obs = mean.reshape(-1, OBS + 1), obs[shares]
                log_var = log_var.reshape(-1, OBS + 1) if gaussian else None
            else:
                mean, log_var = model(inputs)
            if gaussian:
                mean = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
            following = obs + 0.01 * mean[:, :OBS]
            stored.append((obs, mean[:, OBS], following))
            obs = following
        return sum(len(rows[0]) for rows in stored)

    run()
    start = time.perf_counter()
    steps = run()
    return steps / (time.perf_counter() - start)


class Sac:
    def __init__(self):
        self.actor = mlp([OBS, 256, 256, 2 * ACT])
        self.critics = nn.ModuleList(mlp([OBS + ACT, 256, 256, 1]) for _ in range(2))
        self.targets = nn.ModuleList(mlp([OBS + ACT, 256, 256, 1]) for _ in range(2))
        self.targets.load_state_dict(self.critics.state_dict())
        self.log_alpha = torch.zeros((), requires_grad=True)
        self.optimisers = [torch.optim.Adam(p, lr=3e-4, fused=True)
                           for p in (self.critics.parameters(), self.actor.parameters(), [self.log_alpha])]
        self.rows = [torch.randn(100_000, n) for n in (OBS, ACT, 1, OBS)]

    def step(self, which, loss):
        self.optimisers[which].zero_grad(set_to_none=True)
        loss.backward()
        self.optimisers[which].step()

    def update(self):
        drawn = torch.randint(100_000, (BATCH,))
        obs, action, reward, following = (rows[drawn] for rows in self.rows)
        alpha = self.log_alpha.detach().exp()
        with torch.no_grad():
            next_action, density = sample(self.actor, following)
            inputs = torch.cat([following, next_action], -1)
            value = torch.min(*(target(inputs) for target in self.targets)) - alpha * density[:, None]
            wanted = reward + 0.99 * value
        inputs = torch.cat([obs, action], -1)
        self.step(0, sum(functional.mse_loss(critic(inputs), wanted) for critic in self.critics))
        for p in self.critics.parameters():
            p.requires_grad_(False)
        new_action, density = sample(self.actor, obs)
        inputs = torch.cat([obs, new_action], -1)
        self.step(1, (alpha * density[:, None] - torch.min(*(critic(inputs) for critic in self.critics))).mean())
        for p in self.critics.parameters():
            p.requires_grad_(True)
        self.step(2, -(self.log_alpha * (density.detach() - ACT)).mean())
        with torch.no_grad():
            torch._foreach_lerp_(list(self.targets.parameters()), list(self.critics.parameters()), 0.005)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    x, y = torch.randn(ROWS, OBS + ACT), torch.randn(ROWS, OBS + 1)
    sac = Sac()

    def updates():
        start = time.perf_counter()
        for _ in range(UPDATES):
            sac.update()
        return UPDATES / (time.perf_counter() - start)

    work = {
        "fit_steps_per_s_single_deterministic": lambda: fit_rate(1, False, x, y),
        "fit_steps_per_s_single_probabilistic": lambda: fit_rate(1, True, x, y),
        "fit_steps_per_s_ensemble_of_7_probabilistic": lambda: fit_rate(7, True, x, y),
        "rollout_steps_per_s_single_deterministic": lambda: rollout_rate(1, False, x),
        "rollout_steps_per_s_ensemble_of_7_probabilistic": lambda: rollout_rate(7, True, x),
        "updates_per_s_plain_sac": updates,
    }
    for what, rate in work.items():
        rate()
        report("pytorch", what, arguments.threads, [rate() for _ in range(arguments.repeats)])


if __name__ == "__main__":
    main()
