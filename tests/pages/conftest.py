"""A browser for the tests of pages: Chromium as Debian packs it, driven by what make test-pages brings from npm."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

LOOK = Path(__file__).with_name("look.mjs")
MODULES = Path(__file__).parents[2] / "build/browser"


@pytest.fixture(scope="session")
def look():
    """Shows pages in Chromium at 360, 768 and 1440 pixels, light and dark; what it finds wrong, a dict each."""
    chromium, node = shutil.which("chromium"), shutil.which("node")
    assert chromium, "no chromium is on the PATH: apt-get install chromium"
    assert node, "no node is on the PATH: apt-get install nodejs npm"

    def run(*pages):
        screenshots = os.environ.get("BODYPOSENET_SCREENSHOTS", "")
        command = [node, LOOK, MODULES, chromium, screenshots, *pages]
        done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, timeout=600)
        return json.loads(done.stdout)

    return run
