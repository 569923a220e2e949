"""Episodes of a Minari file, for the scripts beside it."""

import h5py


def episodes(file):
    """Yields each episode's arrays by name, in order."""
    with h5py.File(file) as source:
        for name in sorted((n for n in source if n.startswith("episode_")), key=lambda n: int(n[8:])):
            arrays = ("observations", "actions", "rewards", "terminations", "truncations")
            yield {array: source[name][array][()] for array in arrays}
