"""One environment, served to liprl over two pipes: requests on descriptor 0, replies on descriptor 1.

wire.rs has the other end and the layout of frames. Needs numpy and gymnasium only.
"""
import os
import sys

# Before any import of others: nothing that they print may reach the wire, or wait for input.
REQUESTS, REPLIES = os.dup(0), os.dup(1)
os.dup2(2, 1)
_null = os.open(os.devnull, os.O_RDONLY)
os.dup2(_null, 0)
os.close(_null)

import faulthandler
import hashlib
import importlib
import json
import signal
import traceback

MAGIC = b"liprl-worker-1\n\0"
STEP, RESET, RENDER, GET_STATE, SET_STATE, WORK_IN = range(1, 7)
PAYLOAD, ERROR = 254, 255
# Wrappers of Gymnasium whose only state is the time limit's count, which this program keeps.
STATELESS = {"OrderEnforcing", "PassiveEnvChecker", "TimeLimit"}


class Refused(Exception):
    """A problem that its message explains; no traceback is needed."""


# ---- the process

def end_with_parent(parent):
    """The end of the request pipe ends this process, but not in the middle of a step that hangs: the kernel does."""
    try:
        import ctypes

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (ImportError, OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(1)


def survive_signals():
    """Signals that ask liprl for a checkpoint may reach this process too; liprl ends it afterwards."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2", "SIGXCPU"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    faulthandler.enable(file=sys.stderr)
    # liprl asks for the place of a step that hangs.
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)


# ---- frames

def write_all(data):
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(REPLIES, view):]


def reply(kind, payload=b""):
    write_all(kind.to_bytes(8, sys.byteorder) + len(payload).to_bytes(8, sys.byteorder) + payload)


def read_exactly(count):
    data = bytearray()
    while len(data) < count:
        part = os.read(REQUESTS, min(count - len(data), 1 << 20))
        if not part:
            os._exit(0)
        data += part
    return bytes(data)


def failure(error, setting):
    """The error as JSON: its last line, its place in the user's code; the whole of it goes to the log."""
    if isinstance(error, Refused):
        return json.dumps({"setting": setting, "last": str(error), "place": None, "kind": "Refused"}).encode()
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    sys.stderr.write("".join(traceback.format_exception(type(error), error, frames)))
    sys.stderr.flush()
    last = traceback.format_exception_only(type(error), error)[-1].strip()
    stack = [frame for frame in traceback.extract_tb(frames) if not frame.filename.startswith("<frozen")]
    place = f"{stack[-1].filename}:{stack[-1].lineno}" if stack else None
    kind = type(error).__name__
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    return json.dumps({"setting": setting, "last": last, "place": place, "kind": kind, "missing": missing}).encode()


# ---- construction

class Maker:
    """Makes the environment of a request; `setting` is the one at work, for errors."""

    def __init__(self, request):
        self.request = request
        self.setting = "interpreter"

    def make(self):
        request = self.request
        render_mode = "rgb_array" if request["render"] else None
        if render_mode and not os.environ.get("DISPLAY"):
            os.environ.setdefault("MUJOCO_GL", "egl")
            os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        # The entry that `-c` makes is the current folder.
        sys.path[:1] = request["path"] or [""]
        import gymnasium
        import numpy

        self.setting = "import"
        for name in request["import"]:
            importlib.import_module(name)
        kwargs = dict(request["kwargs"])
        if render_mode:
            kwargs["render_mode"] = render_mode
        if request["max_episode_steps"] is not None:
            kwargs["max_episode_steps"] = request["max_episode_steps"]
        kwargs["disable_env_checker"] = not request["check"]
        if request["class"]:
            self.setting = "entry"
            found = self.named(request["id"], gymnasium.Env, "an environment, a class below gymnasium.Env")
            spec = gymnasium.envs.registration.EnvSpec(id=f"{found.__name__}-v0", entry_point=request["id"])
            env = gymnasium.make(spec, **kwargs)
        else:
            self.setting = "python"
            env = gymnasium.make(request["id"], **kwargs)
        self.setting = "wrappers"
        for wrapper in request["wrappers"]:
            name = wrapper["wrapper"] if ":" in wrapper["wrapper"] else f"gymnasium.wrappers:{wrapper['wrapper']}"
            found = self.named(name, gymnasium.Wrapper, "a wrapper, a class below gymnasium.Wrapper")
            env = found(env, **wrapper["kwargs"])
        return env

    @staticmethod
    def named(name, base, words):
        """The class `module:Class`. Nothing else is called, so that a config cannot run any function there is."""
        module, _, path = name.partition(":")
        found = importlib.import_module(module)
        for part in path.split("."):
            if not hasattr(found, part):
                raise Refused(f"the module `{module}` has no `{path}`")
            found = getattr(found, part)
        if not (isinstance(found, type) and issubclass(found, base)):
            raise Refused(f"`{name}` is not {words}")
        return found


# ---- spaces

def parts(space, name, gymnasium, numpy):
    """The boxes of an observation space with their names, in the order of gymnasium.spaces.flatten_space."""
    spaces = gymnasium.spaces
    label = f"its observation `{name}`" if name else "its observation"
    if isinstance(space, spaces.Dict):
        inner = [part for key, sub in space.spaces.items() for part in parts(sub, join(name, key), gymnasium, numpy)]
    elif isinstance(space, spaces.Tuple):
        inner = [part for key, sub in enumerate(space.spaces) for part in parts(sub, join(name, key), gymnasium, numpy)]
    elif isinstance(space, spaces.Box):
        if space.dtype == numpy.uint8 and len(space.shape) > 1:
            raise Refused(f"{label} is an image ({space.dtype}, shape {space.shape}); liprl learns from vectors of "
                          "numbers: put a wrapper around the environment that makes features of it")
        return [(name, space)]
    else:
        raise Refused(f"{label} is {type(space).__name__} ({space}); liprl reads Box, and Dict and Tuple of Boxes")
    if not name and not inner:
        raise Refused(f"{label} is empty ({space})")
    return inner


def join(name, key):
    return f"{name}.{key}" if name else str(key)


def action_box(space, gymnasium, numpy):
    if not isinstance(space, gymnasium.spaces.Box):
        raise Refused(f"its actions are {type(space).__name__} ({space}); liprl acts in one Box of bounded numbers")
    if not numpy.issubdtype(space.dtype, numpy.floating):
        raise Refused(f"its actions are a Box of {space.dtype}; liprl acts with real numbers")
    low, high = space.low.ravel(), space.high.ravel()
    for index, (a, b) in enumerate(zip(low, high)):
        if not (numpy.isfinite(a) and numpy.isfinite(b)):
            raise Refused(f"its action {index} is in [{a}, {b}] ({space}); agents act in [-1, 1], which is scaled to "
                          "the action's bounds: put a wrapper around the environment that gives it finite ones")
    return space


def side(values):
    """Bounds for JSON, which has no infinity."""
    return [float(x) if abs(x) != float("inf") else None for x in values]


def writer(space, row, at, name, gymnasium, numpy):
    """A function that writes an observation of the space into the row, and the place behind it."""
    if isinstance(space, gymnasium.spaces.Box):
        shape = space.shape
        size = int(numpy.prod(shape, dtype=int))
        place = row[at:at + size].reshape(shape)
        label = f"the observation `{name}`" if name else "the observation"

        def write(obs):
            found = obs.shape if isinstance(obs, numpy.ndarray) else numpy.shape(obs)
            if found != shape:
                raise Refused(f"{label} has the shape {found}, its space says {shape}")
            place[...] = obs

        return write, at + size
    is_dict = isinstance(space, gymnasium.spaces.Dict)
    inner = []
    for key, sub in space.spaces.items() if is_dict else enumerate(space.spaces):
        write, at = writer(sub, row, at, join(name, key), gymnasium, numpy)
        inner.append((key, write))

    def write_all_parts(obs):
        try:
            for key, write in inner:
                write(obs[key])
        except (KeyError, IndexError, TypeError) as error:
            missing = [join(name, key) for key, _ in inner if not has(obs, key)]
            if missing:
                raise Refused(f"the observation has no `{missing[0]}`, its space has") from error
            raise

    return write_all_parts, at


def has(obs, key):
    try:
        obs[key]
    except (KeyError, IndexError, TypeError):
        return False
    return True


# ---- the environment at work

class Server:
    def __init__(self, env, maker):
        import gymnasium
        import numpy

        maker.setting = "entry" if maker.request["class"] else "python"
        self.env, self.numpy, self.info = env, numpy, maker.request["info"]
        self.spaces = (env.observation_space, env.action_space)
        self.parts = parts(env.observation_space, "", gymnasium, numpy)
        box = action_box(env.action_space, gymnasium, numpy)
        width = sum(int(numpy.prod(space.shape, dtype=int)) for _, space in self.parts)
        # Flags, reward, observation, infos.
        self.row = numpy.zeros(2 + width + len(self.info))
        self.head = self.row[:1].view(numpy.uint64)
        self.put, at = writer(env.observation_space, self.row, 2, "", gymnasium, numpy)
        self.infos = self.row[at:]
        size = int(numpy.prod(box.shape, dtype=int))
        self.inbox = bytearray(8 + 8 * size)
        self.action = numpy.frombuffer(self.inbox, dtype=numpy.float64, offset=8)
        self.action_shape, self.action_type = box.shape, box.dtype
        self.hooks = self.find_hooks(gymnasium)

    def find_hooks(self, gymnasium):
        """The environment, if it saves its own state and no wrapper has one that would be lost."""
        env = self.env
        while env is not env.unwrapped:
            if type(env).__name__ not in STATELESS or not type(env).__module__.startswith("gymnasium."):
                return None
            env = env.env
        both = all(callable(getattr(env, name, None)) for name in ("get_state", "set_state"))
        return env if both else None

    def describe(self, maker):
        import gymnasium

        numpy, spec = self.numpy, self.env.spec
        try:
            text = spec.to_json() if spec else None
        except Exception:
            text = None
        versions = {"python": sys.version.split()[0]}
        for name in ["gymnasium", "numpy", "mujoco", *(name.split(".")[0] for name in maker.request["import"])]:
            version = getattr(sys.modules.get(name), "__version__", None)
            if isinstance(version, str):
                versions[name] = version
        versions.update(self.source())
        low = [x for _, space in self.parts for x in side(space.low.ravel())]
        high = [x for _, space in self.parts for x in side(space.high.ravel())]
        box = self.spaces[1]
        return {
            "interpreter": sys.executable, "version": sys.version, "libraries": versions, "spec": text,
            "entry_point": spec.entry_point if spec and isinstance(spec.entry_point, str) else None,
            "max_episode_steps": spec.max_episode_steps if spec else None,
            "parts": [{"name": name, "shape": list(space.shape), "type": str(space.dtype)} for name, space in self.parts],
            "observation": [low, high], "action": [side(box.low.ravel()), side(box.high.ravel())],
            "saves_state": self.hooks is not None, "renders": self.env.render_mode == "rgb_array",
            "render_fps": self.env.metadata.get("render_fps"),
        }

    def source(self):
        """The file that defines the environment, with its SHA-256: code without a version of its own may change."""
        try:
            file = sys.modules[type(self.env.unwrapped).__module__].__file__
            with open(file, "rb") as opened:
                return {os.path.basename(file): "SHA-256 " + hashlib.sha256(opened.read()).hexdigest()[:16]}
        except (AttributeError, KeyError, OSError, TypeError):
            return {}

    def note(self, info):
        for index, name in enumerate(self.info):
            value = info.get(name)
            try:
                self.infos[index] = float("nan") if value is None else value
            except (TypeError, ValueError) as error:
                raise Refused(f"the info `{name}` is not a number but {value!r}; take it out of `info`") from error

    def serve(self):
        """Answers until the request pipe ends. A step takes one read and one write."""
        env, inbox, row, head, put, infos = self.env, self.inbox, self.row, self.head, self.put, self.info
        whole, action, kind, shape = len(inbox), self.action, self.action_type, self.action_shape
        flat, size, readv, write, targets = len(shape) == 1, row.nbytes, os.readv, os.write, [inbox]
        while True:
            count = readv(REQUESTS, targets)
            if count == 0:
                return
            try:
                if inbox[0] != STEP:
                    self.other(count)
                    continue
                if count < whole:
                    inbox[count:] = read_exactly(whole - count)
                # A new array each time: an environment may keep it.
                given = action.astype(kind)
                obs, reward, terminated, truncated, info = env.step(given if flat else given.reshape(shape))
                put(obs)
                row[1] = reward
                head[0] = (1 if terminated else 0) | (2 if truncated else 0)
                if infos:
                    self.note(info)
            except BaseException as error:
                reply(ERROR, failure(error, None))
                continue
            if write(REPLIES, row) != size:
                os._exit(1)

    def other(self, count):
        """Requests besides steps: an operation, seven bytes of length, and so many bytes."""
        inbox, op = self.inbox, self.inbox[0]
        start = bytes(inbox[:count])
        start += read_exactly(8 - count) if count < 8 else b""
        length = int.from_bytes(start[1:8], sys.byteorder)
        payload = start[8:] + read_exactly(length - (len(start) - 8))
        if op == RESET:
            request = json.loads(payload)
            self.reset(request["seed"], request["options"])
            write_all(self.row)
        elif op == RENDER:
            reply(PAYLOAD, self.picture())
        elif op == GET_STATE:
            reply(PAYLOAD, self.get_state())
        elif op == SET_STATE:
            self.set_state(payload)
            reply(PAYLOAD)
        elif op == WORK_IN:
            self.work_in(payload.decode())
            reply(PAYLOAD)

    def reset(self, seed, options):
        obs, info = self.env.reset(seed=seed, options=options or None)
        for before, now, name in zip(self.spaces, (self.env.observation_space, self.env.action_space), ("observation", "action")):
            if now is not before and now != before:
                raise Refused(f"its {name} space has changed from {before} to {now}; liprl needs spaces that stay")
        self.put(obs)
        self.row[1], self.head[0] = 0.0, 0
        if self.info:
            self.note(info)

    def picture(self):
        frame = self.env.render()
        frame = frame[-1] if isinstance(frame, list) and frame else frame
        frame = self.numpy.ascontiguousarray(frame)
        if frame.dtype != self.numpy.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise Refused(f"render() returned {frame.dtype} of shape {frame.shape}, not the bytes of an RGB picture")
        height, width = frame.shape[:2]
        return width.to_bytes(4, sys.byteorder) + height.to_bytes(4, sys.byteorder) + frame.tobytes()

    def limits(self):
        """The TimeLimit wrappers, whose count is a part of the state."""
        env, found = self.env, []
        while env is not env.unwrapped:
            if type(env).__name__ == "TimeLimit":
                found.append(env)
            env = env.env
        return found

    def get_state(self):
        """Steps since the reset and the state that the environment gives; nothing if it gives none."""
        state = self.hooks.get_state() if self.hooks is not None else None
        if not isinstance(state, (bytes, bytearray)):
            return b""
        elapsed = next((limit._elapsed_steps or 0 for limit in self.limits()), 0)
        return elapsed.to_bytes(8, sys.byteorder) + bytes(state)

    def set_state(self, payload):
        seed, elapsed = (int.from_bytes(payload[at:at + 8], sys.byteorder) for at in (0, 8))
        if self.hooks is None:
            raise Refused("it does not take back a state (set_state) that it once gave")
        self.env.reset(seed=seed)
        self.hooks.set_state(payload[16:])
        for limit in self.limits():
            limit._elapsed_steps = elapsed

    @staticmethod
    def work_in(folder):
        """Goes to the run folder, and writes what is printed to python.log there."""
        os.chdir(folder)
        sys.stdout.flush()
        sys.stderr.flush()
        log = os.open("python.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)


def main():
    sys.stdout.reconfigure(line_buffering=True)
    survive_signals()
    length = int.from_bytes(read_exactly(8), sys.byteorder)
    request = json.loads(read_exactly(length))
    end_with_parent(request["parent"])
    write_all(MAGIC)
    maker = Maker(request)
    try:
        server = Server(maker.make(), maker)
        description = server.describe(maker)
    except BaseException as error:
        reply(ERROR, failure(error, maker.setting))
        return
    reply(PAYLOAD, json.dumps(description).encode())
    try:
        server.serve()
    finally:
        server.env.close()


main()
