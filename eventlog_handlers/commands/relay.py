"""``eventlog-handlers relay``: send what applications put into queues of a Redis. ``relay status``: look.

Exit codes as of every command: 0 ended as asked; 1 it did not work; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import sys

from eventlog_handlers.commands.output import YELLOW, ago, coloured, failure, print_json, print_table
from eventlog_handlers.errors import SettingsError
from eventlog_handlers.settings.switches import is_disabled
from eventlog_handlers.share.fleet_url import PASSWORD, USERNAME, FleetAddress, fleet_address

_STATUS = "status"
_USAGE = """eventlog-handlers relay URL QUEUE=DSN [QUEUE=DSN ...]
       eventlog-handlers relay status URL [QUEUE ...] [--json]"""
_DESCRIPTION = f"""\
Send what applications put into queues of a Redis or Valkey, until SIGTERM or Ctrl-C. Their DSN is
relay+redis://host:6379/0?queue=guance. Any number of relays, on any machines, may serve a queue; a queue has
one destination. With "status" in front: show what waits, who serves it, what was given up.

  eventlog-handlers relay redis://host:6379/0 guance=guance://cn1 'cms=cms://cn-hangzhou?group_id=7'
  eventlog-handlers relay status redis://host:6379/0

Credentials of the services stand in the environment, as for a handler; user and password of Redis in
{USERNAME} and {PASSWORD}. rediss:// is TLS, ?ca_bundle=FILE names the authorities
to trust.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "relay",
        help="send what applications put into queues of a Redis; status: look at the queues",
        description=_DESCRIPTION,
        usage=_USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="redis://host:6379/0 or rediss://…; or the word status")
    parser.add_argument("queues", metavar="QUEUE=DSN", nargs="*", help="a queue and where it leads")
    parser.add_argument("--json", action="store_true", help="with status: print JSON")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    try:
        if chosen.url == _STATUS:
            return _status(chosen)
        return _serve(chosen)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2


def _address(url: str) -> FleetAddress:
    """*url* as an address; it may hold no password, for all users of a machine see a command line."""
    if "@" in url:
        raise SettingsError(
            f"a command line is seen by all users of the machine: leave user and password out of URL and set "
            f"{USERNAME} and {PASSWORD}"
        )
    return fleet_address(url, os.environ, option="URL")


def _serve(chosen: argparse.Namespace) -> int:
    from eventlog_handlers.relay.queue_handler import assignment
    from eventlog_handlers.relay.serve import CannotServeError, Relay, run
    from eventlog_handlers.share.redis_link import require_redis

    if chosen.json:
        raise SettingsError("--json belongs to status: eventlog-handlers relay status URL --json")
    address = _address(chosen.url)
    if not chosen.queues:
        raise SettingsError("no queue to serve: give QUEUE=DSN, such as guance=guance://cn1")
    assigned = [assignment(text) for text in chosen.queues]
    names = [one.queue for one in assigned]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"the queue {min(twice)} is given twice: a queue has one destination")
    if is_disabled(os.environ):
        raise SettingsError("EVENTLOG_DISABLED is set, so nothing would be sent: unset it for a relay")
    require_redis("the relay")
    try:
        run(Relay(address, assigned, _say))
    except CannotServeError as error:
        return failure(str(error))
    return 0


def _say(text: str) -> None:
    print(f"relay: {text}", file=sys.stderr, flush=True)


def _status(chosen: argparse.Namespace) -> int:
    from eventlog_handlers.relay.status import statuses
    from eventlog_handlers.services.relay.options import queue_name
    from eventlog_handlers.share.contract import UnavailableError
    from eventlog_handlers.share.redis_link import REMEDY_AT_RISK, RedisLink, require_redis

    if not chosen.queues:
        raise SettingsError("give the URL after status: eventlog-handlers relay status redis://host:6379/0")
    url, *queues = chosen.queues
    address = _address(url)
    for name in queues:
        queue_name("QUEUE", name)
    require_redis("the relay")
    link = RedisLink(address)
    try:
        found = statuses(link, queues)
        at_risk = link.at_risk()
    except UnavailableError as error:
        return failure(str(error))
    finally:
        link.close()
    if chosen.json:
        print_json({"queues": [one.as_json() for one in found], "redis_may_lose": at_risk})
        return 0
    if not found:
        print(f"no queue in {address}")
        return 0
    rows = [
        [
            one.queue,
            one.waiting,
            one.in_hand,
            "" if one.oldest_seconds is None else ago(one.oldest_seconds),
            len(one.relays),
            one.totals["delivered"],
            one.dead,
            one.destination or "?",
        ]
        for one in found
    ]
    print_table(["queue", "waiting", "in hand", "oldest", "relays", "delivered", "dead", "destination"], rows)
    for one in found:
        for relay in one.relays:
            in_hand = one.holders.get(str(relay["name"]), 0)
            print(
                f"  {one.queue}: relay {relay['name']}, version {relay['version']}, {in_hand} in hand, "
                f"heard of {ago(relay['quiet_seconds'])} ago"
            )
        if problem := one.problem():
            print(coloured(f"  {one.queue}: {problem}", YELLOW))
    if at_risk:
        print(coloured(f"when Redis is killed it may lose {at_risk}: {REMEDY_AT_RISK}", YELLOW))
    return 0
