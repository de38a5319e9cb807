"""``python -m simulators pacs --port 11112``: one simulator alone."""

from simulators.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
