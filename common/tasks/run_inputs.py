"""Run inputs: what a pipeline run is given in a form, read, checked and digested before anything runs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bodyposenet import __version__
from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.errors import AwayError, SpecError, UserError
from bodyposenet.common.model.files.bundled import AUTO, PEOPLE, PRETRAINED, is_registered
from bodyposenet.common.spec.base import Strict, validate
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.deploy import DeploySpec
from bodyposenet.common.spec.document import Document, read_settings
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.storage.digests import digest_file, digest_settings, fingerprint
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.files import listing
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.photo_store import is_photo
from bodyposenet.common.tracking.model_names import require_model_name
from bodyposenet.common.tracking.start_weights import MODEL_NAME, StartWeights, choose_start, parse_reference

SYNTHETIC = "synthetic:"
DRAWN = re.compile(r"synthetic:(\d+),(\d+)(?:,(\d+))?")
PHOTOS_PER_PART = 20_000  # of a conversion in one pod
MOST_PARTS = 16
FOR_PHOTOS = "photos"  # among the defaults: those that take the place of others where people are not drawn
ELSEWHERE = "/filled/in/by/the/pipeline"

Settings = Mapping[str, Any]


class SyntheticSpec(NamedTuple):
    """How many pictures to draw, and the seed of the drawing."""

    train: int
    val: int
    seed: int = 0


@dataclass(frozen=True)
class RunInputs:
    """What the inputs of a run came to.

    Attributes:
        specs: Settings by the name of their spec, as tasks take them.
        photos: Digest of the photo set, and of the salt.
        weights: Digest of the start weights; empty where the package carries them or there are none.
        parts: Shares of the conversion, one for each pod: ``0/2`` and ``1/2`` are two halves.
        more: What else the outcome depends on.
        checked: The same specs, validated.
        start: What the first training starts from, and why.
        wish: The weights that were asked for, and their digest, where it is the registry that tells which they are;
            what the run's own model brings about has no digest, for every champion would be news to the next night.
    """

    specs: dict[str, dict[str, Any]]
    photos: str
    weights: str
    parts: list[str]
    more: Any = None
    checked: Mapping[str, Strict] = field(default_factory=dict)
    start: StartWeights = field(default_factory=lambda: StartWeights(""))
    wish: tuple[str, str] | None = None

    @property
    def digest(self) -> str:
        """One text for everything that the run's outcome depends on."""
        return self._digest(self.specs, self.weights)

    @property
    def request(self) -> str:
        """One text for everything that was asked for: the same as :attr:`digest`, but for weights of a registry."""
        if self.wish is None:
            return self.digest
        wish, weights = self.wish
        return self._digest(_with_weights(self.specs, wish), weights)

    def _digest(self, specs: Mapping[str, Settings], weights: str) -> str:
        given = {"photos": self.photos, "parts": self.parts, "more": self.more}
        return _hash({"version": __version__, **given, "specs": specs, "weights": weights})


def read_inputs(
    given: Mapping[str, Settings], defaults: Mapping[str, Settings], *, data: str, start_weights: str = "",
    model_name: str = MODEL_NAME, salt: str = "", more: Any = None,
) -> RunInputs:  # fmt: skip
    """Read and check everything that a pipeline run is given, and tell all mistakes at once.

    Args:
        given: For each spec its settings, or ``{"from": PLACE}``, a path or ``gs://`` URI of a YAML or JSON file;
            nothing means the default.
        defaults: Settings of each spec where nothing is given; under ``photos`` those for photos, see
            :func:`choose_defaults`.
        data: See :func:`parse_synthetic`; otherwise a folder, on a disk or in a bucket.
        start_weights: Replaces ``pretrained_weights`` of the train spec; ``auto`` falls back to them.
        model_name: The registered model that the run adds to, and whose champion ``auto`` takes.
        salt: Another text makes every task run again.
        more: What else the outcome depends on, as JSON data.

    Raises:
        SpecError: With every problem of every spec.
        UserError: The data or the weights cannot be read, or a registry has no such weights.
    """
    require_model_name(model_name)
    drawn = parse_synthetic(data)
    own = drawn is not None or start_weights.strip() not in ("", AUTO, PEOPLE)
    specs, checked = _check_specs(given, choose_defaults(defaults, given, own=own))
    start, wish = _choose_start(start_weights.strip(), specs, checked.get("train_spec"), model_name)
    if start.weights or wish:
        specs = _with_weights(specs, start.weights)
    weights = start.digest or weights_digest(start.weights)
    specs = {name: _without_teacher(settings) for name, settings in specs.items()} if drawn else specs
    photos = _hash({"data": data.strip() if drawn else _folder_digest(data, specs), "salt": salt})
    count = sum(drawn[:2]) if drawn else _photos_in(data)
    return RunInputs(specs, photos, weights, parts_for(count), more, checked, start, wish)


