"""Drawn people, converted: the records that small trainings read."""

from pathlib import Path

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.photo_set import DATASET_SPEC, make_dataset_spec
from bodyposenet.common.data.synthetic.dataset import synthesize


def convert_drawn(folder, *, train=6, val=4, size=(120, 160)):
    """The dataset spec of drawn pictures whose records are in ``<folder>/records``."""
    synthesize(folder / "drawn", train=train, val=val, size=size)
    spec = make_dataset_spec(folder / "drawn")
    for mode, name in (("train", "train"), ("test", "val")):
        convert_dataset(spec, folder / "records" / name, mode=mode)
    (folder / DATASET_SPEC).write_text(spec.model_dump_json(by_alias=True))
    return spec


def records_of(folder, **changes):
    """The ``dataset_config`` of those records."""
    records = str(Path(folder) / "records")
    return {
        "train_records_folder_path": records,
        "train_records_path": ["train"],
        "val_records_folder_path": records,
        "val_records_path": ["val"],
        "dataset_specs": {make_dataset_spec(Path(folder) / "drawn").dataset: str(Path(folder) / DATASET_SPEC)},
    } | changes
