"""Tiny pipeline: one real component, inputs of every kind, a loop and a condition; compiled in a moment."""

from kfp import compiler, dsl

from bodyposenet.components.gate import gate


@dsl.pipeline(name="tiny", description="Compares two figures.")
def tiny(
    reference: float,
    candidate: float = 0.5,
    images: int = 3,
    strict: bool = False,
    train_spec: str = "",
    keep: list = ["a"],  # noqa: B006 - Kubeflow's way to give a default
    settings: dict = {"epochs": 2},  # noqa: B006
) -> bool:
    """Compare two figures."""
    good = gate(float_ap=reference, int8_ap=candidate, max_int8_drop=0.02).set_caching_options(True)
    with dsl.If(good.outputs["Output"] == True):  # noqa: E712 - a comparison for Kubeflow, not for Python
        gate(float_ap=reference, int8_ap=candidate, max_int8_drop=1.0)
    with dsl.ParallelFor(["1", "2"]) as _:
        gate(float_ap=reference, int8_ap=candidate, max_int8_drop=1.0)
    return good.outputs["Output"]


def compiled(folder):
    """The pipeline's file in a folder."""
    file = folder / "tiny.yaml"
    compiler.Compiler().compile(tiny, str(file))
    return file
