"""All that may happen to one problem and one event, in every order, searched state by state.

Two processes send for the applications (a relay, or a process with a scope), one store keeps a stream of
events and one problem's counts. An application puts occurrences. A process claims an event, sends it, acks
it; it takes a due summary (tell), sends it and clears it (told). Between any two of these it may crash, once
or twice in all; a claim and a summary of a crashed process lapse. A failover loses what the store
acknowledged last, where the copy had not got it yet.

``explore`` looks at every reachable state and returns the first breach with the steps that lead there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

PROCESSES = (0, 1)


class State(NamedTuple):
    """Everything that exists. Counts are of occurrences; a tuple per process is its own memory."""

    to_put: int = 3
    opened: bool = False
    is_due: bool = False
    count: int = 0
    telling: int = 0
    number: int = 1
    teller: int | None = None
    queued: int = 0
    """Events in the stream that nobody has claimed: 0 or 1, for there is one first occurrence."""
    claimed_by: int | None = None
    claims: tuple[bool, ...] = (False, False)
    """The process has the event in hand."""
    sent: tuple[bool, ...] = (False, False)
    """It has sent that, and has not acked it."""
    tellings: tuple[tuple[int, int] | None, ...] = (None, None)
    """The summary in hand: number, count."""
    told: tuple[bool, ...] = (False, False)
    """It has sent that, and has not cleared it."""
    delivered: frozenset[tuple[int, int]] = frozenset()
    """What the service has: (number, count); number 0 is the first occurrence. Copies with the same id count
    once, as consumers drop them by id."""
    crashes: int = 2
    failovers: int = 0
    unsynced: int | None = None
    """Occurrences counted that a failover takes back. An event is put again by its sender, with its id."""
    lost: int = 0
    """Occurrences that a failover took back."""


class Rules(NamedTuple):
    """The protocol, or a broken variant of it."""

    reset_at_tell: bool = False
    """Broken: the count is cleared when the summary is taken, and not kept as *telling*."""
    told_clears_all: bool = False
    """Broken: ``told`` clears also what was counted since the summary was taken."""
    new_number_at_retell: bool = False
    """Broken: a summary that is told again has another id."""
    ack_before_send: bool = False
    """Broken: an event leaves the stream before it was sent."""
    told_by_anybody: bool = False
    """Broken: ``told`` does not look at the number."""
    failovers: int = 0


def replaced(values: tuple, index: int, value: object) -> tuple:
    return (*values[:index], value, *values[index + 1 :])


def steps(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """Everything that may happen next."""
    if state.to_put:
        yield from _put(state)
    if state.count and not state.is_due:
        yield "window ends", state._replace(is_due=True)
    for who in PROCESSES:
        yield from _event_steps(state, who, rules)
        yield from _summary_steps(state, who, rules)
        if state.crashes and (state.claims[who] or state.tellings[who]):
            yield f"{who} crashes", _crashed(state, who)
    if rules.failovers > state.failovers and state.unsynced is not None:
        count = min(state.unsynced, state.count)
        yield (
            "failover",
            state._replace(
                failovers=state.failovers + 1,
                count=state.count - count,
                lost=state.lost + count,
                unsynced=None,
            ),
        )


def _put(state: State) -> Iterator[tuple[str, State]]:
    left = state.to_put - 1
    if not state.opened:
        yield "put opens", state._replace(to_put=left, opened=True, queued=1)
    else:
        yield "put counts", state._replace(to_put=left, count=state.count + 1, unsynced=1)


def _event_steps(state: State, who: int, rules: Rules) -> Iterator[tuple[str, State]]:
    free = state.claimed_by is None or not state.claims[state.claimed_by]
    if state.queued and free and not state.claims[who]:
        claimed = state._replace(claimed_by=who, claims=replaced(state.claims, who, True))
        if rules.ack_before_send:
            claimed = claimed._replace(queued=0)
        yield f"{who} claims", claimed
    if state.claims[who] and not state.sent[who]:
        delivered = state.delivered | {(0, 1)}
        yield f"{who} sends", state._replace(sent=replaced(state.sent, who, True), delivered=delivered)
    if state.sent[who]:
        yield (
            f"{who} acks",
            state._replace(
                queued=0,
                claimed_by=None,
                claims=replaced(state.claims, who, False),
                sent=replaced(state.sent, who, False),
            ),
        )


def _summary_steps(state: State, who: int, rules: Rules) -> Iterator[tuple[str, State]]:
    if state.tellings[who] is None:
        if state.is_due and state.count and not state.telling:
            summary = (state.number, state.count)
            yield (
                f"{who} tells",
                state._replace(
                    is_due=False,
                    count=0,
                    telling=0 if rules.reset_at_tell else state.count,
                    number=state.number + 1,
                    teller=who,
                    tellings=replaced(state.tellings, who, summary),
                    unsynced=None,
                ),
            )
        # The lease has run out: its teller crashed, or was only stopped and still has the summary in hand.
        elif state.telling and state.teller != who:
            number = state.number if rules.new_number_at_retell else state.number - 1
            yield (
                f"{who} tells again",
                state._replace(
                    number=number + 1,
                    teller=who,
                    tellings=replaced(state.tellings, who, (number, state.telling)),
                ),
            )
        return
    summary = state.tellings[who]
    assert summary is not None
    if not state.told[who]:
        yield (
            f"{who} sends the summary",
            state._replace(told=replaced(state.told, who, True), delivered=state.delivered | {summary}),
        )
        return
    clears = rules.told_by_anybody or summary[0] == state.number - 1
    after = state._replace(
        tellings=replaced(state.tellings, who, None), told=replaced(state.told, who, False)
    )
    if clears:
        after = after._replace(telling=0, teller=None)
        if rules.told_clears_all:
            after = after._replace(count=0)
    yield f"{who} has told", after


def _crashed(state: State, who: int) -> State:
    return state._replace(
        crashes=state.crashes - 1,
        claims=replaced(state.claims, who, False),
        sent=replaced(state.sent, who, False),
        tellings=replaced(state.tellings, who, None),
        told=replaced(state.told, who, False),
    )


def breach(state: State, *, is_end: bool) -> str:
    """What is wrong with *state*; "" if nothing is. *is_end*: nothing more can happen."""
    delivered = sum(count for _, count in state.delivered)
    put = 3 - state.to_put
    numbers = [number for number, _ in state.delivered]
    if len(set(numbers)) != len(numbers):
        return "two summaries with one id and different counts"
    if delivered > put:
        return f"{delivered} occurrences delivered of {put} put"
    if is_end and delivered + state.lost != put:
        return f"{delivered} delivered and {state.lost} lost of {put} put"
    in_hand = {telling for telling in state.tellings if telling is not None} - set(state.delivered)
    # A summary that was delivered, and is still being told, is the same occurrences.
    open_telling = 0 if (state.number - 1, state.telling) in state.delivered else state.telling
    held = (1 if state.queued and (0, 1) not in state.delivered else 0) + state.count + open_telling
    if delivered + held + state.lost < put:
        return f"{put - delivered - held - state.lost} occurrences are nowhere (in memory only: {in_hand})"
    return ""


def explore(rules: Rules) -> tuple[int, list[str]]:
    """How many states there are, and the steps that lead to a breach, its description last; [] if none."""
    start = State()
    before: dict[State, tuple[State, str] | None] = {start: None}
    todo = deque([start])
    while todo:
        state = todo.popleft()
        following = list(steps(state, rules))
        # A stopped process may pass a summary to and fro for ever; the end is where everything is settled.
        is_end = not following
        wrong = breach(state, is_end=is_end)
        if wrong:
            path = [wrong]
            walk: State = state
            while (origin := before[walk]) is not None:
                walk, step = origin
                path.append(step)
            return len(before), path[::-1]
        for step, after in following:
            if after not in before:
                before[after] = state, step
                todo.append(after)
    return len(before), []
