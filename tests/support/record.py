"""A record that has everything."""

import numpy as np

from bodyposenet.common.data.records.record import Record


def a_record(people=2, **changes):
    rng = np.random.default_rng(people)
    fields = {
        "image_id": 2**40 + 1,
        "height": 480,
        "width": 640,
        "image_path": "train2017/å.jpg",
        "mask_path": "masks/å.png",
        "dataset": "coco",
        "image": bytes(range(256)),
        "mask": b"\x89PNG",
        "joints": rng.normal(size=(people, 17, 3)),
        "boxes": rng.uniform(1, 99, (people, 4)),
        "main": (people - 1,),
    }
    return Record(**fields | changes)