def choose_defaults(
    defaults: Mapping[str, Settings], given: Mapping[str, Settings], *, own: bool
) -> dict[str, Settings]:
    """The settings of each spec where nothing is given: those for photos, unless another network is trained.

    Args:
        defaults: By the spec's name; those for photos are together under a name of their own.
        given: By the spec's name. Who gives a train or a retrain spec trains another network than that for photos.
        own: People are drawn, or the training starts from weights of the user's own.
    """
    known = {name: settings for name, settings in defaults.items() if name != FOR_PHOTOS}
    trained = any(given.get(name) for name in ("train_spec", "retrain_spec"))
    return known if own or trained else {**known, **defaults.get(FOR_PHOTOS, {})}


def parse_synthetic(data: str) -> SyntheticSpec | None:
    """``synthetic:600,200`` as so many pictures to draw, ``synthetic:600,200,7`` with that seed; None for a folder.

    Raises:
        UserError: It begins so and goes on otherwise, or is empty.
    """
    if not data.strip():
        fix = "give a folder, gs://bucket/folder or the like, or synthetic:600,200 to draw people"
        raise UserError("names no photos", where="data", fix=fix)
    if not data.strip().startswith(SYNTHETIC):
        return None
    found = DRAWN.fullmatch(data.strip())
    if not found or not int(found[1]) or not int(found[2]):
        fix = "write synthetic:TRAIN,VAL or synthetic:TRAIN,VAL,SEED, such as synthetic:600,200"
        raise UserError(f"{data!r} does not say how many pictures to draw", where="data", fix=fix)
    return SyntheticSpec(int(found[1]), int(found[2]), int(found[3] or 0))


