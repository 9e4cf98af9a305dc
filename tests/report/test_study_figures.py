from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic_studies import ORDERS, made_up_counts, record, write_study

from nestrl.report.comparison import Comparison, comparisons
from nestrl.report.figures import ages, bars, costs, life, matrix, matrix_of_order, rendered
from nestrl.studies.study import open_study

LONGEST = "cloning-constant+best-start"


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Twenty methods with long names, two runs each, in two orders."""
    labels = [f"method-{number:02}-as-in-a-paper" for number in range(19)] + [LONGEST]
    records = [
        record(label, seed, made_up_counts(0.5, np.random.default_rng(seed)), ORDERS[seed], order=seed)
        for seed in range(2)
        for label in labels
    ]
    folder = write_study(tmp_path_factory.mktemp("results") / "twenty", records)
    return comparisons(open_study(folder))[0]


def texts(figure: Figure) -> list[Text]:
    """Return the texts that are drawn."""
    FigureCanvasAgg(figure).draw()  # which knows the extents of texts
    beyond = set()  # ticks outside of their axis exist, but are not drawn
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        beyond |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    there = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in there if text not in beyond]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of upright texts that cover each other, and those that leave the figure."""
    drawn = [text for text in texts(figure) if not text.get_rotation()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn]
    pairs = [(a, b) for (a, first), (b, second) in combinations(boxes, 2) if first.overlaps(second)]
    width, height = figure.get_size_inches() * figure.dpi
    outside = [(name, "edge") for name, box in boxes if not (box.x0 >= 0 and box.x1 <= width and box.y0 >= 0)]
    return pairs + outside + [(name, "top") for name, box in boxes if box.y1 > height + 1]


@pytest.mark.parametrize("draw", [bars, ages, costs])
def test_labels_of_twenty_methods_do_not_overlap(draw: object, twenty: Comparison) -> None:
    figure = draw(twenty).figure  # type: ignore[operator]
    assert overlapping(figure) == []
    assert LONGEST in [text.get_text() for text in texts(figure)]


@pytest.mark.parametrize("draw", [matrix, life, lambda method: matrix_of_order(method, 1)])
def test_labels_of_one_method_do_not_overlap(draw: object, twenty: Comparison) -> None:
    assert overlapping(draw(twenty.find(LONGEST)).figure) == []  # type: ignore[operator]


def test_matrix_is_the_mean_by_position(twenty: Comparison) -> None:
    method = twenty.find(LONGEST)
    assert method is not None
    (image,) = matrix(method).figure.axes[0].images
    first, second = (np.array(each.counts)[5::5] / each.episodes for each in method.records)  # columns as trained
    assert np.asarray(image.get_array()) == pytest.approx((first + second) / 2)
    names = [label.get_text() for label in matrix_of_order(method, 1).figure.axes[0].get_xticklabels()]
    assert names == list(ORDERS[1])


def test_lightness_alone_tells_the_matrix(twenty: Comparison) -> None:
    method = twenty.find(LONGEST)
    assert method is not None
    (image,) = matrix(method).figure.axes[0].images
    red, green, blue, _ = image.get_cmap()(np.linspace(0, 1, 20)).T
    assert np.all(np.diff(0.299 * red + 0.587 * green + 0.114 * blue) > 0)  # printed in grey


def test_a_figure_is_the_same_every_time(twenty: Comparison) -> None:
    method = twenty.methods[0]
    assert rendered(matrix(method).figure, "svg") == rendered(matrix(method).figure, "svg")
