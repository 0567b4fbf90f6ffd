"""`python -m smoothbench.doctor`: see `smoothbench.running.doctor.command`."""

import sys

from smoothbench.running.doctor.command import main

if __name__ == "__main__":
    sys.exit(main())
