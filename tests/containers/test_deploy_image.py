"""The smaller image, and a task in it; a small part of `make docker-test`, which every change must pass."""

import json

import pytest
from support.container_runner import READ_ONLY
from support.image_checks import assert_sound, said

from bodyposenet.components.gate import gate
from bodyposenet.components.photos import photos

pytestmark = pytest.mark.docker


def test_the_image_is_what_its_file_promises(client, deploy_image):
    recorded, image = deploy_image
    assert_sound(client, image, recorded, most_bytes=1.2e9)


def test_it_starts_warm(client, deploy_image):
    """What numba compiles was compiled when the image was made, and is found again by any user."""
    script = "import numba, sys; from bodyposenet.common.pose import group; print(numba.config.CPU_NAME)"
    assert said(client, deploy_image[1], f'python -c "{script}"', user="4711:4711") == "x86-64-v3"
    caches = said(client, deploy_image[1], "find /opt/bodyposenet/numba -name '*.nbc' | wc -l")
    assert int(caches) > 10


def test_a_task_finds_compiled_bytecode_of_all_that_it_imports(client, deploy_image):
    """But of kfp's client, which no task needs."""
    loaded = "kfp.dsl.executor_main, bodyposenet.common.tasks"
    missing = "[name for name, module in sys.modules.items() if (kept := getattr(module, '__cached__', None))"
    missing += " and name != '__main__' and not os.path.exists(kept)]"
    script = f"import os, sys; os.environ['_KFP_RUNTIME'] = 'true'; import {loaded}; print({missing})"
    assert said(client, deploy_image[1], f'python -c "{script}"') == "[]"


@pytest.mark.parametrize("user", ["1000:1000", "4711:4711"])
def test_on_a_root_that_may_only_be_read_nothing_is_compiled_again(client, deploy_image, user):
    script = "touch /opt/x; touch /home/x; bpnet doctor --json"
    told = json.loads(said(client, deploy_image[1], f"({script}) 2> /dev/null", user=user, **READ_ONLY))
    assert told["compiled"]["state"] == "warm"
    assert told["compiled"]["folder"].startswith("/tmp/")


def test_a_task_runs_in_it(runner):
    done = gate(float_ap=0.5, int8_ap=0.49, min_ap=0.4)
    assert done.outputs["Output"] is True
    assert "AP 0.500 in float and 0.490 in 8 bits" in (next(runner.rglob("decision"))).read_text()


def test_a_task_that_fails_is_no_success_and_says_why(runner, capfd):
    with pytest.raises(RuntimeError, match=r"photos.* finished with status .*FAILURE"):
        photos(data="synthetic:0,4", fingerprint="")
    assert "photos failed: data: 'synthetic:0,4' does not say how many pictures to draw" in capfd.readouterr().out
