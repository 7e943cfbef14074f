"""Start a net as the best linear codec of its pictures: principal components, probabilistic ones for a VAE."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from latentdial.layers import Startable
from latentdial.measure.principal import ROUNDS, principal_components, principal_within
from latentdial.model import Autoencoder, Model
from latentdial.parts.priors import Vamp
from latentdial.progress import Steps, quiet
from latentdial.training.feed import Feed
from latentdial.training.few import Varied, blurred, vary
from latentdial.types import Affine, Principal

BATCH = 512
PICTURES, FITTED = 20_000, 5_000  # that components and decoder are fitted to at most, spread evenly over all
MOST = 1_024  # components
DRAWN = 1_000  # codes at least, where they are random
FEWER = 2  # rounds of the subspace iteration for many components
FITS, STEP, MOMENTUM = 4, 0.8, 0.6  # of the decoder's fit through what the likelihood shows
LEAST_SLOPE = 0.02  # mean squared slope of that, below which a pixel counts as this steep
RIDGE = 1e-6
FAR = 1e6  # an output that is beyond all that a likelihood can show, if there is such


@dataclass(frozen=True)
class Told:
    """The labels of pictures, and the mean picture of every label."""

    labels: Tensor  # (N,)
    means: Tensor  # (labels + 1, P), first of all pictures

    def mean(self, rows: Tensor) -> Tensor:
        """The mean pictures (B, P) of the labels of rows (B,)."""
        return self.means[1 + self.labels[rows]]


def has_linear_start(model: Model) -> bool:
    """Whether `start_at_pca` can set the weights of this model."""
    nets = (model.encoder, model.decoder) if isinstance(model, Autoencoder) and model.bottleneck.starts else (None,)
    return all(isinstance(net, Startable) for net in nets)


def told_of(model: Model, pixels: Feed, labels: Tensor) -> Told:
    """The labels of the pictures, and the mean picture of each as the model sees it; where it has none, that of all.

    Of copies of few pictures, which come in the same order again and again, labels (n,) are those of the few.
    """
    rows, labels = _spread(pixels, PICTURES), labels.repeat(len(pixels) // len(labels))
    sums, counts = torch.zeros(()), labels.new_zeros(model.labels + 1)
    for some, x in _pictures(model, pixels, rows):
        kinds = F.pad(F.one_hot(labels[some], model.labels), (1, 0), value=1)
        sums, counts = sums.to(x) + kinds.T.to(x) @ x.flatten(1), counts + kinds.sum(0)
    means = sums / counts.clamp(min=1)[:, None]
    return Told(labels, torch.where(counts[:, None] > 0, means, means[:1]))


def components(model: Model, pixels: Feed, count: int = 0, width: float = 0.0, told: Told | None = None) -> Principal:
    """The principal components of the pictures as the model sees them, as many as its decoder sees numbers or `count`.

    With a `width` they are those within the first directions of the pictures blurred by so many pixels. Of pictures
    whose labels are `told` they are those within labels: of what the mean picture of its label leaves of each.
    """
    rows = _spread(pixels, PICTURES)
    batches = partial(_residues, model, pixels, rows, told)
    own = min(model.seen, MOST)
    count = max(own, count)
    rounds = FEWER if width or count >= 4 * own else ROUNDS  # smooth ones, and the first of many, are found at once
    if not width:
        return principal_components(batches, count, rounds=rounds)
    guide = principal_components(lambda: (blurred(x, width) for x in batches()), count, rounds=rounds)
    return principal_within(batches, guide.components.T)


def stand_ins(model: Model, pixels: Feed, flip: bool) -> Varied:
    """What to start a model from instead of few pictures: copies whose components serve others best."""

    def error(varied: Varied, others: Tensor) -> tuple[float, float]:
        found, rows = components(model, varied.pixels, width=varied.width), model.scale(others).flatten(1)
        made = (found.restore(found.project(rows)), found.mean)
        wrong, whole = (float((rows - one).square().sum()) for one in made)
        return wrong, whole * (1 - len(found.variances) / len(found.mean))

    return vary(pixels, flip, error)


@torch.no_grad()
def start_at_pca(
    model: Model,
    pixels: Feed,
    principal: Principal,
    beta: float = 1.0,
    advance: Steps = quiet,
    told: Told | None = None,
) -> None:
    """Set the weights of a fresh model, which has a linear start, so that it is the linear codec of these pictures.

    The codes of an autoencoder are principal components with unit variance. A VAE starts at probabilistic PCA, the
    optimum of a linear VAE (Tipping & Bishop 1999, eq. 7 to 9; arXiv 1911.02469), its KL weighed `beta`: the aggregated
    posterior is N(0, I), so that samples of the prior are pictures at once. The decoder is fitted through the
    likelihood's mean. The same pictures give the same weights. A model that learns from labels starts at their mean
    pictures, and its codes at components within labels; pseudo-inputs of a prior start at pictures.
    """
    assert isinstance(model, Autoencoder)  # noqa: S101 - has_linear_start
    if model.condition is not None and told is not None:
        model.condition.start(told.means)
    model.encoder.become(model.bottleneck.linear(principal, beta))  # type: ignore[operator]
    rows = _spread(pixels, FITTED)
    rows = rows.repeat(-(-DRAWN // len(rows))) if model.draws else rows
    codes = _codes(model, pixels, rows, told)
    linear = partial(_linear, principal, told)
    model.decoder.become(_fitted(model, pixels, rows, codes, linear, advance))  # type: ignore[operator]
    model.likelihood.start(_error(model, pixels, rows, codes))
    if isinstance(model.prior, Vamp):
        model.prior.start(model.scale(pixels[_spread(pixels, len(model.prior.inputs)).to(pixels.device)]))


def _fitted(
    model: Autoencoder,
    pixels: Feed,
    rows: Tensor,
    codes: Tensor,
    linear: Callable[[Tensor, Tensor], Tensor],
    advance: Steps,
) -> Affine:
    """The affine map of codes (N, D) whose output, read by the likelihood, is nearest in square to what they stand for.

    That is halfway between the picture and a linear map of its code, of which `linear` gives the picture: to the
    pictures alone it would be overfitted. Least squares to the inverted pictures, then descent, in which every pixel's
    step is over its own mean squared slope and the codes are made white; each pixel keeps the weights that served it
    best.
    """
    ones = torch.cat([codes, torch.ones_like(codes[:, :1])], 1)
    products = ones.new_zeros(ones.shape[1], model.scale(pixels[:1]).numel())
    plain = torch.zeros_like(products)
    for z, x, some in _pairs(model, pixels, rows, ones):
        products.addmm_(z.T, model.likelihood.invert(x).flatten(1))
        plain.addmm_(z.T, linear(x, some))
    gram = (ones.T @ ones).double() / len(ones)
    inverse = torch.linalg.inv(gram + RIDGE * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).to(codes)
    weights, straight = products.T @ inverse / len(ones), plain.T @ inverse / len(ones)
    darkest, brightest = model.likelihood.shown(weights.new_tensor([-FAR, FAR]))
    best, least = weights, weights.new_full((len(weights),), math.inf)
    momentum = torch.zeros_like(weights)
    for done in range(FITS + 1):
        slope, squares, errors = torch.zeros_like(weights), torch.zeros_like(least), torch.zeros_like(least)
        for z, x, _ in _pairs(model, pixels, rows, ones):
            shown, steepness = _shown_and_slope(model, (z @ weights.T).unflatten(1, x.shape[1:]))
            wrong = shown - (x + (z @ straight.T).clamp(darkest, brightest).view_as(x)) / 2
            slope += (wrong * steepness).flatten(1).T @ z
            squares += steepness.square().flatten(1).sum(0)
            errors += wrong.square().flatten(1).sum(0)
        better = errors < least
        best, least = torch.where(better[:, None], weights, best), errors.minimum(least)
        step = slope @ inverse / (squares + LEAST_SLOPE * len(rows))[:, None]
        momentum = MOMENTUM * momentum + step
        weights = weights - STEP * momentum
        advance(done + 1, FITS + 1)
    return Affine(best[:, :-1].contiguous(), best[:, -1].contiguous())


def _linear(principal: Principal, told: Told | None, x: Tensor, rows: Tensor) -> Tensor:
    """What the linear codec makes (B, P) of pictures (B, C, H, W) of these rows."""
    middle = 0.0 if told is None else told.mean(rows)
    return principal.restore(principal.project(x.flatten(1) - middle)) + middle


def _codes(model: Autoencoder, pixels: Feed, rows: Tensor, told: Told | None) -> Tensor:
    """What the decoder sees (N, D) of a code of every row, drawn from its posterior, and of its label."""
    generator = torch.Generator(pixels.device).manual_seed(0)
    seen = []
    for some, x in _pictures(model, pixels, rows):
        batch = replace(model.batch(x, generator=generator), y=None if told is None else told.labels[some])
        known = model.rows(batch)
        seen.append(model.read(model.posterior(x, known).sample(batch.noise.get("z"))[0], known))
    return torch.cat(seen)


def _error(model: Autoencoder, pixels: Feed, rows: Tensor, codes: Tensor) -> float:
    """Mean squared error per value of the pictures that the model makes of what its decoder sees."""
    pairs = _pairs(model, pixels, rows, codes)
    made = ((model.likelihood.mean(model.decoder(z).float()), x) for z, x, _ in pairs)
    return sum(len(x) * float((mean - x).square().mean()) for mean, x in made) / len(rows)


def _shown_and_slope(model: Autoencoder, values: Tensor) -> tuple[Tensor, Tensor]:
    """What the likelihood shows of every value of a linear codec, and the derivative of that."""
    with torch.enable_grad():
        shown = model.likelihood.shown(values.requires_grad_())
        (slope,) = torch.autograd.grad(shown.sum(), values)
    return shown.detach(), slope


def _spread(pixels: Feed, most: int) -> Tensor:
    """At most so many rows of the pictures, spread evenly over all."""
    return torch.linspace(0, len(pixels) - 1, min(len(pixels), most)).long()


def _pictures(model: Model, pixels: Feed, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Some of the rows (B,) at a time, and their float pictures (B, C, H, W)."""
    return ((some, model.scale(pixels[some])) for some in rows.to(pixels.device).split(BATCH))


def _residues(model: Model, pixels: Feed, rows: Tensor, told: Told | None) -> Iterator[Tensor]:
    """What the mean picture of its label leaves of every picture, where labels are told."""
    for some, x in _pictures(model, pixels, rows):
        yield x if told is None else x - told.mean(some).view_as(x)


def _pairs(model: Autoencoder, pixels: Feed, rows: Tensor, codes: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Some of the codes (B, D) at a time, with their pictures (B, C, H, W) and rows (B,)."""
    for z, (some, x) in zip(codes.split(BATCH), _pictures(model, pixels, rows), strict=True):
        yield z, x, some
