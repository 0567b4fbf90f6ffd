"""`python -m smoothbench.overhead`: see `smoothbench.costs.overhead.command`."""

import sys

from smoothbench.costs.overhead.command import main

if __name__ == "__main__":
    sys.exit(main())
