"""Discrete codes: words that are averages, gradients that pass through, counts, and codes that are one to one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from latentdial import LatentdialError
from latentdial.config import ModelSettings, TrainSettings
from latentdial.parts.objectives import total
from latentdial.parts.quantisers import Codebook, Levels, Words, usage
from latentdial.recipes import build
from latentdial.training.loop import Loop
from latentdial.types import Batch, Level, Pass

SHAPE = (3, 16, 16)
SMALL = {
    "vq-vae": {"latent": 3, "words": 7},
    "rvq-vae": {"latent": 3, "words": 7, "depth": 3},
    "fsq-ae": {"levels": [4, 3]},
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(name: str):
    torch.manual_seed(0)
    return build(ModelSettings(name, SMALL[name] | {"width": 8}), SHAPE)


@pytest.mark.parametrize("name", SMALL)
def test_a_code_and_its_numbers_say_the_same_and_decode_to_the_reconstruction(name):
    model = made(name).model.eval()
    x = torch.rand(5, *SHAPE, generator=seeded()) * 2 - 1
    codes = model.encode(x).unflatten(1, model.code)
    numbers = model.bottleneck.indices(codes)
    assert numbers.shape == (5, model.bottleneck.depth, 8, 8)
    assert torch.equal(model.bottleneck.code_of(numbers), codes)
    run = model(model.batch(x))
    assert torch.equal(run.levels["z"].posterior.extra["indices"], numbers)
    torch.testing.assert_close(model.decode(codes.flatten(1)), model.likelihood.mean(run.output[0]))
    near = codes + 1e-4 * torch.randn(codes.shape, generator=seeded())
    torch.testing.assert_close(model.decode(near.flatten(1)), model.decode(codes.flatten(1)))


@pytest.mark.parametrize("bottleneck", [Words(3, (2, 2), 5), Words(3, (2, 2), 5, depth=3)])
def test_the_encoder_gets_the_gradient_of_the_decoder_once(bottleneck):
    features = torch.randn(4, 3, 2, 2, generator=seeded()).requires_grad_()
    slope = torch.randn(4, 3, 2, 2, generator=seeded(1))
    (got,) = torch.autograd.grad((bottleneck.eval().read(bottleneck(features).mean) * slope).sum(), features)
    assert torch.equal(got, slope)


@pytest.mark.parametrize("name", SMALL)
def test_the_loss_does_not_depend_on_the_size_of_the_batch(name):
    recipe = made(name)
    x = torch.rand(4, *SHAPE, generator=seeded()) * 2 - 1
    losses = []
    for times in (1, 5):
        batch = recipe.model.eval().batch(x.repeat(times, 1, 1, 1))
        losses.append(total(recipe.objective, recipe.model(batch), batch)[1])
    for term, value in losses[0].items():
        assert losses[1][term].item() == pytest.approx(value.item(), rel=1e-5), term


def test_words_are_averages_of_what_they_stand_for():
    """After one batch: (d n w + (1 - d) sum of its vectors) / (d n + (1 - d) their number)."""
    book = Codebook(2, 1, decay=0.9)
    book.words.copy_(torch.tensor([[0.0], [10.0]]))
    book.count.copy_(torch.tensor([4.0, 2.0]))
    vectors = torch.tensor([[1.0], [2.0], [9.0]])
    chosen = book.nearest(vectors)
    assert chosen.tolist() == [0, 0, 1]
    book.follow(vectors, chosen)
    assert book.count.tolist() == pytest.approx([3.8, 1.9])
    assert book.words[:, 0].tolist() == pytest.approx([0.3 / 3.8, (18 + 0.9) / 1.9])


class Together:
    """Number `rank` of two processes, played by threads that wait for each other."""

    size, barrier, values = 2, threading.Barrier(2, timeout=30), [torch.zeros(0)] * 2

    def __init__(self, rank: int):
        self.rank = rank

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        self.values[self.rank] = value
        self.barrier.wait()
        found = self.values[0] + self.values[1]
        self.barrier.wait()
        return found


def test_words_of_two_processes_follow_the_vectors_of_both():
    """Each sees a part of the batch, and both have the words of one that sees all."""
    vectors, parts = torch.randn(30, 2, generator=seeded()), (slice(0, 13), slice(13, 30))
    books = [Codebook(4, 2, decay=0.9) for _ in range(3)]
    both, alone = books[:2], books[2]
    for rank, book in enumerate(both):
        book.processes = Together(rank)

    def at_once(step: Callable[[Codebook, torch.Tensor], None]) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one: step(one[0], vectors[one[1]]), zip(both, parts, strict=True)))

    at_once(Codebook.revive)
    assert both[0].count.tolist() == both[1].count.tolist() == [7.5] * 4
    assert torch.equal(both[0].words, both[1].words)
    ends = vectors[parts[0]][[0, 8]], vectors[parts[1]][[5, 16]]  # in turn
    assert torch.equal(both[0].words, torch.stack([ends[0][0], ends[1][0], ends[0][1], ends[1][1]]))
    alone.load_state_dict(both[0].state_dict())
    at_once(lambda book, mine: book.follow(mine, book.nearest(mine)))
    alone.follow(vectors, alone.nearest(vectors))
    for book in both:
        torch.testing.assert_close(book.count, alone.count)
        torch.testing.assert_close(book.words, alone.words)


def test_a_loop_tells_words_of_its_processes():
    recipe = made("rvq-vae")
    loop = Loop(recipe, TrainSettings(steps=1), *[torch.zeros(4, 16, 16, 3, dtype=torch.uint8)] * 2, "cpu", "float32")
    assert [book.processes is loop.world for book in recipe.model.bottleneck.books] == [True] * 3


def test_words_find_clusters_though_none_of_them_began_near():
    """Four clusters far off: words that stand for nothing begin anew there, and end at the means."""
    centres = torch.tensor([[40.0, 0], [0, 40], [-40, 0], [0, -40]])
    bottleneck = Words(2, (1, 1), 4, decay=0.8).train()
    for step in range(200):
        noise = torch.randn(64, 2, generator=seeded(step))
        bottleneck((centres.repeat(16, 1) + noise)[:, :, None, None])
    (book,) = bottleneck.books
    order = book.nearest(centres)
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    assert (book.words[order] - centres).abs().max() < 0.6
    assert book.count.tolist() == pytest.approx([16] * 4, rel=0.1)


def test_nothing_is_learnt_in_evaluation():
    bottleneck = Words(2, (1, 1), 4).eval()
    before = {name: tensor.clone() for name, tensor in bottleneck.state_dict().items()}
    bottleneck(torch.randn(8, 2, 1, 1, generator=seeded()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in bottleneck.state_dict().items())


def test_the_noise_of_no_generator_is_in_a_step():
    """Words begin anew from the batch alone: the state of torch's own generator changes nothing."""
    books = []
    for seed in (1, 2):
        bottleneck = Words(2, (2, 2), 16).train()
        torch.manual_seed(seed)
        for step in range(5):
            bottleneck(torch.randn(8, 2, 2, 2, generator=seeded(step)))
        books.append(bottleneck.books[0].words)
    assert torch.equal(*books)


