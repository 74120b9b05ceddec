import multiprocessing

from classifier.serving.fronts import Fronts


def test_the_next_connection_is_for_the_process_with_the_fewest():
    fronts = Fronts(3)
    first, second = fronts.take(), fronts.take()  # the third seat is vacant
    assert (first.is_next(), second.is_next()) == (True, True)
    first.count(1)
    assert (first.is_next(), second.is_next()) == (False, True)
    second.count(1)
    assert (first.is_next(), second.is_next()) == (True, True)


def test_a_process_with_its_model_comes_first():
    fronts = Fronts(2)
    first, second = fronts.take(), fronts.take()
    assert not fronts.has_ready
    first.be_ready()
    first.count(100)
    assert fronts.has_ready
    assert (first.is_next(), second.is_next()) == (True, False)


def test_a_process_without_its_model_leaves_requests_to_those_that_have_it():
    fronts = Fronts(2)
    first, second = fronts.take(), fronts.take()
    assert second.can_answer()  # that it is loading
    first.be_ready()
    assert not second.can_answer()
    second.be_ready()
    assert second.can_answer()


def test_a_process_that_ended_is_counted_no_more_and_its_seat_is_taken_anew():
    fronts = Fronts(2)
    first, second = fronts.take(), fronts.take()
    first.be_ready()
    second.count(5)
    first.leave()
    assert second.is_next()
    assert not fronts.has_ready
    assert fronts.take() is first
    assert not first.is_ready


def test_processes_see_each_other_s_numbers():
    fronts = Fronts(2)
    own, other = fronts.take(), fronts.take()
    child = multiprocessing.get_context("fork").Process(target=other.count, args=(7,))
    child.start()
    child.join()
    assert own.is_next()
    assert not other.is_next()
