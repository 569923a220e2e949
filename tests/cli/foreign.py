"""Writes policies by the libraries themselves, with their actions on random observations.

Argument: a folder. For each case its file, `<name>.obs` and `<name>.actions` (f32, in [-1, 1]); and
`cases.json` with the arguments that `liprl import` needs, and returns of episodes in Gymnasium.
"""

import json
import os
import pathlib
import sys
import types
import warnings

# Gymnasium's MuJoCo tasks import a package that is needed only for videos.
sys.modules.setdefault("imageio", types.ModuleType("imageio"))
warnings.simplefilter("ignore")

import gymnasium
import numpy as np
import onnx
import safetensors.torch
import sb3_contrib
import stable_baselines3 as sb3
import torch
from onnx import TensorProto, helper, numpy_helper
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)
folder = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
cases = []


def case(name, file, env, act, args=(), spread=2.0, returns=None):
    """Adds a case; `act` takes observations [N, O] to actions in [-1, 1]."""
    space = gymnasium.make(env).observation_space
    obs = rng.normal(0, spread, (500, space.shape[0])).astype(np.float32)
    actions = np.asarray(act(obs), np.float32)
    obs.tofile(folder / f"{name}.obs")
    actions.tofile(folder / f"{name}.actions")
    cases.append({"name": name, "file": file, "env": env, "args": list(args), "returns": returns})


def unit(env, actions):
    """Actions in the environment's units as numbers in [-1, 1]."""
    low, high = (bound.astype(float) for bound in (env.action_space.low, env.action_space.high))
    return (np.asarray(actions, float) - (low + high) / 2) / ((high - low) / 2)


def episodes(env_id, act, count=3):
    """Returns of seeded episodes."""
    env, totals = gymnasium.make(env_id), []
    for seed in range(count):
        obs, _ = env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            obs, reward, terminated, truncated, _ = env.step(act(obs))
            total, done = total + float(reward), terminated or truncated
        totals.append(total)
    return totals


# Stable-Baselines3: each kind learns for some steps, so that no weight is a first one.
off_policy = dict(learning_starts=20, batch_size=16, buffer_size=1000, seed=3, device="cpu")
for name, kind, env_id, kwargs in [
    ("sac", sb3.SAC, "Pendulum-v1", dict(net_arch=[32, 16])),
    ("td3", sb3.TD3, "Pendulum-v1", dict(net_arch=[16, 16, 8], activation_fn=nn.ELU)),
    ("ddpg", sb3.DDPG, "InvertedPendulum-v5", dict(net_arch=[16, 16])),
    ("sde", sb3.SAC, "MountainCarContinuous-v0", dict(net_arch=[16], log_std_init=-1, use_sde=True)),
    ("tqc", sb3_contrib.TQC, "Hopper-v5", dict(net_arch=[16, 16], activation_fn=nn.Tanh)),
]:
    sde = {"use_sde": True} if kwargs.pop("use_sde", False) else {}
    model = kind("MlpPolicy", env_id, policy_kwargs=kwargs, **off_policy, **sde).learn(60)
    if sde:
        with torch.no_grad():
            model.actor.mu[0].weight *= 5  # some means beyond their limit
    model.save(folder / f"{name}.zip")
    env = gymnasium.make(env_id)
    predict = lambda obs, model=model: model.predict(obs, deterministic=True)[0]
    returns = episodes(env_id, predict) if name == "sac" else None
    case(name, f"{name}.zip", env_id, lambda obs: unit(env, predict(obs)), returns=returns)

a2c = sb3.A2C("MlpPolicy", "Pendulum-v1", seed=3, device="cpu").learn(50)
a2c.save(folder / "a2c.zip")
case("a2c", "a2c.zip", "Pendulum-v1",
     lambda obs: unit(gymnasium.make("Pendulum-v1"), a2c.predict(obs, deterministic=True)[0]))

# PPO with a standardisation beside it; InvertedPendulum's actions reach from -3 to 3.
venv = VecNormalize(DummyVecEnv([lambda: gymnasium.make("InvertedPendulum-v5")]), clip_obs=3.0)
ppo = sb3.PPO("MlpPolicy", venv, n_steps=64, batch_size=32, n_epochs=2, seed=3, device="cpu").learn(256)
with torch.no_grad():
    ppo.policy.action_net.weight *= 200  # some actions beyond the bounds
