"""Bounds: how large what comes from outside may be, in one table; docs/bounds.md has the same, held to it by a test.

A stranger's file may tell any size. What is read is held to these before memory is taken for it: a verb needs at most
a gigabyte more for a file that lies than for one that does not.
"""

# Files that are read whole
FILE_BYTES = 2**30  # where nothing below says otherwise
NOTE_BYTES = 2**26  # of what runs and tools leave for others as JSON: histories, plans, settings
KEY_BYTES = 2**16  # of a file with a key
PACKAGE_BYTES = 2**23  # of a compiled pipeline, and of a file that a parameter names
PACKAGE_VALUES = 100_000  # of a compiled pipeline, with what aliases repeat; those here have nine thousand
PACKAGE_LEVELS = 100

# Photos and masks
PHOTO_PIXELS = 2**27  # by the header; 12,000 x 11,000, 400 MB in memory
FRAMED_PIXELS = 200_000_000  # with the grey that gives a photo the shape of the network's input
INPUT_PIXELS = 2**25  # of the network's input; a small photo that needs more is a line rather than a photo
PHOTO_BYTES = 2**28  # of a photo's file
PHOTO_RATIO = 200  # of a packed photo's sizes, above PHOTO_RATIO_FROM: no photo packs so well
PHOTO_RATIO_FROM = 2**24  # bytes; masks of one colour pack 1000 to 1
PHOTO_PARTS = 2**18  # segments or chunks of a photo's file; libpng packs pixels by 8 KB
PHOTO_SCANS = 100  # of a JPEG; progressive ones have ten
EXIF_ENTRIES = 1024  # of a directory in EXIF data
FOLDER_FILES = 2**22  # below a folder that is looked through

# Videos
VIDEO_PIXELS = 2**24  # of a frame: 5,312 x 2,988, 50 MB
VIDEO_BYTES = 400_000_000  # of the frames that are in memory at once, on however many cores
VIDEO_FRAMES = 2**24  # three days at 60 frames a second

# Annotations
ANNOTATION_BYTES = 2**31  # of a file, unpacked
ANNOTATION_RATIO = 200  # COCO's shrink to a fifth; only what is all alike shrinks to less than a hundredth
ANNOTATION_RATIO_FROM = 2**26  # bytes; below this no ratio is too high
JSON_CHARACTERS = 8  # of a list or an object, on the average, above JSON_PARTS: annotations have more
JSON_PARTS = 2**22
PHOTO_SIDE = 65_535  # pixels that annotations may tell: what a JPEG can have
COORDINATE = 1_000_000  # pixels; no coordinate is larger
WHOLE_NUMBER = 2**53  # of ids, and in specs: JSON's readers agree up to here
COUNT_CHARACTERS = 8  # of a count in a run-length mask: more than any photo has pixels
YOLO_YAML_BYTES = 2**20  # of a data.yaml
CVAT_CHARACTERS = 24  # of an element of XML, on the average, above CVAT_ELEMENTS: CVAT writes more
CVAT_ELEMENTS = 2**20
CVAT_FRAMES = 1_000_000  # between those that tracks tell

# Archives that a run keeps for others
HOLD_OUT_BYTES = 2**30  # of what is in a hold-out's archive: photos of 256 MB, and annotations
SNAPSHOT_BYTES = 2**36  # of what is in a snapshot of a training: checkpoints
ARCHIVE_MEMBERS = 1_000_000

# Records
MANIFEST_BYTES = 2**28
MANIFEST_PARTS = 2**16  # that a set's conversion can be divided into

# Specs
SPEC_CHARACTERS = 1_000_000
SPEC_BYTES = 4 * SPEC_CHARACTERS
SPEC_VALUES = 25_000  # with what aliases repeat
SPEC_LEVELS = 64
SPEC_NUMBER = 10**18  # beyond it squares are no floats of 32 bits; what is below its inverse is zero

# Networks
ONNX_BYTES = 2**30  # of an ONNX file, which is read whole
CARD_BYTES = 2**22
GRAPH_BYTES = 2**26  # of a Keras graph
WEIGHTS_BYTES = 2**31  # of a network's weights, unpacked
OPTIMIZER_BYTES = 2**33  # of an optimizer's variables in a checkpoint, unpacked
ARRAY_BYTES = 2**31  # of one array of weights
ARRAY_RATIO = 200  # of an array's size to what is stored of it, above ARRAY_RATIO_FROM
ARRAY_RATIO_FROM = 2**20  # bytes
GRAPH_CHANNELS = 2**13  # filters or units of a layer of a Keras graph
GRAPH_CELLS = 256  # sides of its kernels, its strides and borders
FOLDED_NUMBERS = 2**27  # that are computed of a foreign network's constants
FOLDED_FROM = 2**20  # of what one operation makes of such, from which on they are no more than it is given
MAP_NUMBERS = 2**26  # of what an operation of a network makes of a picture of MAP_SIDE x MAP_SIDE pixels
MAP_HIDDEN = 2  # times as many that an operation makes for itself and gives back when it is done
MAP_SIDE = 256  # pixels of the picture by which a network is judged
MAP_PICTURES = 8  # times as many of larger pictures and of several at once, at most
LARGEST_STRIDE = 256  # of a card
INPUT_SIDE = 65_536  # pixels, of a card
TENSORFILE_BATCH_BYTES = 2**29  # of a batch of calibration pictures, as float32
OLD_KEY_CHUNK_BYTES = 2**24  # of a file encrypted in the form before age
OLD_KEY_WORK = 2**21  # of its key: N * r * p of scrypt, 256 MiB and about a second
