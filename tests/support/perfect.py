"""A perfect network: it knows the annotations and answers with the maps that it should learn."""

import numpy as np

from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

# A standing person, joints in COCO's order, in a box of 1 x 1.
STANDING = np.array(
    [[.50, .08], [.54, .05], [.46, .05], [.60, .07], [.40, .07], [.70, .22], [.30, .22], [.80, .38], [.20, .38],
     [.85, .52], [.15, .52], [.63, .52], [.37, .52], [.64, .74], [.36, .74], [.65, .95], [.35, .95]]
)  # fmt: skip


def standing(number, image, box, *, hidden=(), **changes):
    """The annotation of a person standing in a box; the joints named by number in ``hidden`` are not labelled."""
    x, y, width, height = box
    joints = np.c_[STANDING * [width, height] + [x, y], np.full(17, 2.0)]
    joints[list(hidden)] = 0
    fields = {"id": number, "image_id": image, "category_id": 1, "bbox": list(box), "area": width * height * 0.5}
    labelled = int((joints[:, 2] > 0).sum())
    fields |= {"iscrowd": 0, "segmentation": [], "keypoints": joints.ravel().tolist(), "num_keypoints": labelled}
    return fields | changes


class PerfectRunner:
    """Answers its calls, in the order of the photos, with drawn maps.

    It works out by itself where the photo lies in its input, from the two sizes: in adjust mode, or padded.
    """

    def __init__(self, truth, mode="adjust_network_input", skeleton=BODYPOSENET_18, calls_a_photo=1, shape=(368, 368)):
        self.card = Card(skeleton=skeleton)
        self.queue = [photo for photo in truth.photos for _ in range(calls_a_photo)]
        self.truth, self.mode, self.shape = truth, mode, shape
        self.inputs = []

    def __call__(self, images):
        photo = self.queue.pop(0)
        self.inputs.append(images)
        rows, columns = images.shape[1:3]
        labelled = [p.keypoints for p in photo.people if p.num_keypoints and not p.crowd]
        people = self.card.skeleton.take(self.truth.joints, np.reshape(labelled, (-1, len(self.truth.joints), 3)))
        scale, shift = self.placed(photo, (rows, columns))
        points = (people[..., :2] + 0.5 + shift) * scale - 0.5
        maps = encode(points, people[..., 2] > 0, self.card.skeleton, size=(rows // 8, columns // 8))
        return maps[0][None], maps[1][None]

    def placed(self, photo, given):
        """Input pixels a photo pixel, x and y; and the padding before the photo, in photo pixels."""
        wide = photo.width / photo.height > self.shape[1] / self.shape[0]
        if self.mode == "pad_image_input":
            padded = (photo.width * self.shape[0] // self.shape[1]) if wide else photo.height
            across = photo.width if wide else (photo.height * self.shape[1] // self.shape[0])
            scale = np.array([self.shape[1] / across, self.shape[0] / padded])
            return scale, np.array([(across - photo.width) // 2, (padded - photo.height) // 2])
        short = min(given)  # a multiple of 8 in these tests, so nothing is padded on this side
        ratio = short / min(photo.height, photo.width)
        return np.array([round(photo.width * ratio) / photo.width, round(photo.height * ratio) / photo.height]), 0
