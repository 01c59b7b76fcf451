"""Records that do not come: how long they are waited for, and what is done about them in turn."""

from consumers.missed import Due, MissedRecords, Remedy


class Seconds:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_record_is_waited_for_and_then_fetched_again() -> None:
    seconds = Seconds()
    missed = MissedRecords(seconds)
    assert list(missed.due({0: 7})) == []
    seconds.now += 4.9
    assert list(missed.due({0: 7, 1: 3})) == []
    seconds.now += 0.1
    assert list(missed.due({0: 7, 1: 3})) == [Due(0, 7, Remedy.SET_BACK)]
    assert list(missed.due({0: 7, 1: 3})) == []


def test_what_came_is_not_missed_any_more() -> None:
    seconds = Seconds()
    missed = MissedRecords(seconds)
    for behind in ({0: 7}, {0: 8}, {}, {0: 8}):
        assert list(missed.due(behind)) == []
        seconds.now += 5


def test_remedies_grow_stronger_until_nothing_is_left_to_try() -> None:
    seconds = Seconds()
    missed = MissedRecords(seconds)
    remedies = []
    for _ in range(8):
        remedies += [due.remedy for due in missed.due({0: 7})]
        seconds.now += 5
    assert remedies == [Remedy.SET_BACK] * 3 + [Remedy.BEGIN_ANEW] + [Remedy.SET_BACK] * 2 + [Remedy.GIVE_UP]


def test_a_gap_is_due_at_once_and_told_once() -> None:
    missed = MissedRecords(Seconds())
    assert missed.note_gap(0, 7)
    assert not missed.note_gap(0, 7)
    assert list(missed.due({0: 7})) == [Due(0, 7, Remedy.SET_BACK)]
    assert not missed.note_gap(0, 7)
    assert missed.note_gap(0, 9)
