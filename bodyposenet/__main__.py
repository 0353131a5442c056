"""``python -m bodyposenet``: the ``bpnet`` command line."""

from bodyposenet.common.cli.main import main

if __name__ == "__main__":
    main()
