"""Each tracker used for real and offline: written, then read back with the package's own reader or messages."""

from __future__ import annotations

import builtins
import json
import socket
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import latentdial
from latentdial import LatentdialError
from latentdial.config import RunConfig
from latentdial.training.trackers import IDS, open_trackers, read_ids

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:sqlalchemy.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*"),
]
SUMMARY = {"step": 40, "seconds": 9.5, "interrupted": False, "precision": "float32"}
STRIP = np.full((8, 12, 3), 200, np.uint8)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Only this machine can be reached."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded(self, address):
        assert self.family == socket.AF_UNIX or address[0] in {"127.0.0.1", "::1", "localhost"}, address
        return connect(self, address)

    def guarded_look_up(host, *args, **kwargs):
        assert host in {None, "127.0.0.1", "::1", "localhost"}, host
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def records(first: int, last: int) -> list[dict]:
    """Training and validation records of the steps between, their nll falling with the step."""
    both = ("train", "validation")
    steps = range(first, last + 1, 10)
    return [{"split": s, "step": i, "epoch": i / 20, "nll": 100.0 - i} for i in steps for s in both]


def track(name: str, out: Path, first: int, last: int, summary: dict | None) -> None:
    (tracker,) = open_trackers([name], out, RunConfig())
    for record in records(first, last):
        tracker.log(record)
    tracker.picture("samples", last, STRIP)
    if summary is not None:
        tracker.finish(summary)


@pytest.fixture
def run(tmp_path) -> Path:
    """The directory of a run, with a blank in its name."""
    out = tmp_path / "my run"
    out.mkdir()
    return out


def test_tensorboard(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track("tensorboard", run, 10, 30, None)  # killed after step 30, its checkpoint was at 20
    track("tensorboard", run, 30, 40, SUMMARY)
    found = EventAccumulator(str(run / "tensorboard")).Reload()
    for split in ("train", "validation"):
        nll = [(event.step, event.value) for event in found.Scalars(f"{split}/nll")]
        assert nll == [(10, 90), (20, 80), (30, 70), (40, 60)]
    assert found.Scalars("summary/seconds")[0].value == 9.5
    (text,) = found.Tensors("settings/text_summary")
    assert b'"recipe": "fcn-ae"' in text.tensor_proto.string_val[0]
    assert (found.Images("samples")[-1].width, found.Images("samples")[-1].height) == (12, 8)


def messages(path: Path) -> list:
    """The records of a .wandb file: a log in LevelDB's format, with wandb's own messages in it."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, found, part = path.read_bytes(), [], b""
    assert data[:4] == b":W&B"
    place = 7
    while place < len(data):
        left = 32768 - place % 32768  # the room left in this block
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        part += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            found.append(Record.FromString(part))
            part = b""
    return found


def wait_until_written(path: Path) -> None:
    """wandb's service may still write when `finish` has returned."""
    for _ in range(200):
        if any(message.WhichOneof("record_type") == "exit" for message in messages(path)):
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} has no end")


def wandb_values(path: Path) -> dict[tuple[str, int], float]:
    found = {}
    for message in messages(path):
        items = {"/".join(item.nested_key) or item.key: item.value_json for item in message.history.item}
        step = int(items.get("_step", 0))
        found |= {(name, step): json.loads(text) for name, text in items.items() if "nll" in name}
    return found


def test_wandb_offline(run):
    track("wandb", run, 10, 20, {**SUMMARY, "step": 20, "interrupted": True})
    time.sleep(1.1)  # wandb names the folder of a session after its second
    track("wandb", run, 30, 40, SUMMARY)
    key = read_ids(run)["wandb"]
    files = sorted((run / "wandb").glob(f"offline-run-*-{key}/run-{key}.wandb"))
    for file in files:
        wait_until_written(file)
    values = {name: value for file in files for name, value in wandb_values(file).items()}
    assert values == {(f"{r['split']}/nll", r["step"]): r["nll"] for r in records(10, 40)}
    config = {item.key: item.value_json for message in messages(files[0]) for item in message.run.config.update}
    assert config["model.recipe"] == '"fcn-ae"'
    assert config["train.batch"] == "64"
    summary = {item.key: item.value_json for message in messages(files[-1]) for item in message.summary.update}
    assert summary["summary/seconds"] == "9.5"
    assert list((run / "wandb").glob("offline-run-*/files/media/images/samples_*.png"))


