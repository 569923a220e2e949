"""LipSDP by cvxpy with Clarabel on the networks of `cargo bench -p liprl-control --bench tightness -- --nets nets.json`,
as JSON lines beside its own: the same inequality as in control/tests/certify.py.

    python benches/peers/lipsdp.py nets.json [--neurons 150]
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "control/tests"))
from certify import lipsdp


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", type=pathlib.Path)
    parser.add_argument("--neurons", type=int, default=150, help="leaves out larger networks, which take hours")
    arguments = parser.parse_args()
    for index, net in enumerate(json.loads(arguments.nets.read_text())):
        sizes = net["sizes"]
        if sum(sizes[1:-1]) > arguments.neurons:
            continue
        shapes = zip(sizes[1:], sizes[:-1])
        weights = [np.array(layer["weight"]).reshape(shape) for layer, shape in zip(net["layers"], shapes)]
        start = time.perf_counter()
        upper = lipsdp(weights, (0.0, 1.0), False)
        line = {"net": index, "sizes": sizes, "activation": net["activation"], "by": "cvxpy, Clarabel", "upper": upper,
                "seconds": time.perf_counter() - start}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
