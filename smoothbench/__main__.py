"""`python -m smoothbench`."""

from smoothbench.app import main

if __name__ == "__main__":
    main()
