"""Command line of the components: ``bpnet component …`` tells of those that pipelines of one's own can load."""

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import example
from bodyposenet.common.cli.printing import say
from bodyposenet.common.cli.verb_group import WholeSentences

EXAMPLES = ("bpnet component show calibrate", "bpnet component show calibrate --yaml > calibrate.yaml")


@click.group("component", cls=WholeSentences)
def component() -> None:
    """List the Kubeflow components, and show how a pipeline of one's own loads one."""


@component.command("list", cls=ErrorHandlingCommand, epilog=example("bpnet component list"))
def list_components() -> None:
    """List the components, a line for each."""
    from bodyposenet.pipelines.component_pages import list_purposes

    told = list_purposes()
    width = max(map(len, told))
    for name, purpose in told.items():
        say(f"{name:{width}}  {purpose}")


@component.command("show", cls=ErrorHandlingCommand, epilog=example(*EXAMPLES))
@click.argument("name")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the component's file, which kfp loads, and nothing else.")
def show(name: str, as_yaml: bool) -> None:
    """Show what a component takes and gives, and how to load it.

    The image is that of this version, in the registry that BODYPOSENET_REGISTRY names; BODYPOSENET_TRAIN_IMAGE and
    BODYPOSENET_DEPLOY_IMAGE name one whole.
    """
    from bodyposenet.pipelines.component_pages import describe_component, read_component

    text = read_component(name)
    click.echo(text if as_yaml else describe_component(text), nl=False)
