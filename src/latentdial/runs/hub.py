"""Runs of a hub, `hub:user/name` or `hub:user/name@revision`, in the cache. JSON and safetensors only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from textwrap import shorten
from typing import Any

from latentdial import storage
from latentdial.errors import LatentdialError, needs
from latentdial.images.cache import cache_folder
from latentdial.version import VERSION

PREFIX = "hub:"
WRITTEN = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)
TRAVELS = ("*.safetensors", "*.json", "README.md", "metrics.jsonl", "times.jsonl")  # at the top of a run
STAYS = ("trackers.json",)
REMEDY = "check the name and the network, and log in with `hf auth login` where it is private"


@dataclass(frozen=True)
class Address:
    """A repository of a hub, and which of its revisions."""

    repository: str  # user/name
    revision: str | None = None

    def __str__(self) -> str:
        return PREFIX + self.repository + (f"@{self.revision}" if self.revision else "")


def is_address(run: object) -> bool:
    """Whether something is written as the address of a run, not as a path."""
    return isinstance(run, str) and run.startswith(PREFIX)


def parse_address(text: str) -> Address:
    """The address in `hub:user/name` or `hub:user/name@revision`; else a LatentdialError.

    >>> parse_address("hub:anna/faces@v1")
    Address(repository='anna/faces', revision='v1')
    """
    found = WRITTEN.fullmatch(text)
    if found is None:
        raise LatentdialError(f"{text} is no address of a hub: write it as hub:user/name or hub:user/name@revision")
    return Address(*found.groups())


def run_folder(run: str | Path) -> Path:
    """The folder of a run: of an address a copy in the cache, made where it is missing; a path is its own."""
    return fetch(parse_address(str(run))) if is_address(run) else Path(run)


def fetch(address: Address) -> Path:
    """Copy the files of a run from a hub, or from the hub library's own cache where it is offline, into ours.

    Each commit has a folder of its own, so that directions and priors found there later stay with it.
    """
    snapshot = _snapshot(address)
    folder = _copies() / address.repository.replace("/", "--") / snapshot.name
    if folder.is_dir():
        return folder
    if not (snapshot / "config.json").is_file():
        raise LatentdialError(f"{address} holds no run of latentdial: check the name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(mkdtemp(dir=folder.parent, prefix=f".{snapshot.name}."))
    for path in travelling(snapshot):
        storage.copy(path.resolve(), fresh / path.name)  # the client's own folder is made of links
    storage.replace_folder(fresh, folder)
    return folder


def name_of(folder: Path) -> str:
    """What a run is called: its folder, and of a copy from a hub the repository's name."""
    return folder.parent.name.split("--", 1)[1] if folder.parent.parent == _copies() else folder.name


def _copies() -> Path:
    return cache_folder() / "hub"


def travelling(folder: Path) -> list[Path]:
    """The files of a run that may travel."""
    found = {path for pattern in TRAVELS for path in folder.glob(pattern) if path.is_file() and path.name not in STAYS}
    return sorted(found)


def hub_api() -> Any:
    """The hub library's client."""
    with needs("hub", "a hub"):
        from huggingface_hub import HfApi
    return HfApi(library_name="latentdial", library_version=VERSION)


def reason_of(error: Exception) -> str:
    """What a client's exception says, in a line."""
    return shorten(str(error), 160, placeholder=" ...") or type(error).__name__


def _snapshot(address: Address) -> Path:
    api = hub_api()
    try:
        found = api.snapshot_download(
            address.repository, revision=address.revision, allow_patterns=list(TRAVELS), ignore_patterns=["*/*", *STAYS]
        )
    except Exception as error:  # the client raises its own, httpx's and the system's
        raise LatentdialError(f"cannot fetch {address} ({reason_of(error)}): {REMEDY}") from None
    return Path(found)
