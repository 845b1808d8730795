"""Fills rclip's database as if it had indexed FOLDER, with made-up vectors (512 numbers each).

    rclip_library.py RCLIP_DATADIR FOLDER N      the first N pictures below FOLDER, in order of name
"""

import os
import sys

import numpy as np
from rclip.db import DB


def main():
    datadir, folder, n = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3])
    db = DB(os.path.join(datadir, "db.sqlite3"))
    rng = np.random.default_rng(5)
    done = 0
    for sub in sorted(os.listdir(folder)):
        for name in sorted(os.listdir(os.path.join(folder, sub))):
            if done == n:
                break
            path = os.path.join(folder, sub, name)
            stat = os.stat(path)
            vector = rng.standard_normal(512, dtype=np.float32)
            vector /= np.linalg.norm(vector)
            db.upsert_image(
                {"filepath": path, "modified_at": stat.st_mtime, "size": stat.st_size,
                 "vector": vector.tobytes(), "hash": f"{done:032x}"}, commit=False)
            done += 1
    db.close()


if __name__ == "__main__":
    main()
