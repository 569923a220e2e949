"""Python's Gymnasium for the tests in this folder: one JSON request a line in, one JSON answer a line out."""

import json
import sys
import types
import warnings

# Gymnasium's MuJoCo tasks import their video writer even if nothing is drawn.
sys.modules["imageio"] = types.ModuleType("imageio")

import gymnasium
import mujoco
import numpy

warnings.filterwarnings("ignore")


def number(x):
    """JSON has no infinity; the requests write it as text."""
    return float(x) if isinstance(x, str) and x in ("inf", "-inf") else x


def option(value):
    return tuple(number(x) for x in value) if isinstance(value, list) else value


def flat_info(info):
    """Numeric terms; arrays become name_0, name_1, …"""
    flat = {}
    for name, value in info.items():
        values = numpy.asarray(value, dtype=float)
        if values.ndim == 0:
            flat[name] = float(values)
        else:
            flat.update({f"{name}_{i}": float(x) for i, x in enumerate(values)})
    return flat


def episodes(request):
    """The reset with the seed, then every action, resetting without a seed after each episode's end."""
    options = {name: option(value) for name, value in request["options"].items()}
    env = gymnasium.make(request["id"], disable_env_checker=True, **options)
    answer = {"resets": [], "steps": []}
    for space in ("observation_space", "action_space"):
        box = getattr(env, space)
        if not hasattr(box, "low"):
            continue  # a choice among actions has no bounds
        answer[space] = [[str(float(x)) for x in side] for side in (box.low, box.high)]

    def reset(**kwargs):
        obs, info = env.reset(**kwargs)
        answer["resets"].append({"obs": obs.tolist(), "info": flat_info(info)})

    reset(seed=request["seed"], options=request.get("reset_options"))
    for action in request["actions"]:
        obs, reward, terminated, truncated, info = env.step(numpy.array(action))
        answer["steps"].append({
            "obs": obs.tolist(), "reward": float(reward), "terminated": bool(terminated),
            "truncated": bool(truncated), "info": flat_info(info),
        })
        if terminated or truncated:
            reset()
    env.close()
    return answer


def initial_states(request):
    """Mean and standard deviation of many initial observations."""
    env = gymnasium.make(request["id"], disable_env_checker=True).unwrapped
    observations = [env.reset(seed=request["seed"])[0]]
    observations += [env.reset()[0] for _ in range(request["count"] - 1)]
    return {"mean": numpy.mean(observations, axis=0).tolist(), "std": numpy.std(observations, axis=0).tolist()}


def random_numbers(request):
    generator = numpy.random.default_rng(request["seed"])
    uniform = generator.uniform(-0.3, 0.7, request["count"]).tolist()
    return {"uniform": uniform, "normal": generator.standard_normal(request["count"]).tolist()}


def transition(request):
    """MuJoCo's own derivative of one simulation step, after some actions, at the last of them."""
    options = {name: option(value) for name, value in request["options"].items()}
    env = gymnasium.make(request["id"], disable_env_checker=True, **options).unwrapped
    env.reset(seed=request["seed"])
    *before, last = [numpy.array(action) for action in request["actions"]]
    for action in before:
        env.step(action)
    env.data.ctrl[:] = last
    nv, nu = env.model.nv, env.model.nu
    states, controls = numpy.zeros((2 * nv, 2 * nv)), numpy.zeros((2 * nv, nu))
    mujoco.mjd_transitionFD(env.model, env.data, request["increment"], True, states, controls, None, None)
    return {"jacobian": numpy.hstack([states, controls]).flatten().tolist()}


def cart_pole_steps(request):
    """Random single steps of CartPole-v1: state, force, next state."""
    env = gymnasium.make("CartPole-v1").unwrapped
    rng = numpy.random.default_rng(0)
    rows = []
    for _ in range(request["count"]):
        env.reset(seed=0)
        x = rng.uniform(-1, 1, 4) * [2.0, 3.0, 0.2, 3.0]
        env.state = tuple(x)
        a = int(rng.integers(2))
        env.step(a)
        rows.append([*map(float, x), 10.0 if a else -10.0, *map(float, env.state)])
    return rows


WORK = {
    "cart_pole_steps": cart_pole_steps,
    "episodes": episodes,
    "initial_states": initial_states,
    "random_numbers": random_numbers,
    "transition": transition,
}

for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(WORK[request["work"]](request)), flush=True)
