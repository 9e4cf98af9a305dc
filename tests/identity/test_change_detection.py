"""A change of the world is noticed once and soon; rings, drifts and single outliers are not changes."""

import torch

from nestrl.identity.change_detection import CONFIRMATIONS, KEPT, PATIENCE, SLICES_KEPT, THRESHOLD, ChangeDetector

WIDTH = 6


def slice_of(center: float, number: int, *, ring: float = 0.0, n: int = 600) -> torch.Tensor:
    """Observations (n, 6 + 2) around a centre; with `ring` every third slice lies that much wider."""
    generator = torch.Generator().manual_seed(number)
    spread = 1.0 + (ring if number % 3 == 2 else 0.0)
    return torch.cat([center + spread * torch.randn(n, WIDTH, generator=generator), torch.eye(2)[0].expand(n, -1)], 1)


def watched(slices: int, **how: float) -> ChangeDetector:
    detector = ChangeDetector(torch.ones(WIDTH), seed=0)
    for number in range(slices):
        assert not detector.notice(slice_of(0.0, number, **how), rounds=number)  # type: ignore[arg-type]
    return detector


def test_quiet_and_ringing_worlds_raise_no_alarm() -> None:
    assert watched(60).evidence == 0.0  # `watched` has asked at each slice that none is noticed
    assert watched(60, ring=0.4).evidence < THRESHOLD


def test_change_is_noticed_after_its_confirmations() -> None:
    detector = watched(20)
    noticed = [detector.notice(slice_of(3.0, 20 + k), rounds=20) for k in range(CONFIRMATIONS)]
    assert noticed == [False] * (CONFIRMATIONS - 1) + [True]


def test_what_was_seen_is_parted_at_the_change() -> None:
    detector = watched(20)
    for k in range(CONFIRMATIONS):
        detector.notice(slice_of(30.0, 20 + k), rounds=20)
    assert detector.before[:, 0].max() < 10 and len(detector.before) == SLICES_KEPT * 600 <= SLICES_KEPT * KEPT
    assert detector.since[:, 0].min() > 20 and len(detector.since) == CONFIRMATIONS * 600


def test_one_outlier_is_withheld_and_forgiven() -> None:
    detector = watched(20)
    assert not detector.notice(slice_of(0.0, 99) * 1.3, rounds=20) and detector.suspicious
    for number in range(20, 40):
        assert not detector.notice(slice_of(0.0, number), rounds=20)
    assert not detector.suspicious and detector.evidence == 0.0


def test_slow_drift_of_the_learner_is_followed() -> None:
    detector = watched(10)
    for number in range(10, 90):
        assert not detector.notice(slice_of(0.02 * (number - 10), number), rounds=20)
    assert len(detector.state_dict()["withheld"]) <= PATIENCE


def test_nothing_is_believed_before_the_task_is_known() -> None:
    detector = watched(2)
    assert not any(detector.notice(slice_of(5.0, 50 + k), rounds=0.5) for k in range(20))


def test_a_task_that_comes_back_is_familiar() -> None:
    detector = watched(20)
    for k in range(CONFIRMATIONS):
        detector.notice(slice_of(3.0, 20 + k), rounds=20)
    assert detector.familiar({}) is None
    places = {7: detector.place}
    assert detector.familiar(places) is None  # it is what has just been left
    detector.start()
    for k in range(12):
        assert not detector.notice(slice_of(3.0, 40 + k), rounds=k)
    noticed = [detector.notice(slice_of(0.0, 60 + k), rounds=20) for k in range(CONFIRMATIONS)]
    assert noticed[-1] and detector.familiar(places) == 7


def test_dismissed_evidence_is_gone() -> None:
    detector = watched(20)
    for k in range(CONFIRMATIONS):
        detector.notice(slice_of(1.0, 20 + k), rounds=20)
    detector.dismiss()
    assert not detector.suspicious and detector.evidence == 0.0 and len(detector.since) == 0


def test_saved_in_suspicion_and_restored() -> None:
    detector, other = watched(20), ChangeDetector(torch.ones(WIDTH), seed=5)
    detector.notice(slice_of(0.6, 20), rounds=20)
    other.load_state_dict(detector.state_dict())
    for number in range(21, 30):
        rows = slice_of(0.3, number)
        assert detector.notice(rows, rounds=20) == other.notice(rows, rounds=20)
        assert detector.evidence == other.evidence
    assert torch.equal(detector.place.reference, other.place.reference)
