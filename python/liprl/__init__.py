"""liprl from Python: the program as a subprocess, and its policies in numpy.

>>> import liprl
>>> run = liprl.train("pendulum.yaml", out="runs/pendulum", steps=5000)
>>> policy = liprl.load(run)
>>> policy.predict(obs)
"""

from liprl._policy import Policy, load
from liprl._program import LiprlError, certify, metrics, program, run, train

__all__ = ["LiprlError", "Policy", "certify", "load", "metrics", "program", "run", "train"]