ppo.save(folder / "ppo.zip")
venv.save(str(folder / "vec_normalize.pkl"))
venv.training = False
predict = lambda obs: ppo.predict(venv.normalize_obs(obs), deterministic=True)[0]
env = gymnasium.make("InvertedPendulum-v5")
args = ["--normaliser", "vec_normalize.pkl"]
case("ppo", "ppo.zip", "InvertedPendulum-v5", lambda obs: unit(env, predict(obs)), args, 0.3, episodes(env.spec.id, predict))
import pickle

for protocol in (2, 5):
    with open(folder / f"protocol_{protocol}.pkl", "wb") as file:
        pickle.dump(venv, file, protocol)
args = ["--normaliser", "protocol_5.pkl"]
case("ppo_protocol_5", "ppo.zip", "InvertedPendulum-v5", lambda obs: unit(env, predict(obs)), args, 0.3)
torch.save(ppo.policy.state_dict(), folder / "policy.pth")
case("policy_pth", "policy.pth", "InvertedPendulum-v5", lambda obs: unit(env, ppo.predict(obs, deterministic=True)[0]))


# CleanRL's actor of TD3, whose checkpoint is a tuple of state dicts.
class Actor(nn.Module):
    def __init__(self, env, head):
        super().__init__()
        self.fc1 = nn.Linear(env.observation_space.shape[0], 24)
        self.fc2 = nn.Linear(24, 24)
        setattr(self, head, nn.Linear(24, env.action_space.shape[0]))
        if head == "fc_mean":
            self.fc_logstd = nn.Linear(24, env.action_space.shape[0])
        low, high = env.action_space.low, env.action_space.high
        self.register_buffer("action_scale", torch.tensor((high - low) / 2, dtype=torch.float32))
        self.register_buffer("action_bias", torch.tensor((high + low) / 2, dtype=torch.float32))
        self.head = head

    def forward(self, x):
        x = torch.relu(self.fc2(torch.relu(self.fc1(x))))
        return torch.tanh(getattr(self, self.head)(x)) * self.action_scale + self.action_bias


critic = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
for name, head in [("cleanrl_td3", "fc_mu"), ("cleanrl_sac", "fc_mean")]:
    env = gymnasium.make("Pendulum-v1")
    actor = Actor(env, head)
    torch.save((actor.state_dict(), critic.state_dict(), critic.state_dict()), folder / f"{name}.cleanrl_model")
    act = lambda obs, actor=actor, env=env: unit(env, actor(torch.from_numpy(obs)).detach().numpy())
    case(name, f"{name}.cleanrl_model", "Pendulum-v1", act)
actor.action_scale *= 2
torch.save((actor.state_dict(),), folder / "other_scale.cleanrl_model")


