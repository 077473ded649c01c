"""Tickets as a table: which of them an event, a capture or a summary finishes."""

from __future__ import annotations

from eventlog_handlers.pipeline.tickets import Ticket, Tickets


def opened(tickets: Tickets, *, after: int, has_more=lambda: False) -> Ticket:
    ticket = Ticket(after, has_more)
    tickets.add(ticket)
    return ticket


def test_a_ticket_waits_for_its_captures_and_then_for_the_keys_of_that_moment():
    """Events that come in later are not its business."""
    tickets = Tickets()
    ticket = opened(tickets, after=3)

    tickets.arm(2, lambda: (2, 1))
    assert ticket.before is None
    tickets.settled(1)
    tickets.arm(3, lambda: (3, 2))
    tickets.arm(4, lambda: (4, 3))
    assert (ticket.before, ticket.left) == (3, 2)

    tickets.settled(3)
    tickets.settled(2)
    assert not ticket.finished
    tickets.settled(1)
    assert ticket.finished
    assert ticket.done.get(timeout=1) is None
    assert not tickets


def test_an_event_is_settled_for_all_tickets_at_once():
    """Two flushes may wait for one event; the later ticket waits for one more."""
    tickets = Tickets()
    one = opened(tickets, after=0)
    tickets.arm(0, lambda: (2, 1))
    two = opened(tickets, after=0)
    tickets.arm(0, lambda: (3, 2))

    tickets.settled(1)
    assert (one.finished, two.finished) == (True, False)
    tickets.keep_only({3})
    assert two.finished


def test_a_ticket_without_keys_is_asked_again_whether_summaries_are_to_come():
    """It is finished at a look after the last summary, and waits for a summary that came in."""
    tickets = Tickets()
    more = [True]
    ticket = opened(tickets, after=0, has_more=lambda: more[0])
    plain = opened(tickets, after=9)
    tickets.arm(0, lambda: (2, 1))

    tickets.settled(1)
    assert not ticket.finished
    tickets.wait_for_summary({7})
    more.clear()
    more.append(False)
    assert (ticket.before, ticket.summaries, ticket.left) == (2, {7}, 1)
    assert (plain.before, plain.summaries) == (None, set())
    tickets.settled(6)
    assert not ticket.finished
    tickets.settled(7)
    assert (ticket.finished, plain.finished) == (True, False)


def test_a_ticket_that_no_thread_waits_for_is_left_alone():
    """Its events are settled without it; to discard it twice does no harm."""
    tickets = Tickets()
    ticket = opened(tickets, after=0)
    tickets.arm(0, lambda: (2, 1))

    tickets.discard(ticket)
    tickets.discard(ticket)
    tickets.settled(1)
    assert not ticket.finished
    assert not tickets
