"""`python -m smoothbench.migrate`: see `smoothbench.migration.migrate`."""

import sys

from smoothbench.migration.migrate import main

if __name__ == "__main__":
    sys.exit(main())
