"""A process that decodes picture files into the cache: a crash, a hang or a memory bomb in a file ends it alone.

Started by `latentdial.images.pool`. Reads a JSON line a picture on standard input, writes the pixels to their row of
the pixel file and answers with a JSON line.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latentdial.config import Geometry
from latentdial.images.geometry import Unreadable, decode
from latentdial.storage import updating


def main() -> None:
    """Answer jobs until standard input ends."""
    target, geometry_text, seconds, memory = sys.argv[1:]
    geometry = Geometry(**json.loads(geometry_text))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(int(memory))
    with updating(Path(target)) as pixels:
        _answer({"ready": True})
        for line in sys.stdin.buffer:
            job = json.loads(line)
            data = sys.stdin.buffer.read(job["bytes"]) if "bytes" in job else None
            signal.setitimer(signal.ITIMER_REAL, float(seconds))  # SIGALRM ends the process, also within C code
            _answer(_do(job, data, geometry, pixels.fileno()))
            signal.setitimer(signal.ITIMER_REAL, 0)


def _do(job: dict[str, Any], data: bytes | None, geometry: Geometry, pixels: int) -> dict[str, Any]:
    try:
        with io.BytesIO(data) if data is not None else open(job["path"], "rb") as file:
            picture, original = decode(file, geometry)
    except Unreadable as error:
        return {"reason": str(error)}
    except FileNotFoundError:
        return {"reason": "it vanished while the folder was read", "passing": True}
    except OSError as error:
        return {"reason": (error.strerror or type(error).__name__).lower(), "passing": True}
    stored = picture.tobytes()
    try:
        os.pwrite(pixels, stored, job["row"] * len(stored))
    except OSError as error:
        return {"stop": error.strerror}
    return {"hash": int.from_bytes(hashlib.blake2b(stored, digest_size=8).digest()), **asdict(original)}


def _answer(reply: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n")
    sys.stdout.buffer.flush()


def _limit_memory(limit: int) -> None:
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
