import numpy as np

from boxless.proposals.edge_box_search import gradient, orientation, thin


def step(vertical=True):
    image = np.full((60, 80, 3), 40, np.uint8)
    if vertical:
        image[:, 40:] = 200
    else:
        image[30:] = 200
    return image


def test_edges_lie_on_the_step():
    edges = gradient(step())
    assert edges.max() == 1
    assert set(np.unique(edges[10:50].argmax(axis=1))) <= {39, 40}
    assert edges[:, :25].max() < 0.01


def test_colour_alone_makes_an_edge():
    image = np.full((60, 80, 3), (200, 0, 0), np.uint8)
    image[:, 40:] = (0, 98, 0)  # about the same lightness
    assert gradient(image)[30, 38:42].max() == 1


def test_flat_and_faintly_noisy_images_have_no_edges():
    flat = np.full((60, 80, 3), 120, np.uint8)
    assert not gradient(flat).any()
    flat[::7, ::5] += 1
    assert not gradient(flat).any()


def test_angle_is_across_the_edge():
    for vertical, expected in ((True, 0.0), (False, np.pi / 2)):
        edges = gradient(step(vertical))
        angles = orientation(edges)
        assert angles.min() >= 0
        assert angles.max() < np.pi + 1e-6
        on_edge = angles[20:40, 30:50][edges[20:40, 30:50] > 0.9]
        away = np.abs(on_edge - expected)
        assert np.minimum(away, np.pi - away).max() < 0.1


def test_thinning_leaves_a_line():
    edges = gradient(step())
    ridge = thin(edges, orientation(edges))
    width = (ridge[10:50] > 0.1).sum(axis=1)
    assert ((width >= 1) & (width <= 2)).all()
    assert ((edges[10:50] > 0.1).sum(axis=1) > 3).all()
    assert (ridge <= edges).all()