def test_mlflow_in_sqlite(run):
    from mlflow import MlflowClient

    track("mlflow", run, 10, 30, None)
    track("mlflow", run, 30, 40, SUMMARY)
    client = MlflowClient(tracking_uri=f"sqlite:///{run / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'latentdial'")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "my run"
    assert found.info.status == "FINISHED"
    assert found.data.params["train.batch"] == "64"
    assert found.data.metrics["summary/seconds"] == 9.5
    for split in ("train", "validation"):
        history = client.get_metric_history(found.info.run_id, f"{split}/nll")
        assert [(entry.step, entry.value) for entry in history] == [(10, 90), (20, 80), (30, 70), (40, 60)]
    assert any("samples" in file.path for file in client.list_artifacts(found.info.run_id, "images"))


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "tensorboard"), ("wandb", "wandb"), ("mlflow", "mlflow")])
def test_a_missing_package_names_its_extra(name, module, run, monkeypatch):
    real = builtins.__import__

    def lacking(wanted, *args, **kwargs):
        if wanted.split(".")[0] == module or wanted == "torch.utils.tensorboard":
            raise ImportError(f"No module named {module!r}", name=module)
        return real(wanted, *args, **kwargs)

    for loaded in [one for one in sys.modules if one.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(LatentdialError, match=rf"pip install 'latentdial\[{name}\]'"):
        open_trackers([name], run, RunConfig())


def test_an_unknown_tracker_is_refused(run):
    with pytest.raises(LatentdialError, match="use tensorboard, wandb, mlflow"):
        open_trackers(["comet"], run, RunConfig())


def test_a_tracker_that_fails_does_not_end_the_training(run):
    (tracker,) = open_trackers(["tensorboard"], run, RunConfig())
    with pytest.warns(UserWarning, match=r"tensorboard failed .* metrics.jsonl"):
        tracker.log({"split": "train", "nll": 1.0})  # has no step
    tracker.log(records(10, 10)[0])
    assert not (run / "tensorboard").exists()


@pytest.mark.parametrize("text", ["[]", "{", '{"wandb": 3}', '{"wandb": "../../x"}', '{"wandb": "a b"}'])
def test_ids_that_are_odd_are_not_used(text, run):
    (run / IDS).write_text(text)
    assert read_ids(run) == {}


def test_a_trained_run_is_tracked_to_its_end(discs_file, tmp_path):
    """What the session logs: every record of metrics.jsonl, strips, and the summary; a resumed run goes on."""
    out = tmp_path / "run"
    settings = {
        "size": 16,
        "batch": 16,
        "checkpoint": 0.0001,
        "keep_checkpoint": True,
        "track": ["tensorboard"],
        "schedule": "constant",
    }
    options = {"latent": 4, "widths": [24]}
    for steps in (20, 40):
        latentdial.train("fcn-vae", discs_file, out, options=options, steps=steps, resume=steps == 40, **settings)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tensorboard")).Reload()
    logged = {scalar.step: scalar.value for scalar in events.Scalars("validation/nll")}
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    expected = {record["step"]: record["nll"] for record in records if record["split"] == "validation"}
    assert logged == pytest.approx(expected, rel=1e-6)
    assert events.Scalars("summary/parameters")[-1].step == 40
    assert events.Images("samples")


@pytest.mark.parametrize(("name", "link"), [("tensorboard", "tensorboard"), ("wandb", "wandb"), ("mlflow", "mlflow.db"),
      ("mlflow", "mlflow-artifacts"), ("tensorboard", "tensorboard/events.out")])  # fmt: skip
def test_nothing_is_tracked_through_a_link(tmp_path, name, link):
    (tmp_path / "elsewhere").mkdir()
    place = tmp_path / "run" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LatentdialError, match="is a link"):
        open_trackers([name], tmp_path / "run", RunConfig())
    assert not list((tmp_path / "elsewhere").iterdir())
