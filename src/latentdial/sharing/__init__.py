"""Runs on a hub: their files, a card with pictures, and the explorer as a page of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from latentdial.errors import LatentdialError
from latentdial.explorer import make_content, write_page
from latentdial.latent.effect import real_codes
from latentdial.runs.hub import TRAVELS, Address, hub_api, parse_address, reason_of
from latentdial.runs.loading import load
from latentdial.sharing.staging import space_card, stage

SHOWN = 60  # decoded codes in the gallery of the page
REMEDY = "log in with `hf auth login` and a token that may write, and check the name"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pushed:
    """Where a run is now: its address with the commit, its page for people, and that of the explorer, if any."""

    address: Address
    url: str
    space: str = ""


def push(
    run: str | Path,
    to: str,
    public: bool = False,
    space: bool = False,
    license: str = "",
    data: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Pushed:
    """Put a run on a hub as `hub:user/name`, or as its branch `hub:user/name@branch`: JSON, safetensors and a card.

    The card shows figures, what the dimensions do and samples. With `space` the explorer becomes a static page, whose
    gallery shows decoded codes, or pictures of `data`. Repositories are private unless `public`. The folders of this
    computer are taken out of the settings. A run that does not load, and what the hub refuses, are a LatentdialError.

    >>> latentdial.push("runs/vae", "hub:anna/faces")  # doctest: +SKIP
    """
    address, folder = parse_address(to), Path(run)
    api, codec = hub_api(), load(folder)
    with TemporaryDirectory() as held:
        staged = stage(codec, folder, Path(held) / "run", str(address), license)
        commit, url = _upload(api, address, staged, "model", public, [*TRAVELS, "*.png"])
        page = ""
        if space:
            there = Path(held) / "space"
            there.mkdir()
            (there / "README.md").write_text(space_card(address), encoding="utf-8")
            shown = None if data else codec.decode(real_codes(codec, SHOWN))
            write_page(make_content(codec, shown, data, progress=progress), there / "index.html")
            page = _upload(api, address, there, "space", public, [])[1]
    return Pushed(Address(address.repository, commit), url, page)


def _upload(api: Any, address: Address, folder: Path, kind: str, public: bool, stale: list[str]) -> tuple[str, str]:
    """Make a repository what the folder holds; files that `stale` matches and the folder lacks go."""
    more = {"space_sdk": "static"} if kind == "space" else {}
    try:
        url = api.create_repo(address.repository, repo_type=kind, private=not public, exist_ok=True, **more)
        if address.revision and kind == "model":
            api.create_branch(address.repository, branch=address.revision, exist_ok=True)
        done = api.upload_folder(
            folder_path=folder,
            repo_id=address.repository,
            repo_type=kind,
            revision=address.revision if kind == "model" else None,
            commit_message="Written by latentdial",
            delete_patterns=stale or None,
        )
    except Exception as error:  # the client raises its own, httpx's and the system's
        raise LatentdialError(f"cannot push to {address} ({reason_of(error)}): {REMEDY}") from None
    return done.oid, str(url)
