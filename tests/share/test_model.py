"""Every order of put, claim, send, ack, tell, told, crash, failover: nothing is lost, copies share an id."""

from __future__ import annotations

import pytest
from model import Rules, State, explore, steps


def test_no_order_of_crashes_loses_or_doubles_an_occurrence() -> None:
    """Two crashes at any points, processes that are stopped and come back with old summaries."""
    states, breach = explore(Rules())

    assert breach == []
    assert states > 1_000


def test_a_failover_costs_what_the_copy_did_not_have_and_no_more() -> None:
    """The last acknowledged counts are gone; what was sent, or is being told, is not."""
    states, breach = explore(Rules(failovers=1))

    assert breach == []
    assert states > 1_000


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        (Rules(reset_at_tell=True), "nowhere"),
        (Rules(told_clears_all=True), "nowhere"),
        (Rules(new_number_at_retell=True), "delivered of"),
        (Rules(ack_before_send=True), "nowhere"),
        (Rules(told_by_anybody=True), "nowhere"),
    ],
    ids=str,
)
def test_the_search_finds_what_a_broken_protocol_loses(rules: Rules, what: str) -> None:
    """Each rule that is left out shows as a breach, with the steps that lead there."""
    _, breach = explore(rules)

    assert breach, "the search is blind to this fault"
    assert what in breach[-1]
    assert len(breach) < 14


def test_the_search_reaches_the_end() -> None:
    """Some states have nothing left to do: everything was put, delivered and settled."""
    reached, todo = {State()}, [State()]
    ends = 0
    while todo:
        following = list(steps(todo.pop(), Rules()))
        ends += not following
        for _, after in following:
            if after not in reached:
                reached.add(after)
                todo.append(after)

    assert ends > 0
