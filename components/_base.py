"""Base: how every component of this package is declared, and how its task finds the function that it is to call.

Kubeflow repeats a component's command in every node of a workflow, so a task is told the function's name; its source is
in the image. See docs/adr/0021.
"""

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp import dsl

from bodyposenet.common.kubeflow import container_images

RUNTIME = "_KFP_RUNTIME"  # set in a task: then kfp imports what tasks need, and declares no components
COMMAND = [
    "python3", "-c",
    "import os; os.environ['_KFP_RUNTIME'] = 'true'; from bodyposenet.components import _base;"
    " _base.run('kfp.dsl.executor_main')",
]  # fmt: skip
FUNCTION = "--function_to_execute"


def run(executor: str) -> None:
    """Run the function of a component, with kfp's executor; the arguments of the process say which, and on what.

    Args:
        executor: kfp's module.
    """
    from bodyposenet.common.machine.imports import skip_plugins

    skip_plugins()
    name = sys.argv[sys.argv.index(FUNCTION) + 1]
    sys.argv = [executor, "--component_module_path", str(Path(__file__).with_name(f"{name}.py")), *sys.argv[1:]]
    runpy.run_module(executor, run_name="__main__", alter_sys=True)


def _declare(image: str) -> Callable[[Callable[..., Any]], Any]:
    """The decorator of components whose tasks run in an image, which holds this package and kfp."""

    def decorate(function: Callable[..., Any]) -> Any:
        if os.environ.get(RUNTIME) == "true":
            return function
        component = dsl.component(function, base_image=image, install_kfp_package=False)
        container = component.component_spec.implementation.container
        container.command = COMMAND
        container.args = [FUNCTION, function.__name__, "--executor_input", "{{$}}"]
        return component

    return decorate


on_train_image = _declare(container_images.TRAIN_IMAGE)
on_deploy_image = _declare(container_images.DEPLOY_IMAGE)
