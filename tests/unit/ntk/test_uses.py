"""Parameters captured where they are used: exact, whichever module owns them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ntkscope.ntk import empirical_ntk, plan_ntk
from ntkscope.ntk.empirical.tuning import Tuning
from tests.oracles.ntk import ntk, of_kind

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings(
    "ignore:There is a performance drop|enable_nested_tensor is True"
)


def parameter(*shape):
    return nn.Parameter(0.4 * torch.randn(*shape))


class ByHand(nn.Module):
    """Products in both orders, a gain, and one weight transposed."""

    def __init__(self):
        super().__init__()
        self.first, self.shift, self.gain = parameter(6, 8), parameter(8), parameter(8)
        self.mix, self.last = parameter(5, 5), parameter(3, 8)

    def forward(self, x):
        z = self.mix @ torch.tanh(x @ self.first + self.shift)
        return (z * self.gain - self.shift).mean(1) @ self.last.T


class LowRank(nn.Module):
    def __init__(self, merged):
        super().__init__()
        self.base, self.merged = nn.Linear(6, 8), merged
        self.down, self.up, self.top = parameter(2, 6), parameter(8, 2), nn.Linear(8, 3)

    def forward(self, x):
        if self.merged:
            z = F.linear(x, self.base.weight + self.up @ self.down, self.base.bias)
        else:
            z = self.base(x) + F.linear(F.linear(x, self.down), self.up)
        return self.top(torch.tanh(z).mean(1))


class Subclass(nn.Linear):
    pass


class PositionsFirst(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0)
        self.inner, self.encoder = Subclass(6, 8), nn.TransformerEncoder(layer, 1)
        self.top = nn.Linear(8, 3)

    def forward(self, x):
        return self.top(self.encoder(self.inner(x.transpose(0, 1))).mean(0))


class Queries(nn.Module):
    """A class token that is spread over the samples, and attention of three weights."""

    def __init__(self):
        super().__init__()
        self.token = parameter(1, 2, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True, kdim=6, vdim=6)
        self.top = nn.Linear(16, 3)

    def forward(self, x):
        tokens = torch.cat([self.token.expand(len(x), -1, -1), self.token.repeat(len(x), 1, 1)], 1)
        return self.top(self.attend(tokens, x, x)[0][:, 1:3].flatten(1))


class Tied(nn.Module):
    """Learned positions by an embedding of numbers, and an embedding that is the readout too."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(7, 8), nn.Embedding(5, 8)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        tokens = (x[..., :5].sum(2) * 10).long() % 7
        z = self.tokens(tokens) + self.places(torch.arange(x.shape[1]))
        return F.linear(torch.tanh(self.norm(z)).mean(1), self.tokens.weight)


class UpAndDown(nn.Module):
    """Transposed convolutions, a slope for each channel, and an operation in place."""

    def __init__(self):
        super().__init__()
        self.down, self.slope = nn.Conv1d(5, 4, 3, padding=1), nn.PReLU(4)
        self.up = nn.ConvTranspose1d(4, 3, 2, stride=2)
        self.shift = parameter(3, 1)

    def forward(self, x):
        z = self.up(self.slope(self.down(x)))
        z += self.shift
        return z.square().mean(2)


MODELS = {
    "by hand": ByHand,
    "low rank": lambda: LowRank(False),
    "low rank, merged": lambda: LowRank(True),
    "subclasses": lambda: nn.Sequential(Subclass(6, 8), nn.GELU(), nn.Flatten(), Subclass(40, 3)),
    "positions first": PositionsFirst,
    "queries": Queries,
    "tied": Tied,
    "up and down": UpAndDown,
}


def made(name, samples=6):
    torch.manual_seed(0)
    model = MODELS[name]().double().eval()
    return model, torch.randn(samples, 5, 6).double(), torch.randn(4, 5, 6).double()


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_left_to_the_fallback_and_all_is_exact(name):
    model, x1, x2 = made(name)
    plan = plan_ntk(model, x1)
    assert plan.captures and not plan.fallback_parameters
    for other in (None, x2):
        full = ntk(model, x1, x1 if other is None else other, "full")
        for kind in ("trace", "full", "pseudo", "diagonal"):
            expected = of_kind(full, kind)
            for by_layer, chunk in ((False, None), (True, 4)):
                found = empirical_ntk(model, x1, other, kind=kind, by_layer=by_layer, chunk=chunk)
                total = sum(found.values()) if by_layer else found
                assert (total - expected).abs().max() <= 1e-12 * expected.abs().max()


@pytest.mark.parametrize("name", ["queries", "tied"])
def test_a_chunk_of_one_sample_shows_as_little_as_one_sample(name):
    model, x, _ = made(name)
    expected = empirical_ntk(model, x)
    for chunk in (1, 5):
        torch.testing.assert_close(empirical_ntk(model, x, chunk=chunk), expected)
    torch.testing.assert_close(empirical_ntk(model, x[:1]), expected[:1, :1])


def test_parts_of_the_outputs_go_back_through_one_forward_pass():
    model, x, _ = made("positions first")
    expected, passes = empirical_ntk(model, x, kind="full"), []
    model.inner.register_forward_hook(lambda *_: passes.append(1))
    plan = plan_ntk(model, x, kind="full", tuning=Tuning(outputs_at_once=1))
    passes.clear()
    found = empirical_ntk(model, x, kind="full", plan=plan, verify="off")
    torch.testing.assert_close(found, expected)
    assert len(passes) == 1


class AsTheDataAsk(nn.Module):
    """A second use of a weight for batches that have a large number in them."""

    def __init__(self):
        super().__init__()
        self.weight, self.top = parameter(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        z = torch.tanh(x @ self.weight)
        return self.top(torch.where(x[:, :1] > 5, z @ self.weight, z) if (x > 5).any() else z)


def test_another_number_of_uses_than_in_the_probe_is_seen():
    torch.manual_seed(0)
    model, x = AsTheDataAsk().double(), torch.randn(30, 6).double()
    x[29, 0] = 9
    torch.testing.assert_close(empirical_ntk(model, x), ntk(model, x, x, "trace"))


def test_thousands_of_outputs_and_rows_of_an_embedding():
    torch.manual_seed(0)
    many = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 70))
    many, x = many.double(), torch.randn(7, 6).double()
    torch.testing.assert_close(empirical_ntk(many, x), ntk(many, x, x, "trace"))
    words = nn.Sequential(nn.Embedding(500, 4), nn.Flatten(), nn.Tanh(), nn.Linear(12, 2)).double()
    tokens = torch.randint(0, 500, (7, 3))
    assert plan_ntk(words, tokens).layers[0].strategy == "structured"
    torch.testing.assert_close(empirical_ntk(words, tokens), ntk(words, tokens, tokens, "trace"))


@pytest.mark.parametrize("kind", ["trace", "full", "pseudo", "diagonal"])
def test_one_row_beside_many_columns(kind):
    model, x, _ = made("by hand", samples=9)
    found = empirical_ntk(model, x[:1], x, kind=kind)
    assert (found - empirical_ntk(model, x, kind=kind)[:1]).abs().max() <= 1e-12 * found.abs().max()
