"""`python -m smoothbench`."""

import sys

try:
    from smoothbench.cli import main
except ModuleNotFoundError as error:  # the system's Python, after `make demo` has made an environment
    if error.name is None or error.name.partition(".")[0] == "smoothbench":
        raise
    print(
        f"error: {sys.executable} has no package {error.name}: use the environment of make demo "
        "(. .venv/bin/activate), or pip install -c constraints.txt -e .",
        file=sys.stderr,
    )
    sys.exit(2)

if __name__ == "__main__":
    main()