def mlp(sizes, activation, norm=False):
    layers = []
    for inputs, outputs in zip(sizes[:-2], sizes[1:-1]):
        layers += [nn.Linear(inputs, outputs)] + ([nn.LayerNorm(outputs)] if norm else []) + [activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class Agent(nn.Module):
    """CleanRL's agent of PPO."""

    def __init__(self):
        super().__init__()
        self.critic = mlp([3, 16, 16, 1], nn.Tanh)
        self.actor_mean = mlp([3, 16, 16, 1], nn.Tanh)
        self.actor_logstd = nn.Parameter(torch.zeros(1, 1))


clip = lambda env_id, y: np.clip(unit(gymnasium.make(env_id), y.detach().numpy()), -1, 1)
agent = Agent()
torch.save(agent.state_dict(), folder / "cleanrl_ppo.cleanrl_model")
case("cleanrl_ppo", "cleanrl_ppo.cleanrl_model", "Pendulum-v1",
     lambda obs: clip("Pendulum-v1", agent.actor_mean(torch.from_numpy(obs))))


class Moments(nn.Module):
    """EmpiricalNormalization of rsl_rl and FastTD3."""

    def __init__(self, count):
        super().__init__()
        self.register_buffer("_mean", torch.randn(1, count))
        self.register_buffer("_var", torch.rand(1, count) + 0.5)
        self.register_buffer("_std", self._var.sqrt())
        self.register_buffer("count", torch.tensor(100))

    def forward(self, x):
        return (x - self._mean) / (self._std + 1e-2)


class RslRl(nn.Module):
    """ActorCritic of rsl_rl up to version 3."""

    def __init__(self):
        super().__init__()
        self.actor, self.critic = mlp([11, 32, 16, 3], nn.ELU), mlp([11, 32, 16, 1], nn.ELU)
        self.actor_obs_normalizer = Moments(11)
        self.std = nn.Parameter(torch.ones(3))


class RslRl5(nn.Module):
    """MLPModel of rsl_rl from version 5 on."""

    def __init__(self):
        super().__init__()
        self.obs_normalizer, self.mlp = Moments(11), mlp([11, 32, 16, 3], nn.ELU)


old, new = RslRl(), RslRl5()
torch.save({"model_state_dict": old.state_dict(), "optimizer_state_dict": {}, "iter": 7, "infos": None}, folder / "rsl_rl.pt")
case("rsl_rl", "rsl_rl.pt", "Hopper-v5",
     lambda obs: clip("Hopper-v5", old.actor(old.actor_obs_normalizer(torch.from_numpy(obs)))))
torch.save({"actor_state_dict": new.state_dict(), "critic_state_dict": RslRl5().state_dict(), "iter": 7}, folder / "rsl_rl_5.pt")
case("rsl_rl_5", "rsl_rl_5.pt", "Hopper-v5",
     lambda obs: clip("Hopper-v5", new.mlp(new.obs_normalizer(torch.from_numpy(obs)))))


class FastTd3(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(11, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
        self.fc_mu = nn.Sequential(nn.Linear(16, 3), nn.Tanh())

    def forward(self, x):
        return self.fc_mu(self.net(x))


fast, moments = FastTd3(), Moments(11)
torch.save({"actor_state_dict": fast.state_dict(), "obs_normalizer_state": moments.state_dict(),
            "qnet_state_dict": critic.state_dict(), "args": {"seed": 1}}, folder / "fast_td3.pt")
case("fast_td3", "fast_td3.pt", "Hopper-v5", lambda obs: fast(moments(torch.from_numpy(obs))).detach().numpy())

# Plain state dicts: of other types, with strides, with twice as many outputs, under a prefix.
tanh = lambda net, obs, kind=torch.float32: torch.tanh(net(torch.from_numpy(obs).to(kind))).detach().numpy()
plain = mlp([3, 16, 16, 1], nn.SiLU, norm=True)
torch.save(plain.state_dict(), folder / "plain.pt")
squash = ["--squash", "tanh"]
case("plain", "plain.pt", "Pendulum-v1", lambda obs: tanh(plain, obs), ["--activation", "silu", *squash])
safetensors.torch.save_file(plain.state_dict(), folder / "plain.safetensors")
case("plain_safetensors", "plain.safetensors", "Pendulum-v1", lambda obs: tanh(plain, obs), ["--activation", "swish", *squash])
wide = mlp([3, 12, 12, 12, 12, 12, 2], lambda: nn.LeakyReLU(0.2)).double()
state = {f"pi.{key}": value.t().contiguous().t() if value.ndim == 2 else value for key, value in wide.state_dict().items()}
torch.save({"step": 5, "nets": {**state, "v.0.weight": torch.zeros(8, 3), "v.2.weight": torch.zeros(1, 8)}}, folder / "strided.pt")
case("strided", "strided.pt", "Pendulum-v1", lambda obs: tanh(wide, obs, torch.float64)[:, :1],
     ["--activation", "leaky_relu:0.2", *squash, "--prefix", "nets.pi."])
safetensors.torch.save_file({key: value.half() for key, value in wide.state_dict().items()}, folder / "half.safetensors")
half = mlp([3, 12, 12, 12, 12, 12, 2], lambda: nn.LeakyReLU(0.2))
half.load_state_dict({key: value.half().float() for key, value in wide.state_dict().items()})
case("half", "half.safetensors", "Pendulum-v1", lambda obs: tanh(half, obs)[:, :1], ["--activation", "leaky_relu:0.2", *squash])
two = nn.ModuleDict({"actor": mlp([3, 8, 1], nn.ReLU), "target": mlp([3, 8, 1], nn.ReLU)})
torch.save(two.state_dict(), folder / "two.pt")

# ONNX by PyTorch's exporter, and nodes by hand.
torch.onnx.export(fast, (torch.zeros(1, 11),), folder / "fast.onnx", dynamo=False, input_names=["obs"],
                  output_names=["actions"], dynamic_axes={"obs": {0: "batch"}})
case("onnx_export", "fast.onnx", "Hopper-v5", lambda obs: fast(torch.from_numpy(obs)).detach().numpy())


class SacOnnx(nn.Module):
    """The export that Stable-Baselines3's page shows for SAC."""

    def __init__(self, actor):
        super().__init__()
        self.actor = torch.nn.Sequential(actor.latent_pi, actor.mu, torch.nn.Tanh())

    def forward(self, observation):
        return self.actor(observation)


sac = sb3.SAC.load(folder / "sac.zip", device="cpu")
torch.onnx.export(SacOnnx(sac.policy.actor), (torch.zeros(1, 3),), folder / "sac.onnx", dynamo=False,
                  input_names=["input"], opset_version=17)
case("sac_onnx", "sac.onnx", "Pendulum-v1",
     lambda obs: unit(gymnasium.make("Pendulum-v1"), sac.predict(obs, deterministic=True)[0]))
w1, w2 = rng.normal(size=(3, 8)).astype(np.float32), rng.normal(size=(8, 1)).astype(np.float32)
b1, mean, std = (rng.normal(size=n).astype(np.float32) for n in (8, 3, 3))
std = np.abs(std) + 0.5
arrays = {"w1": w1, "w2": w2, "b1": b1, "mean": mean, "std": std, "low": np.float32(-2), "high": np.float32(2)}
nodes = [("Sub", ["x", "mean"], "a"), ("Div", ["a", "std"], "b"), ("MatMul", ["b", "w1"], "c"), ("Add", ["b1", "c"], "d"),
         ("Sigmoid", ["d"], "e"), ("Mul", ["e", "d"], "f"), ("MatMul", ["f", "w2"], "g"), ("Clip", ["g", "low", "high"], "y")]
graph = helper.make_graph(
    [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes], "by_hand",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    [numpy_helper.from_array(array, name) for name, array in arrays.items()])
onnx.save(helper.make_model(graph), folder / "by_hand.onnx")


def by_hand(obs):
    z = (obs - mean) / std @ w1 + b1
    return np.clip((z / (1 + np.exp(-z))) @ w2, -2, 2) / 2


case("onnx_by_hand", "by_hand.onnx", "Pendulum-v1", by_hand)

# Files that are refused.
torch.save(plain, folder / "module.pt")
torch.save(plain.state_dict(), folder / "legacy.pt", _use_new_zipfile_serialization=False)
torch.jit.trace(plain, torch.zeros(1, 3)).save(folder / "script.pt")
torch.save(nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)).state_dict(), folder / "batch_norm.pt")
sb3.DQN("MlpPolicy", "CartPole-v1", policy_kwargs=dict(net_arch=[8]), device="cpu").save(folder / "dqn.zip")
sb3.SAC("MlpPolicy", "Pendulum-v1", policy_kwargs=dict(net_arch=[8], activation_fn=nn.GELU), device="cpu").save(folder / "gelu.zip")


class Bomb:
    """Runs a command when Python loads it."""

    def __reduce__(self):
        return os.system, (f"touch {folder / 'EXECUTED'}",)


torch.save({"a": Bomb(), **two["actor"].state_dict()}, folder / "bomb.pt")
case("bomb", "bomb.pt", "Pendulum-v1", lambda obs: tanh(two["actor"], obs), ["--activation", "relu", *squash])
with open(folder / "bomb.pkl", "wb") as file:
    pickle.dump(Bomb(), file)
(folder / "cases.json").write_text(json.dumps(cases))
