"""`python -m smoothbench.export`: see `smoothbench.interop.adm`."""

import sys

from smoothbench.interop.adm import main

if __name__ == "__main__":
    sys.exit(main())
