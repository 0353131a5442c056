"""``python tests/chaos_stores.py [COUNT]``: kill and disturb conversions of stores; each must end as if undisturbed."""

import sys
import tempfile
from pathlib import Path

from support.store_chaos import bucket_bench, web_bench

BENCHES = {kind: lambda folder, kind=kind: bucket_bench(kind, folder) for kind in ("gs", "s3", "abfs")}
BENCHES["https"] = web_bench


def main(count, kinds):
    wrong = []
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder, BENCHES[kind](Path(folder)) as bench:
            failed = bench.kill(count, seed=1) + bench.disturb(count, seed=2)
        print(f"{kind}: {count} kills and {count} faults, {len(failed)} ended otherwise", flush=True)
        wrong += [f"{kind}: {text}" for text in failed]
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, sys.argv[2:] or BENCHES))
