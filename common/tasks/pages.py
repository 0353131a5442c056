"""Pages: the tasks that show what a run did."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.bounds import FILE_BYTES
from bodyposenet.common.data.hold_out import list_photos
from bodyposenet.common.data.photo_set import TEST_IMAGES, spec_in
from bodyposenet.common.model.training.progress import HISTORY, read_history
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.spec.inference import InferenceSpec, fill_from_card
from bodyposenet.common.storage.inside import join_inside
from bodyposenet.common.storage.json_files import read_json, take_list, take_mapping
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import (
    DETECTIONS,
    NOBODY,
    Settings,
    find_dataset,
    find_detections,
    find_keras,
    find_onnx,
    find_runnable,
    note,
    read_spec,
)
from bodyposenet.common.tracking import task_run

TOLD = 40  # names of photos, on a page
EVALUATE = "give what evaluate wrote"


@report_failures
def report(
    models: Mapping[str, str], dataset: str, inference_spec: Settings, found: str, aps: Settings, page: str,
    figures: str,
) -> dict[str, float]:  # fmt: skip
    """Compare the networks of a run, write the page and return the figures of its table, as ``base.ap``.

    Args:
        models: Folders of ``base``, ``pruned``, ``retrained``, ``onnx`` and ``int8``.
        dataset: Whose held-out photos were used.
        inference_spec: The inference spec of the evaluations.
        found: What was found in those photos.
        aps: AP of each network.
        page: Gets the page.
        figures: Gets the figures.
    """
    from bodyposenet.common.evaluation.ceiling import ceiling_ap
    from bodyposenet.common.model.files.model_file import read_card
    from bodyposenet.common.report.comparison_table import verdict
    from bodyposenet.common.report.run_report import write_report
    from bodyposenet.common.tasks.comparison import Networks, channels_between, compare

    files = {name: Path(folder) for name, folder in models.items()}
    networks = Networks(
        base=find_keras(models["base"]),
        pruned=find_keras(models["pruned"]),
        retrained=find_keras(models["retrained"]),
        onnx=find_onnx(models["onnx"]),
        int8=find_runnable(models["int8"]),
    )
    converted = find_dataset(dataset)
    truth = spec_in(converted)
    card = read_card(networks.base)
    spec = fill_from_card(read_spec(inference_spec, InferenceSpec, "inference_spec"), card)
    with task_run("report", buffer=Path(page).parent) as run:
        ceiling = ceiling_ap(truth, spec, card.skeleton, stride=card.stride, sigma=card.sigma)
        known = {name: None if ap == NOBODY else ap for name, ap in aps.items()}
        compared = compare(networks, known, runner=spec.runner)
        write_report(
            Path(page),
            title="BodyPoseNet: trained, pruned, retrained, quantized",
            said=" ".join(filter(None, (verdict(compared.stages, ceiling), describe_seen(card, converted)))),
            ceiling_ap=ceiling,
            stages=compared.stages,
            curves={name: _history(files[name]) for name in ("base", "retrained")},
            channels=channels_between(networks.base, networks.retrained),
            pictures=_pictures(find_detections(found), converted, card.skeleton),
            facts=_facts(converted, spec, card.input_size)
            | _precisions(files)
            | _list_seen(card)
            | {"8-bit network ran in": compared.describe()},
        )
        told = {"ceiling_ap": ceiling, "int8.speed_up": compared.speed_up} | compared.list_figures()
        run.log_metrics(told)
        run.log_params({"ran": compared.describe()}, prefix="data")
        run.log_artifact(Path(page), "report")
    return note({name: value for name, value in told.items() if value is not None}, figures)


def _history(model: Path) -> Sequence[Settings]:
    path = model / HISTORY
    return read_history(path) if path.is_file() else []


def _pictures(found: Path, dataset: Path, skeleton: Any, most: int = 8) -> list[tuple[str, np.ndarray]]:
    """Held-out photos with the people found in them, those with most people first."""
    from bodyposenet.common.imaging.photo import read_image
    from bodyposenet.common.inference.detections import read_people
    from bodyposenet.common.pose.draw import draw_people

    images = read_json(found / DETECTIONS, _take_images, what="list of detections", fix=EVALUATE, most=FILE_BYTES)
    images = sorted((entry for entry in images if entry.get("keypoints")), key=lambda entry: -len(entry["keypoints"]))
    pictures = []
    for entry in images[:: max(1, len(images) // most)][:most]:
        people = read_people(entry, skeleton)
        name = entry["full_image_path"].split(f"{TEST_IMAGES}/", 1)[-1]
        path = join_inside(dataset / TEST_IMAGES, name, where=str(found / DETECTIONS))
        pictures.append((f"{path.name}: {len(people)} found", draw_people(read_image(path), people, skeleton)))
    return pictures


def _take_images(data: Any) -> list[dict[str, Any]]:
    return [take_mapping(entry) for entry in take_list(data["images"])]


def _facts(dataset: Path, spec: InferenceSpec, size: tuple[int, int]) -> dict[str, Any]:
    from bodyposenet.common.data.records.manifest import read_manifest

    sets = read_manifest(dataset)["sets"]
    return {
        "training photos": sets["train"]["images"],
        "training people": sets["train"]["people"],
        "held-out photos": sets["val"]["images"],
        "trained at": f"{size[0]}x{size[1]} pixels",
        "evaluated at": f"{spec.input_shape[0]}x{spec.input_shape[1]} pixels, {spec.keep_aspect_ratio_mode}",
        "fewest joints of a person": spec.min_parts,
    }


def describe_seen(card: Card, dataset: Path) -> str:
    """Say how many of a dataset's held-out photos the start weights had been trained on; nothing if that is unknown.

    Args:
        card: Of the network that was trained.
        dataset: As ``dataset_join`` leaves it.
    """
    if not card.trained_on:
        return ""
    photos = list_photos(dataset)
    seen = sum(photo.sha256 in card.trained_on for photo in photos)
    if not seen:
        return (
            f"The start weights had been trained on none of the {pluralize(len(photos), 'photo')} of this evaluation."
        )
    return (
        f"The start weights had been trained on {seen} of the {pluralize(len(photos), 'photo')} of this evaluation: "
        "this AP is no measure."
    )


def _list_seen(card: Card) -> dict[str, str]:
    """The photos that the start weights had been trained on, where the card tells them."""
    names = sorted(card.trained_on.values())
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    told = f"{pluralize(len(names), 'photo')}: {', '.join(names[:TOLD])}{more}"
    return {"start weights trained on": told} if names else {}


def _precisions(files: Mapping[str, Path]) -> dict[str, str]:
    """What the trainings computed in, where their folders tell."""
    from bodyposenet.common.model.training.precision import read_precision

    found = {f"{name} trained in": read_precision(files[name]) for name in ("base", "retrained")}
    return {name: str(choice) for name, choice in found.items() if choice}