def parts_for(photos: int) -> list[str]:
    """Shares of a conversion, so that no pod has more photos than it can do in a reasonable time."""
    of = min(MOST_PARTS, max(1, -(-photos // PHOTOS_PER_PART)))
    return [f"{index}/{of}" for index in range(of)]


def weights_digest(path: str) -> str:
    """What tells one content of a file of weights from another; nothing for weights that the package carries.

    Raises:
        UserError: There is no such file.
    """
    if not path or path.startswith(PRETRAINED):
        return ""
    if in_bucket(path):
        place = locate(path)
        with translate_errors(place, fix="check start_weights"):
            return place.find_version()
    if Path(path).is_dir():
        return fingerprint(path)
    try:
        return digest_file(path)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path, fix="check start_weights") from None


def _choose_start(
    given: str, specs: Mapping[str, Settings], spec: Strict | None, name: str
) -> tuple[StartWeights, tuple[str, str] | None]:
    """What the first training starts from; and what was asked for, if a registry tells what that is."""
    named = str(specs.get("train_spec", {}).get("pretrained_weights") or "")
    wish = given or named
    if not isinstance(spec, TrainSpec) or not is_registered(wish):
        return StartWeights(wish if spec else ""), None
    fallback = named if given else AUTO
    start = choose_start(wish, spec, name=name, fallback=fallback)
    if wish == AUTO:
        other = "" if is_registered(fallback) else weights_digest(fallback)
        return start, (f"{AUTO}, or {fallback}", other)
    model, version = parse_reference(wish)
    own = model == name and not version.isdecimal()
    return start, (wish, "" if own else start.digest)


def _with_weights(specs: Mapping[str, Settings], weights: str) -> dict[str, dict[str, Any]]:
    """Specs whose first training starts from these weights; from random ones, if they are none."""
    known = {name: dict(settings) for name, settings in specs.items()}
    if "train_spec" in known:
        known["train_spec"]["pretrained_weights"] = weights or None
    return known


def _folder_digest(data: str, specs: Mapping[str, Settings]) -> str:
    make_dataset_spec(data.strip(), specs.get("dataset_spec"))  # a folder that is none shows now, not in a later task
    return fingerprint(data.strip())


def _photos_in(data: str) -> int:
    return sum(map(is_photo, listing(data.strip())))


def _check_specs(
    given: Mapping[str, Settings], defaults: Mapping[str, Settings]
) -> tuple[dict[str, dict[str, Any]], dict[str, Strict]]:
    """Settings by the name of their spec, as they are and validated; the problems of all of them at once."""
    problems: list[str] = []
    checked: dict[str, Strict] = {}
    specs: dict[str, dict[str, Any]] = {}
    for name, settings in given.items():
        fill, model = MODELS[name]
        try:
            document = read_settings(settings or defaults[name], name)
            _refuse_key(document, name)
            checked[name] = validate(Document(document.where, fill(document.data), document.root), model)
            specs[name] = dict(document.data)
        except AwayError:
            raise
        except UserError as error:
            problems += str(error).splitlines()
    if problems:
        raise SpecError(problems)
    return specs, checked


def _refuse_key(document: Document, name: str) -> None:
    """A key in a spec would become an argument of tasks, for all to read on Kubeflow's page."""
    if document.data.get("key"):
        fix = "put it into the secret bodyposenet-model-key, which every task gets as BPNET_MODEL_KEY"
        raise UserError("a model key must not stand here", where=f"{name}: key", fix=fix)


def _with_records(settings: Settings) -> dict[str, Any]:
    """A train spec with records in it, which the pipeline fills in."""
    loader = settings.get("dataloader")
    if not isinstance(loader, Mapping):
        return dict(settings)
    records = {"train_records_folder_path": ELSEWHERE, "train_records_path": ["train"]}
    records |= {"val_records_folder_path": ELSEWHERE, "val_records_path": ["val"]}
    return {**settings, "dataloader": {**loader, "dataset_config": records}}


def _with_teacher(settings: Settings) -> dict[str, Any]:
    """The spec of a retraining with records in it, and a teacher, which the pipeline fills in."""
    told = settings.get("distillation")
    taught = {"distillation": {"teacher": ELSEWHERE, **told}} if isinstance(told, Mapping) else {}
    return {**_with_records(settings), **taught}


def _without_teacher(settings: dict[str, Any]) -> dict[str, Any]:
    """A train spec for drawn people: their labels lack nobody, so a teacher that nobody named is not asked."""
    told = settings.get("distillation")
    if not isinstance(told, Mapping) or told.get("teacher") or told.get("enabled", "auto") != "auto":
        return settings
    return {**settings, "distillation": {**told, "enabled": False}}


def _with_photos(settings: Settings) -> dict[str, Any]:
    """A dataset spec with folders and files in it, which the pipeline fills in."""
    names = ("images_root_dir_path", "mask_root_dir_path", "annotation_root_dir_path")
    half = dict.fromkeys(names, ELSEWHERE)
    person = {"name": "person", "num_joints": 1, "keypoints": ["nose"]}
    given = {"dataset": "coco", "categories": [person], **settings}
    return given | {"root_directory_path": ELSEWHERE, "train_data": half, "test_data": half}


MODELS: dict[str, tuple[Callable[[Settings], dict[str, Any]], type[Strict]]] = {
    "dataset_spec": (_with_photos, DatasetSpec),
    "train_spec": (_with_records, TrainSpec),
    "prune_spec": (dict, PruneSpec),
    "retrain_spec": (_with_teacher, TrainSpec),
    "inference_spec": (dict, InferenceSpec),
    "deploy_spec": (dict, DeploySpec),
}


def _hash(value: Any) -> str:
    return digest_settings(value, default=str)
