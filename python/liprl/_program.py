"""The program, started as a subprocess."""

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path


class LiprlError(RuntimeError):
    """The program's error message. `returncode` is 2 for a wrong config or command line, else 1 or 128 plus a signal."""

    def __init__(self, message, returncode):
        super().__init__(message)
        self.returncode = returncode


def program():
    """Path of the program: the one installed with this package, else the first on PATH."""
    for folder in (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")):
        path = Path(folder) / "liprl"
        if path.is_file():
            return str(path)
    found = shutil.which("liprl")
    if found is None:
        raise FileNotFoundError("the program `liprl` is not installed beside this package; run `pip install liprl`")
    return found


def run(*arguments, quiet=False):
    """Runs `liprl` with these arguments and returns its standard output.

    Its progress, on standard error, is shown unless `quiet`. Raises LiprlError if it fails.
    """
    command = [program(), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        errors = []
        # Standard output is one answer at the end; it fits into the pipe's buffer or is read below.
        reader = _Reader(child.stdout)
        for line in child.stderr:
            errors.append(line)
            if not quiet:
                print(line, end="", flush=True)
        output = reader.text()
    if child.returncode != 0:
        raise LiprlError("".join(errors[-20:]).strip(), child.returncode)
    return output


class _Reader:
    """Reads a pipe to its end beside the caller, so that neither side waits for the other."""

    def __init__(self, pipe):
        import threading

        self._text = ""
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe):
        self._text = pipe.read()

    def text(self):
        self._thread.join()
        return self._text


def train(config, *, out, set=None, quiet=False, **flags):
    """Trains by a config file and returns the run folder.

    `set` holds settings by their path, such as {"agent.gamma": 0.98}; `flags` are those of
    `liprl train`: steps, seed, threads, device, resume (True).
    """
    arguments = ["train", config, "--out", out]
    for path, value in (set or {}).items():
        arguments += ["--set", f"{path}={json.dumps(value)}"]
    for name, value in flags.items():
        name = "--" + name.replace("_", "-")
        arguments += [name] if value is True else [] if value in (False, None) else [name, value]
    run(*arguments, quiet=quiet)
    return Path(out)


def certify(path, *arguments):
    """Lipschitz bounds of a run or policy file, as `liprl certify --json` prints them: a dict."""
    return json.loads(run("certify", path, *arguments, "--json", quiet=True))


def metrics(run_folder):
    """Rows of a run's metrics.jsonl as dicts, for example for `pandas.DataFrame`."""
    with open(Path(run_folder) / "metrics.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]