def test_each_further_book_leaves_less():
    torch.manual_seed(0)
    features = torch.randn(64, 3, 4, 4, generator=seeded())
    left = []
    for depth in (1, 2, 4):
        bottleneck = Words(3, (4, 4), 8, depth, decay=0.8).train()
        for _ in range(30):
            short = bottleneck(features).extra["short"]
        left.append(short.square().mean().item())
    assert left[1] < 0.7 * left[0]
    assert left[2] < 0.7 * left[1]


@pytest.mark.parametrize(
    ("shares", "expected"), [([1, 1, 1, 1], (4, 4)), ([1, 0, 0, 0], (1, 1)), ([3, 1, 0, 0], (2, 1.7548))]
)
def test_perplexity_is_the_number_of_words_that_would_be_as_common(shares, expected):
    numbers = torch.repeat_interleave(torch.arange(4), torch.tensor(shares) * 4).reshape(4, 1, -1, 1)
    x = torch.zeros(4, 1, 1, 1)
    bottleneck = Words(2, numbers.shape[2:], 4).eval()
    point = bottleneck(bottleneck.code_of(numbers))
    run = Pass(x, x[None], x[None, :, 0, 0, 0], {"z": Level(point.sample(), point)})
    assert [term.value(run, Batch(x)).item() for term in usage(4)] == pytest.approx(expected, rel=1e-3)
    assert all(term.weight == 0 for term in usage(4))


@pytest.mark.parametrize("levels", [[2], [3], [8, 5, 5, 5], [4, 3, 2]])
def test_codes_of_levels_are_one_to_one(levels):
    bottleneck = Levels(levels, (1, 1))
    numbers = torch.arange(bottleneck.vocabulary)[:, None, None, None]
    codes = bottleneck.code_of(numbers)
    assert torch.equal(bottleneck.indices(codes), numbers)
    assert torch.equal(bottleneck.read(codes), codes)
    assert len(codes.flatten(1).unique(dim=0)) == bottleneck.vocabulary
    assert codes.min() == -1
    assert codes.max() <= 1


