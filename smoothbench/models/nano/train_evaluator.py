"""`python -m smoothbench.models.nano.train_evaluator`: see `smoothbench.models.nano.image.train_evaluator`."""

import sys

from smoothbench.models.nano.image.train_evaluator import main

if __name__ == "__main__":
    sys.exit(main())
