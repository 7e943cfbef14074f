"""`python -m latentdial` is the command line."""

from latentdial.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
