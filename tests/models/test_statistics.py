"""Channel moments, and the convolution that is moved to the teacher's."""

import torch
from torch import nn

from boxless.losses.objectness import weigh_whole_image
from boxless.models.folding import match_moments, watch


def made(bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3, bias=bias), nn.ReLU())


def batches():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, 3, 8, 8, generator=generator) for n in (4, 2, 3)]


def test_moments_are_those_of_all_outputs():
    net = made()
    mean, deviation = watch(net, net[0], batches())
    with torch.no_grad():
        values = torch.cat([net[0](b).transpose(0, 1).flatten(1) for b in batches()], 1).double()
    torch.testing.assert_close(mean, values.mean(1))
    torch.testing.assert_close(deviation, values.std(1, correction=0))


def test_watching_ends():
    net = made()
    before = watch(net, net[0], batches())
    net(100 * batches()[0])
    assert not net[0]._forward_hooks
    after = watch(net, net[0], batches())
    torch.testing.assert_close(before, after)


def test_matched_convolution_has_the_wanted_moments():
    for bias in (True, False):
        net = made(bias)
        wanted = torch.arange(5.0).double() - 2, torch.linspace(0.5, 3, 5).double()
        match_moments(net[0], watch(net, net[0], batches()), wanted)
        mean, deviation = watch(net, net[0], batches())
        torch.testing.assert_close(mean, wanted[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(deviation, wanted[1], atol=1e-5, rtol=1e-5)
        assert net[0].bias.requires_grad


def test_whole_image_weighs_as_much_as_asked():
    weights = torch.tensor([[0.5, 1.0, 0.3], [0.8, 0.4, 0.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    found = weigh_whole_image(weights, mask, 2.0)
    torch.testing.assert_close(found[0, :2], weights[0, :2])
    torch.testing.assert_close(found[0, 2] ** 2, 2.0 * weights[0, :2].square().sum())
    torch.testing.assert_close(found[1], torch.tensor([0.8, 0.8 * 2**0.5, 0.0]))
