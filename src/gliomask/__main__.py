"""``python -m gliomask`` is the command line."""

from gliomask.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main())