def test_every_level_can_be_reached_and_gradients_pass():
    bottleneck = Levels([5, 4], (1, 1))
    features = torch.linspace(-4, 4, 401)[:, None].repeat(1, 2)[..., None, None].requires_grad_()
    code = bottleneck(features).mean
    assert [len(channel.unique()) for channel in code.detach().flatten(1).T] == [5, 4]
    (slope,) = torch.autograd.grad(bottleneck.read(code).sum(), features)
    assert (slope > 0).all()
    assert (code.detach().flatten(1).diff(dim=0) >= 0).all()


def test_levels_that_make_no_code_are_refused():
    for levels in ([1, 4], [200, 200, 200]):
        with pytest.raises(LatentdialError, match="levels must be"):
            Levels(levels, (2, 2))


def test_a_word_with_less_than_a_tenth_of_its_share_begins_anew():
    """Twenty vectors, two words: an even share is ten."""
    book, vectors = Codebook(2, 1, 0.9), torch.arange(20.0)[:, None]
    for count, word in ((1.0, 5.0), (0.99, 19.0)):
        book.words.copy_(torch.tensor([[0.0], [5.0]]))
        book.count.copy_(torch.tensor([7.0, count]))
        book.revive(vectors)
        assert book.words.flatten().tolist() == [0, word]
        assert book.count.tolist() == [7, 1 if word == 5 else 10]
    book.follow(torch.tensor([[4.0], [6.0], [1.0]]), torch.tensor([1, 1, 0]))
    assert book.count.tolist() == pytest.approx([0.9 * 7 + 0.1, 0.9 * 10 + 0.2])
    assert book.words.flatten().tolist() == pytest.approx([0.1 / 6.4, (0.9 * 10 * 19 + 0.1 * 10) / 9.2])


@pytest.mark.parametrize(
    ("count", "features", "code"),
    [
        (3, [-0.56, -0.54, 0.54, 0.56], [-1, 0, 0, 1]),  # 1.001 tanh(0.55) is half a level
        (2, [-3.85, -3.7, 0.0, 9.0], [-1, 0, 0, 0]),
        (5, [-9.0, -0.27, -0.24, 0.24, 0.27, 0.99, 9.0], [-1, -0.5, 0, 0, 0.5, 1, 1]),
    ],
)
def test_features_are_rounded_to_the_nearest_level_within_their_bounds(count, features, code):
    bottleneck = Levels([count], (1, 1))
    found = bottleneck(torch.tensor(features)[:, None, None, None])
    assert found.mean.flatten().tolist() == pytest.approx(code)
    assert found.extra["indices"].flatten().tolist() == [round(c * (count // 2)) + count // 2 for c in code]


def test_numbers_of_a_code_count_in_the_order_of_its_channels():
    bottleneck = Levels([3, 2, 4], (1, 1))
    assert (bottleneck.vocabulary, bottleneck.tokens, bottleneck.depth) == (24, 1, 1)
    code = torch.tensor([1.0, 0.0, -0.5]).reshape(1, 3, 1, 1)
    assert bottleneck.indices(code).item() == 2 + 3 * 1 + 6 * 1
    assert torch.equal(bottleneck.code_of(torch.tensor([[[[11]]]])), code)
    assert bottleneck.read(torch.tensor([0.7, -9.0, 9.0]).reshape(1, 3, 1, 1)).flatten().tolist() == [1, -1, 0.5]
    assert Words(3, (2, 4), 5, depth=2).tokens == 16
    for levels in ([2, 1], [1024, 1025], [0]):
        with pytest.raises(LatentdialError, match="2 or more each"):
            Levels(levels, (1, 1))
    assert Levels([1024, 1024], (1, 1)).vocabulary == 2**20


@pytest.mark.parametrize("bottleneck", [Words(3, (2, 4), 5, depth=2), Levels([3, 4], (2, 4))])
def test_rows_tell_a_code_place_by_place(bottleneck):
    numbers = torch.randint(0, bottleneck.vocabulary, (6, bottleneck.tokens), generator=seeded())
    code = bottleneck.code_of_rows(numbers)
    assert code.shape == (6, torch.Size(bottleneck.code).numel())
    assert torch.equal(bottleneck.rows(code), numbers)
    each = bottleneck.indices(code.unflatten(1, bottleneck.code))  # (6, depth, 2, 4)
    for place in range(8):
        at = numbers[:, place * bottleneck.depth : (place + 1) * bottleneck.depth]
        assert torch.equal(at, each.flatten(2)[:, :, place])
