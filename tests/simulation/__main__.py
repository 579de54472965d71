"""``python -m tests.simulation --seed N``: play a seed, show what happened and what broke.

With ``--bug NAME`` one of the mistakes in `tests.simulation.planted` is in.
"""

import argparse
import sys
import time
from contextlib import nullcontext

from tests.simulation.planted import BUGS
from tests.simulation.world import simulate


def main() -> None:
    """Play one seed with its trace, or a range with a line for each that breaks a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--bug", choices=sorted(BUGS), help="a mistake to plant")
    options = parser.parse_args()
    started, broken = time.perf_counter(), 0
    for seed in range(options.seed, options.seed + options.count):
        with BUGS[options.bug]() if options.bug else nullcontext():
            outcome = simulate(seed)
        if options.count == 1:
            print("\n".join(outcome.trace))
            print(dict(outcome.counts))
        if outcome.violation:
            broken += 1
            print(f"seed {seed}: {outcome.violation}", flush=True)
    secs = time.perf_counter() - started
    print(f"{options.count} seeds, {broken} broken, {secs / options.count:.3f} s a seed")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
