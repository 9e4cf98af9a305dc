from nestrl.nested.levels import LEVELS, REMOVABLE, Clock


def test_due_at_the_first_step_and_then_once_a_period():
    clock = Clock({"meta_controller": 3})
    due = []
    for _ in range(7):
        clock.tick()
        due.append(clock.due("meta_controller"))
    assert due == [True, False, False, True, False, False, True]


def test_goes_on_from_its_state():
    clock, twin = Clock({"a": 2}), Clock({"a": 2})
    clock.tick()
    clock.count("a")
    twin.load_state_dict(clock.state_dict())
    assert (twin.steps, twin.updates) == (1, {"a": 1})
    twin.count("a")
    assert clock.updates == {"a": 1}


def test_every_rung_that_can_be_taken_out_is_in_the_table():
    assert set(REMOVABLE) < {spec.name for spec in LEVELS}
