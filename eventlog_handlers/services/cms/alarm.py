"""An alert rule over custom events of CloudMonitor, ready to paste. Pure.

A rule of ``PutCustomEventRule`` matches one EventName exactly and counts events: status and level stand in
Content, which it can't see. So the handler's level decides what counts. Source: PutCustomEventRule,
www.alibabacloud.com/help/en/cms/cloudmonitor-1-0/api-putcustomeventrule, read 2026-11-28.
"""

from __future__ import annotations

import json
import re
import shlex

from eventlog_handlers.errors import SettingsError
from eventlog_handlers.services.alarm import AlarmRequest, Piece
from eventlog_handlers.services.cms.options import CMSSettings

FORMS = ("cli", "sdk", "sender-policy", "operator-policy")
_MOST_NAMES = 20


def alarm(asked: AlarmRequest, own: CMSSettings, service: str | None = None) -> list[Piece]:
    """Rules, and the permissions that sender and operator need. A rule can't tell services apart.

    Raises SettingsError where no EventName is known.
    """
    names = asked.event_names or (() if "{" in own.event_name else (own.event_name,))
    if not names:
        raise SettingsError(
            f"a CMS rule matches one EventName, and event_name={own.event_name!r} makes many: name those "
            "that count, --event-name shop.payments (may be repeated)"
        )
    if len(names) > _MOST_NAMES:
        raise SettingsError(f"{len(names)} names make {len(names)} rules: name {_MOST_NAMES} at most")
    if asked.period_seconds % 60:
        raise SettingsError("the period of a CMS rule is a multiple of 60 seconds")
    groups = ",".join(asked.notify) or "YOUR_CONTACT_GROUP"
    level = "CRITICAL" if "critical" in asked.statuses else "WARN"
    rules = []
    for name in names:
        suffix = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        identity = asked.name if len(names) == 1 else f"{asked.name}-{suffix}"
        rules.append(
            {
                "RegionId": own.region,
                "GroupId": own.group_id or "0",
                "RuleId": identity,
                "RuleName": identity,
                "EventName": name,
                "ContactGroups": groups,
                "Level": level,
                "Threshold": str(asked.threshold),
                "Period": str(asked.period_seconds),
                "EmailSubject": f"{name}: {asked.name}",
            }
        )
    return [
        Piece("cli", "Alert rules, with Alibaba Cloud's CLI", "sh", "\n".join(map(_command, rules))),
        Piece(
            "sdk",
            "The same, as parameters of PutCustomEventRule",
            "json",
            json.dumps(rules, ensure_ascii=False, indent=2),
        ),
        Piece("sender-policy", "RAM policy of the application", "json", _policy("cms:PutCustomEvent")),
        Piece(
            "operator-policy",
            "RAM policy to set the rules up",
            "json",
            _policy(
                "cms:PutCustomEventRule", "cms:DescribeCustomEventAttribute", "cms:DescribeContactGroupList"
            ),
        ),
    ]


def _command(rule: dict[str, str]) -> str:
    options = " \\\n  ".join(f"--{name} {shlex.quote(value)}" for name, value in rule.items())
    return f"aliyun cms PutCustomEventRule \\\n  {options}\n"


def _policy(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "1", "Statement": [statement]}, indent=2)
