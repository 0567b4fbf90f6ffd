"""`python -m smoothbench`."""

from smoothbench.cli import main

if __name__ == "__main__":
    main()
