"""`python -m smoothbench.overhead`: see `smoothbench.costs.overhead`."""

import sys

from smoothbench.costs.overhead import main

if __name__ == "__main__":
    sys.exit(main())
