"""`python -m smoothbench.models.nano.train_dit`: see `smoothbench.models.nano.image.train_dit`."""

import sys

from smoothbench.models.nano.image.train_dit import main

if __name__ == "__main__":
    sys.exit(main())
