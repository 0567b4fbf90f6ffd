"""`python -m smoothbench.vbench`: see `smoothbench.interop.vbench.__main__`."""

import sys

from smoothbench.interop.vbench.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
