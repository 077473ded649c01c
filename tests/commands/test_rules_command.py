"""``eventlog-handlers rules``: the services take what is printed, and it matches what the handler sends."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess

import boto3
import pytest
from moto import mock_aws

from eventlog_handlers import CloudWatchEventsHandler
from eventlog_handlers.cli import main


def told(capsys, *arguments: str) -> dict[str, list[dict]]:
    assert main(["rules", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def piece(capsys, form: str, *arguments: str) -> str:
    ((one,),) = told(capsys, *arguments, "--form", form).values()
    return one["text"]


@pytest.fixture
def queue():
    """An account of AWS with a queue that stands for the topic's reader."""
    with mock_aws():
        sqs = boto3.client("sqs", region_name="us-east-1")
        url = sqs.create_queue(QueueName="oncall")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        yield lambda: sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []), arn


def test_the_eventbridge_pattern_matches_what_the_handler_sends_and_nothing_less_severe(capsys, queue):
    """From the handler's own source and service; an info event does not wake anybody."""
    read, arn = queue
    dsn = "cloudwatch://default?region=us-east-1&service=shop"
    events = boto3.client("events", region_name="us-east-1")
    events.put_rule(Name="r", EventPattern=piece(capsys, "pattern", dsn, "--logger", "shop.pay"))
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
    handler = CloudWatchEventsHandler(service="shop", client=events)
    for name, level in [
        ("shop.payments", 40),
        ("shop.payments", 20),
        ("shop.stock", 50),
        ("shop.payments", 50),
    ]:
        handler.handle(logging.LogRecord(name, level, "x.py", 1, f"{name} {level}", (), None))
    assert handler.flush(30)

    bodies = [json.loads(message["Body"]) for message in read()]

    assert sorted(body["detail"]["message"] for body in bodies) == ["shop.payments 40", "shop.payments 50"]


def test_the_cloudformation_template_is_one_and_makes_the_rule(capsys):
    """Deployed to a stand-in of AWS."""
    template = piece(capsys, "cloudformation", "cloudwatch://default?region=us-east-1", "--name", "night")
    with mock_aws():
        stacks = boto3.client("cloudformation", region_name="us-east-1")
        stacks.create_stack(StackName="s", TemplateBody=template)
        rule = boto3.client("events", region_name="us-east-1").describe_rule(Name="night")
        topics = boto3.client("sns", region_name="us-east-1").list_topics()["Topics"]

    assert json.loads(rule["EventPattern"]) == {"detail": {"status": ["critical", "error"]}}
    assert topics[0]["TopicArn"].endswith(":night")


def test_the_commands_of_the_aws_cli_are_a_shell_script_that_quotes_well(capsys, tmp_path):
    """Run with an `aws` that notes its arguments: JSON arrives as JSON, with the topic's ARN in it."""
    notes = tmp_path / "notes"
    aws = tmp_path / "aws"
    aws.write_text(
        '#!/bin/sh\nfor one in "$@"; do printf "%s\\036" "$one"; done >> NOTES\n'
        'printf "\\n" >> NOTES\necho arn:t\n'.replace("NOTES", str(notes))
    )
    aws.chmod(aws.stat().st_mode | stat.S_IXUSR)
    script = piece(capsys, "cli", "cloudwatch://orders?region=eu-west-1", "--notify", "o'neill@example.com")

    subprocess.run(
        ["sh", "-euc", script], check=True, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    )

    calls = [line.rstrip("\x1e").split("\x1e") for line in notes.read_text().split("\n")[:-1]]
    assert [call[:2] for call in calls] == [
        ["sns", "create-topic"], ["sns", "subscribe"], ["sns", "set-topic-attributes"],
        ["events", "put-rule"], ["events", "put-targets"],
    ]  # fmt: skip
    assert calls[1][-1] == "o'neill@example.com"
    policy = json.loads(calls[2][-1])
    assert policy["Statement"][0]["Resource"] == "arn:t"
    (target,) = json.loads(calls[4][-1])
    assert target["Arn"] == "arn:t"
    assert json.loads(calls[3][-1]) == {"detail": {"status": ["critical", "error"]}}
    assert "orders" in calls[3]


def test_a_cms_rule_is_for_one_event_name(capsys):
    """The default makes many names, so one has to be given; a rule each."""
    assert main(["rules", "--service", "cms"]) == 2
    assert "--event-name" in capsys.readouterr().err

    rules = json.loads(
        piece(
            capsys, "sdk", "cms://cn-shanghai?group_id=7301", "--event-name", "shop.pay", "--event-name",
            "shop.stock", "--notify", "oncall", "--period", "5m", "--threshold", "3",
        )
    )  # fmt: skip

    assert [rule["EventName"] for rule in rules] == ["shop.pay", "shop.stock"]
    assert rules[0] == {
        "RegionId": "cn-shanghai", "GroupId": "7301", "RuleId": "eventlog-alarm-shop-pay",
        "RuleName": "eventlog-alarm-shop-pay", "EventName": "shop.pay", "ContactGroups": "oncall",
        "Level": "CRITICAL", "Threshold": "3", "Period": "300", "EmailSubject": "shop.pay: eventlog-alarm",
    }  # fmt: skip
    fixed = json.loads(piece(capsys, "sdk", "cms://cn-hangzhou?event_name=shop-errors"))
    assert [rule["EventName"] for rule in fixed] == ["shop-errors"]


def test_a_guance_monitor_counts_our_events_by_service_and_logger(capsys):
    """The body of checker/add; the query asks for what the handler puts into tags."""
    monitor = json.loads(
        piece(capsys, "json", "guance://cn1?service=shop", "--notify", "altpl_1", "--logger", "shop.")
    )

    script = monitor["jsonScript"]
    (target,) = script["targets"]
    assert monitor["alertPolicyUUIDs"] == ["altpl_1"]
    assert "`emitter` = 'eventlog_handlers'" in target["dql"]
    assert "`service` = 'shop'" in target["dql"]
    assert "match('shop.*')" in target["dql"]
    assert script["checkerOpt"]["rules"][0]["conditions"] == [
        {"alias": target["alias"], "operator": ">=", "operands": ["1"]}
    ]
    assert len(script["title"]) <= 256
    assert main(["rules", "--service", "guance", "--period", "7m"]) == 2


def test_policies_name_the_calls_that_are_made(capsys):
    """What the sender needs and no more."""
    sender = json.loads(piece(capsys, "sender-policy", "cloudwatch://orders?region=eu-west-1"))
    assert sender["Statement"][0]["Action"] == "events:PutEvents"
    assert sender["Statement"][0]["Resource"].endswith(":event-bus/orders")
    ram = json.loads(piece(capsys, "sender-policy", "--service", "cms", "--event-name", "x"))
    assert ram["Statement"][0]["Action"] == ["cms:PutCustomEvent"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["--service", "cms", "guance://cn1"], ["gance://cn1"], ["guance://cn1", "--form", "hcl"]],
)
def test_wrong_arguments_end_with_2(arguments, capsys):
    """With a sentence."""
    assert main(["rules", *arguments]) == 2
    assert capsys.readouterr().err


def test_all_forms_are_printed_with_a_heading_each(capsys):
    """For people."""
    assert main(["rules", "guance://cn1 cloudwatch://default"]) == 0

    out = capsys.readouterr().out
    assert "# Guance: Monitor" in out
    assert "aws_cloudwatch_event_rule" in out
