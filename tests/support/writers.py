"""Writers of one file at one time."""

import threading

from bodyposenet.common.storage.files import read_bytes, rewrite


def append_at_one_time(path, writers):
    """Have each writer, a thread, append a line with its number, and return the lines."""
    threads = [
        threading.Thread(target=rewrite, args=(path, lambda old, n=n: (old or b"") + b"%d\n" % n))
        for n in range(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return read_bytes(path).splitlines()
