"""pythae 0.1.2 as a contender: its own trainer, in its own interpreter, on the layers that latentdial builds.

Command:  none by hand; train_loop.py and time_to_quality.py start it with `--pythae PYTHON`
Time:     that of the epochs it is asked for
Expected: one line of JSON an epoch, with the seconds of the training steps alone

Make its interpreter with `python -m venv pythae && pythae/bin/pip install pythae==0.1.2 safetensors`. latentdial is
not installed there: its source is put on the path, so that both train exactly the same nets. Timed are the steps of an
epoch alone: no import, no set-up, no evaluation, and not the copy of the model that pythae makes after the epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch


class Contender:
    """pythae in a process of its own that trains an epoch whenever it is asked to."""

    def __init__(self, python: str, net: str, pixels: np.ndarray, lr: float = 1e-3, seed: int = 0):
        import latentdial

        self.folder = tempfile.TemporaryDirectory()
        np.save(Path(self.folder.name) / "pixels.npy", pixels)
        command = [python, __file__, net, self.folder.name, f"--lr={lr}", f"--seed={seed}"]
        environment = os.environ | {"PYTHONPATH": str(Path(latentdial.__file__).parents[1])}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.parameters = self._answer()["parameters"]

    def epochs(self, weights: Path | None = None) -> Iterator[float]:
        """Train an epoch each time the next value is asked for: its seconds; the weights are left in a file."""
        while True:
            self.process.stdin.write(f"{weights or ''}\n")
            self.process.stdin.flush()
            yield self._answer()["seconds"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()

    def _answer(self) -> dict[str, float]:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"pythae stopped: run {' '.join(self.process.args)} to see why")
        return json.loads(line)


def answer(**values: float) -> None:
    print(json.dumps(values), file=sys.__stdout__, flush=True)


def pythae_model(recipe, variational: bool):
    """pythae's AE or VAE around the encoder and decoder of a latentdial model."""
    from pythae.models import AE, VAE, AEConfig, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    inner = recipe.model

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.net = inner.encoder

        def forward(self, x):
            if not variational:
                return ModelOutput(embedding=self.net(x))
            mean, log_variance = self.net(x).chunk(2, dim=-1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.net = inner.decoder

        def forward(self, z):
            return ModelOutput(reconstruction=inner.likelihood.mean(self.net(z)))

    if not variational:
        return AE(AEConfig(latent_dim=inner.latent), Encoder(), Decoder())
    loss = "bce" if inner.likelihood.range == (0.0, 1.0) else "mse"
    return VAE(VAEConfig(latent_dim=inner.latent, reconstruction_loss=loss), Encoder(), Decoder())


def callback_for(recipe):
    """Waits for a line before every epoch, and answers with the seconds of its steps."""
    from pythae.trainers.training_callbacks import TrainingCallback
    from safetensors.torch import save_file

    class OnRequest(TrainingCallback):
        def on_epoch_begin(self, training_config, **kwargs):
            line = sys.stdin.readline()
            if not line:
                os._exit(0)
            self.weights = line.strip()

        def on_train_step_begin(self, training_config, **kwargs):
            self.start = time.perf_counter()

        def on_train_step_end(self, training_config, **kwargs):
            self.end = time.perf_counter()

        def on_epoch_end(self, training_config, **kwargs):
            if self.weights:
                save_file(recipe.model.state_dict(), self.weights)
            answer(seconds=self.end - self.start)

    return OnRequest()


def main() -> None:
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    from nets import NETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", choices=NETS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    net = NETS[args.net]
    recipe = net.build(args.seed)
    model = pythae_model(recipe, net.variational)
    x = recipe.model.scale(torch.from_numpy(np.load(args.folder / "pixels.npy")))
    config = BaseTrainerConfig(
        output_dir=str(args.folder),
        num_epochs=10_000,
        per_device_train_batch_size=net.batch,
        learning_rate=args.lr,
        seed=args.seed,
    )
    trainer = BaseTrainer(model, BaseDataset(x, torch.ones(len(x))), None, config, [callback_for(recipe)])
    answer(parameters=sum(p.numel() for p in model.parameters()))
    trainer.train()


if __name__ == "__main__":
    main()
