"""A Guance monitor over the events that the handler makes, as the body of ``POST /api/v1/checker/add``. Pure.

Events made through the API notify no one by themselves. Sources: docs.guance.com/en/open-api/checker/create,
docs.guance.com/dql/define, read 2026-11-28.
"""

from __future__ import annotations

import json

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services.alarm import AlarmRequest, Piece
from eventlog_handlers.services.guance.options import GuanceSettings

FORMS = ("json", "curl", "dql")
_INTERVALS = (60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400)
"""Spans a monitor looks back over, in seconds, as its editor offers them."""


def alarm(asked: AlarmRequest, own: GuanceSettings, service: str | None = None) -> list[Piece]:
    """The monitor and the call that makes it. Raises SettingsError."""
    if asked.period_seconds not in _INTERVALS:
        raise SettingsError(
            f"a Guance monitor looks back over {', '.join(map(str, _INTERVALS))} seconds: give one of them"
        )
    query = dql(asked, service)
    body = json.dumps(_monitor(asked, query), ensure_ascii=False, indent=2)
    curl = (
        f"curl -sS {own.endpoint}/api/v1/checker/add \\\n"
        "  -H 'Content-Type: application/json' -H \"DF-API-KEY: $DF_API_KEY\" \\\n"
        "  --data-binary @monitor.json\n"
    )
    return [
        Piece("json", "Monitor; save it as monitor.json", "json", body),
        Piece("curl", "The call that makes it", "sh", curl),
        Piece("dql", "Its query, to try in the explorer", "text", query),
    ]


def dql(asked: AlarmRequest, service: str | None) -> str:
    """The query that counts the events, by service and logger."""
    statuses = ", ".join(f"'{status}'" for status in asked.statuses)
    conditions = ["`emitter` = 'eventlog_handlers'", f"`df_status` IN [{statuses}]"]
    if service:
        conditions.append(f"`service` = '{_quoted(service)}'")
    if asked.logger_prefix:
        conditions.append(f"`logger` = match('{_quoted(asked.logger_prefix)}*')")
    if asked.event_names:
        names = ", ".join(f"'{_quoted(name)}'" for name in asked.event_names)
        conditions.append(f"`event_name` IN [{names}]")
    return f"E::RE(`.*`):(COUNT(`*`) AS `Result`) {{ {' and '.join(conditions)} }} BY `service`, `logger`"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _monitor(asked: AlarmRequest, query: str) -> dict[str, object]:
    status = "critical" if "critical" in asked.statuses else asked.statuses[0]
    rule = {
        "status": status,
        "conditions": [{"alias": "Result", "operator": ">=", "operands": [str(asked.threshold)]}],
        "conditionLogic": "and",
        "matchTimes": 1,
    }
    return {
        "type": "trigger",
        "status": 0,
        "alertPolicyUUIDs": list(asked.notify),
        "jsonScript": {
            "type": "simpleCheck",
            "name": asked.name,
            "title": f"{asked.name}: {{{{ service }}}} {{{{ logger }}}}",
            "message": "{{ Result }} events of {{ logger }} ({{ service }}), status {{ df_status }}",
            "every": "1m",
            "interval": asked.period_seconds,
            "groupBy": ["service", "logger"],
            "recoverNeedPeriodCount": 2,
            "targets": [{"dql": query, "alias": "Result", "qtype": "dql"}],
            "checkerOpt": {"infoEvent": False, "rules": [rule]},
        },
    }
