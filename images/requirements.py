"""Requirements: what setup.cfg asks for, with some of its extras, a line each; for the images' dependency layer.

python images/requirements.py setup.cfg pipelines,deploy
"""

import configparser
import sys
from collections.abc import Iterator


def requirements(setup: configparser.ConfigParser, extras: list[str]) -> Iterator[str]:
    """The lines of ``install_requires`` and of the extras.

    Raises:
        SystemExit: There is no such extra.
    """
    known = setup["options.extras_require"]
    missing = [extra for extra in extras if extra not in known]
    if missing:
        raise SystemExit(f"setup.cfg has no extra {', '.join(missing)}; it has {', '.join(known)}")
    yield from filter(None, setup["options"]["install_requires"].splitlines())
    for extra in extras:
        yield from (line for line in known[extra].splitlines() if line and not line.startswith("#"))


if __name__ == "__main__":
    config = configparser.ConfigParser()
    config.read(sys.argv[1])
    print("\n".join(requirements(config, sys.argv[2].split(","))))
