"""How good nets are that were trained on few pictures, beside PCA with as many numbers.

Command:  python benchmarks/few.py --utk FOLDER
Time:     one core-minute a net, some 15 in all; one thread
Expected: fcn-ae below PCA's squared error for every number of pictures, .45 times it with 30 and .9 with 1,000

The test pictures are those of `benchmarks/quality.py`, never trained on. `steps` 1 is the start alone: no step of a
rate of 1e-9 changes it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import latentdial
from latentdial.measure.reconstruction import reconstruction
from quality import Data, avatars, photographs

COUNTS = (30, 100, 300, 1000)
ROWS: dict[str, dict[str, float | int]] = {
    "pca": {},
    "start": {"steps": 1, "lr": 1e-9},
    "fcn-ae": {"steps": 600},
    "fcn-vae": {"steps": 600},
}


def trained(data: Data, count: int, row: str, folder: Path) -> dict[str, float]:
    np.save(folder / "few.npy", data.train[:count])
    begin = time.process_time()
    codec = latentdial.train(
        "fcn-ae" if row == "start" else row,
        folder / "few.npy",
        folder / "run",
        overwrite=True,
        priors=False,
        checkpoint=0,
        flip=data.mirrored,
        show=False,
        **ROWS[row],
    )
    spent = time.process_time() - begin
    return {"mse": reconstruction(data.test, codec.reconstruct(data.test)).mse, "core_seconds": round(spent)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utk", required=True)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    options = parser.parse_args()
    for data in (avatars(), photographs(options.utk)):
        for count in options.counts:
            pca = 0.0
            for row in options.rows:
                with tempfile.TemporaryDirectory() as folder:
                    found = trained(data, count, row, Path(folder))
                pca = found["mse"] if row == "pca" else pca
                record = {"set": data.name, "pictures": count, "codec": row, **found}
                print(json.dumps(record | ({"of_pca": round(found["mse"] / pca, 3)} if pca else {})), flush=True)


if __name__ == "__main__":
    main()
