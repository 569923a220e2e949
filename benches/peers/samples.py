"""What the benchmark's table reads from the scripts beside it: one JSON object a line."""

import json
import statistics


def report(library, what, threads, rates):
    """Prints the rates per second of one kind of work."""
    print(json.dumps({"library": library, "what": what, "threads": threads,
                      "median": statistics.median(rates), "min": min(rates), "max": max(rates)}), flush=True)
