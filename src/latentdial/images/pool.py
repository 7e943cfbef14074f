"""Decoding over the cores, in processes that may die without harm."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.config import Geometry
from latentdial.errors import LatentdialError

SECONDS = 30.0  # at most, for one file
MEMORY = 3_000_000_000  # bytes of address space, for one decoding process
BATCH = 32
PACKAGE = Path(__file__).parents[2]

Job = tuple[int, str | bytes]  # row of the pixel file, and the path or the bytes of the picture's file
Reply = dict[str, Any]


def decode_all(
    count: int, job: Callable[[int], Job], target: Path, geometry: Geometry, workers: int | None = None
) -> Iterator[tuple[range, list[Reply]]]:
    """Decode `count` pictures into their rows of the file `target`; yields the replies in order, batch by batch.

    A reply holds the original's size, mode, format, note and a hash of the fitted pixels, or the reason it was skipped.
    """
    batches = [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
    with _workers(min(workers or os.cpu_count() or 1, len(batches)), target, geometry) as idle:

        def run(batch: range) -> list[Reply]:
            worker = idle.get()
            try:
                return worker.decode([job(i) for i in batch])
            finally:
                idle.put(worker)

        with ThreadPoolExecutor(max(1, idle.qsize())) as threads:
            try:
                yield from zip(batches, threads.map(run, batches), strict=True)
            finally:
                threads.shutdown(cancel_futures=True)


def read_picture(path: str | Path, geometry: Geometry) -> np.ndarray:
    """Read one picture file into uint8 (H, W, C), bounded in time and memory as a folder's files are.

    A file that is no picture is a LatentdialError.
    """
    if not Path(path).is_file():
        raise LatentdialError(f"there is no picture file {path}: check the path")
    with tempfile.TemporaryDirectory() as room:
        target = Path(room, "pixels")
        target.touch()
        with _workers(1, target, geometry) as idle:
            (reply,) = idle.get().decode([(0, os.path.abspath(path))])
        if "reason" in reply:
            raise LatentdialError(
                f"{path} cannot be read as a picture ({reply['reason']}): give a JPEG, PNG or WebP file"
            )
        return np.fromfile(target, np.uint8).reshape(*geometry.shape[1:], geometry.channels)


def start_module(name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Run a module of this package in a process of its own, which never runs the user's script again."""
    paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", name, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
    )


class Worker:
    """One decoding process, started when needed and again after a file that ended it."""

    def __init__(self, target: Path, geometry: Geometry) -> None:
        self._arguments = [str(target), json.dumps(asdict(geometry)), str(SECONDS), str(MEMORY)]
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, jobs: Sequence[Job]) -> list[Reply]:
        """One reply a job, also for those that end the process."""
        replies: list[Reply] = []
        while len(replies) < len(jobs):
            replies += self._until_death(jobs[len(replies) :])
        return replies

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _until_death(self, jobs: Sequence[Job]) -> list[Reply]:
        process = self._process = self._process or self._start()
        try:
            process.stdin.write(b"".join(map(_request, jobs)))  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            pass  # it died meanwhile: the replies say at which file
        replies: list[Reply] = []
        for _ in jobs:
            reply = _read(process)
            if reply is None:
                status = process.wait()
                self.close()
                return [*replies, {"reason": _death(status)}]
            if "stop" in reply:
                raise LatentdialError(f"cannot write to the cache ({reply['stop']}): free space, or use --cache DIR")
            replies.append(reply)
        return replies

    def _start(self) -> subprocess.Popen[bytes]:
        process = start_module("latentdial.images.worker", *self._arguments)
        if _read(process) is None:
            process.communicate()
            raise LatentdialError(
                f"cannot start a decoding process: try {sys.executable} -m latentdial.images.worker to see why"
            )
        return process


@contextmanager
def _workers(count: int, target: Path, geometry: Geometry) -> Iterator[queue.SimpleQueue[Worker]]:
    workers = [Worker(target, geometry) for _ in range(count)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)
    try:
        yield idle
    finally:
        for worker in workers:
            worker.close()


def _request(job: Job) -> bytes:
    row, given = job
    if isinstance(given, bytes):
        return json.dumps({"row": row, "bytes": len(given)}).encode() + b"\n" + given
    return json.dumps({"row": row, "path": given}).encode() + b"\n"


def _read(process: subprocess.Popen[bytes]) -> Reply | None:
    line = process.stdout.readline()  # type: ignore[union-attr]
    return json.loads(line) if line.endswith(b"\n") else None


def _death(status: int) -> str:
    if status == -signal.SIGALRM:
        return f"decoding it took longer than {SECONDS:.0f} s"
    name = signal.Signals(-status).name if status < 0 else f"exit {status}"
    return f"the decoder crashed on it ({name})"
