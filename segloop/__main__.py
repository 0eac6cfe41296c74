"""`python -m segloop` is the `segloop` command; `torchrun -m segloop training ...` works too."""

from segloop.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
