"""A rule of EventBridge that sends a mail or calls a pager through SNS, ready to paste. Pure.

Sources: "Amazon EventBridge event patterns", "Amazon SNS: resource-based policy for EventBridge"
(docs.aws.amazon.com/eventbridge/latest/userguide), read 2026-11-28.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from eventlog_handlers.services.alarm import AlarmRequest, Piece
from eventlog_handlers.services.cloudwatch.options import CloudWatchSettings

FORMS = ("pattern", "cli", "terraform", "cloudformation", "sender-policy", "operator-policy")
_PATHS = {
    "status": "$.detail.status",
    "logger": "$.detail.logger",
    "message": "$.detail.message",
    "time": "$.detail.time",
    "id": "$.detail.event.id",
}
_TEMPLATE = '"<status>: <logger>: <message> (<time>, id <id>)"'


def pattern(asked: AlarmRequest, own: CloudWatchSettings, service: str | None) -> dict[str, Any]:
    """The event pattern that matches what *asked* wants, made by the handler with these settings."""
    found: dict[str, Any] = {}
    literal = own.source.partition("{")[0]
    if literal:
        found["source"] = [literal if literal == own.source else {"prefix": literal}]
    detail: dict[str, Any] = {"status": list(asked.statuses)}
    if asked.logger_prefix:
        detail["logger"] = [{"prefix": asked.logger_prefix}]
    if service:
        detail["service"] = {"name": [service]}
    if asked.event_names:
        detail["event"] = {"name": list(asked.event_names)}
    found["detail"] = detail
    return found


def alarm(asked: AlarmRequest, own: CloudWatchSettings, service: str | None = None) -> list[Piece]:
    """Pattern, rule and topic in three forms, and the permissions that sender and operator need."""
    wanted = pattern(asked, own, service)
    bus = own.event_bus_name or "default"
    region = own.region_name or "us-east-1"
    mails = asked.notify or ("oncall@example.com",)
    return [
        Piece("pattern", "Event pattern", "json", json.dumps(wanted, indent=2)),
        Piece("cli", "Rule and topic, with the AWS CLI", "sh", _cli(asked, wanted, bus, region, mails)),
        Piece("terraform", "The same for Terraform", "hcl", _terraform(asked, wanted, bus, mails)),
        Piece("cloudformation", "The same for CloudFormation", "json", _stack(asked, wanted, bus, mails)),
        Piece("sender-policy", "IAM policy of the application", "json", _sender_policy(bus, region)),
        Piece("operator-policy", "IAM policy to set it up", "json", _operator_policy()),
    ]


def _cli(asked: AlarmRequest, wanted: dict[str, Any], bus: str, region: str, mails: tuple[str, ...]) -> str:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": "TOPIC_ARN",
            }
        ],
    }
    target = [
        {
            "Id": "topic",
            "Arn": "TOPIC_ARN",
            "InputTransformer": {"InputPathsMap": _PATHS, "InputTemplate": _TEMPLATE},
        }
    ]
    lines = [
        f"export AWS_REGION={shlex.quote(region)}",
        f"TOPIC_ARN=$(aws sns create-topic --name {shlex.quote(asked.name)} --query TopicArn --output text)",
        *(
            'aws sns subscribe --topic-arn "$TOPIC_ARN" --protocol email '
            f"--notification-endpoint {shlex.quote(mail)}"
            for mail in mails
        ),
        'aws sns set-topic-attributes --topic-arn "$TOPIC_ARN" --attribute-name Policy '
        f"--attribute-value {_with_arn(policy)}",
        f"aws events put-rule --name {shlex.quote(asked.name)} --event-bus-name {shlex.quote(bus)} "
        f"--event-pattern {shlex.quote(json.dumps(wanted))}",
        f"aws events put-targets --rule {shlex.quote(asked.name)} --event-bus-name {shlex.quote(bus)} "
        f"--targets {_with_arn(target)}",
    ]
    return "\n".join(lines) + "\n"


def _with_arn(value: object) -> str:
    """*value* as JSON in a shell word in which TOPIC_ARN is the variable's value."""
    return "'\"$TOPIC_ARN\"'".join(shlex.quote(json.dumps(value))[1:-1].split("TOPIC_ARN")).join("''")


def _terraform(asked: AlarmRequest, wanted: dict[str, Any], bus: str, mails: tuple[str, ...]) -> str:
    name = asked.name.replace("-", "_")
    subscriptions = "\n".join(
        f"""resource "aws_sns_topic_subscription" "{name}_{number}" {{
  topic_arn = aws_sns_topic.{name}.arn
  protocol  = "email"
  endpoint  = {json.dumps(mail)}
}}
"""
        for number, mail in enumerate(mails)
    )
    paths = "\n".join(f"      {key:<7} = {json.dumps(path)}" for key, path in _PATHS.items())
    return f"""resource "aws_sns_topic" "{name}" {{
  name = {json.dumps(asked.name)}
}}

{subscriptions}
resource "aws_sns_topic_policy" "{name}" {{
  arn = aws_sns_topic.{name}.arn
  policy = jsonencode({{
    Version = "2012-10-17"
    Statement = [{{
      Effect    = "Allow"
      Principal = {{ Service = "events.amazonaws.com" }}
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.{name}.arn
    }}]
  }})
}}

resource "aws_cloudwatch_event_rule" "{name}" {{
  name           = {json.dumps(asked.name)}
  event_bus_name = {json.dumps(bus)}
  event_pattern  = {json.dumps(json.dumps(wanted))}
}}

resource "aws_cloudwatch_event_target" "{name}" {{
  rule           = aws_cloudwatch_event_rule.{name}.name
  event_bus_name = {json.dumps(bus)}
  arn            = aws_sns_topic.{name}.arn
  input_transformer {{
    input_paths = {{
{paths}
    }}
    input_template = {json.dumps(_TEMPLATE)}
  }}
}}
"""


def _stack(asked: AlarmRequest, wanted: dict[str, Any], bus: str, mails: tuple[str, ...]) -> str:
    topic = {"Ref": "Topic"}
    stack = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Topic": {
                "Type": "AWS::SNS::Topic",
                "Properties": {
                    "TopicName": asked.name,
                    "Subscription": [{"Protocol": "email", "Endpoint": mail} for mail in mails],
                },
            },
            "TopicPolicy": {
                "Type": "AWS::SNS::TopicPolicy",
                "Properties": {
                    "Topics": [topic],
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Principal": {"Service": "events.amazonaws.com"},
                                "Action": "sns:Publish",
                                "Resource": topic,
                            }
                        ],
                    },
                },
            },
            "Rule": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "Name": asked.name,
                    "EventBusName": bus,
                    "EventPattern": wanted,
                    "State": "ENABLED",
                    "Targets": [
                        {
                            "Id": "topic",
                            "Arn": topic,
                            "InputTransformer": {"InputPathsMap": _PATHS, "InputTemplate": _TEMPLATE},
                        }
                    ],
                },
            },
        },
    }
    return json.dumps(stack, indent=2)


def _sender_policy(bus: str, region: str) -> str:
    arn = bus if bus.startswith("arn:") else f"arn:aws:events:{region}:YOUR_ACCOUNT_ID:event-bus/{bus}"
    return _policy([{"Effect": "Allow", "Action": "events:PutEvents", "Resource": arn}])


def _operator_policy() -> str:
    actions = ["events:PutRule", "events:PutTargets", "sns:CreateTopic", "sns:Subscribe"]
    return _policy([{"Effect": "Allow", "Action": [*actions, "sns:SetTopicAttributes"], "Resource": "*"}])


def _policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
