"""Settings, one by one: what each takes, what is refused and in which words, and that no secret shows."""

from __future__ import annotations

import copy
import os
import pickle
import types
from pathlib import Path
from typing import Any

import pytest
from settings_of import SETTINGS_OF

from eventlog_handlers.errors import EventlogError, SettingsError
from eventlog_handlers.services.dsn import parse_dsn
from eventlog_handlers.services.guance import options as guance_options
from eventlog_handlers.settings import checks, local_console, switches, values
from eventlog_handlers.settings.secret import Secret

KEYS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAItest",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cr3t",
    "DF_API_KEY": "wsak_test",
}


BUS_ARN = "arn:aws:events:us-east-1:123456789012:event-bus/orders"
V2_BUS_ARN = "arn:aws:events:us-east-1:123456789012:event-busv2/orders/abcdefghijklmnopqrstuvwxy"


def boto_client(service: str) -> Any:
    """What tells boto3's clients apart, and the method that one for events has."""
    made = types.SimpleNamespace(meta=types.SimpleNamespace(service_model=None))
    made.meta.service_model = types.SimpleNamespace(service_name=service)
    if service == "events":
        made.put_events = lambda **request: {}
    return made


class Unshowable:
    """Its repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def make(service: str, options: dict[str, Any], environ: dict[str, str] | None = None) -> Any:
    """The service's own settings and the pipeline's."""
    return SETTINGS_OF[service](options, KEYS if environ is None else environ)


def an_object() -> tuple[str, str]:
    """Something a dotted name can stand for."""
    return ("LTAItest", "s3cr3t")


# --- values that are taken ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "option", "given", "part", "field", "expected"),
    [
        ("cms", "region", "eu-central-1", 0, "endpoint", "https://metrics.eu-central-1.aliyuncs.com"),
        ("cms", "endpoint", "https://metrics-vpc.cn-beijing.aliyuncs.com/", 0, "endpoint",
         "https://metrics-vpc.cn-beijing.aliyuncs.com"),
        ("cms", "network", "vpc", 0, "endpoint", "https://metrics-vpc.cn-hangzhou.aliyuncs.com"),
        ("cms", "network", "public", 0, "endpoint", "https://metrics.cn-hangzhou.aliyuncs.com"),
        ("guance", "capacity", "5000", 1, "capacity", 5_000),
        ("guance", "max_age", " 90.5 ", 1, "max_age", 90.5),
        ("guance", "exit_timeout", "2", 1, "exit_timeout", 2.0),
        ("guance", "timeout", "2", 1, "timeout", (2.0, 2.0)),
        ("guance", "requests_per_minute", "60", 1, "window", (60, 61.0)),
        ("guance", "dry_run", "True", 1, "dry_run", True),
        ("guance", "dry_run", "0", 1, "dry_run", False),
        ("guance", "level", "warning", 1, "level", 30),
        ("guance", "level_map", {"warning": "error"}, 1, "level_map", {30: "error"}),
        ("cloudwatch", "region_name", "us-gov-west-1", 0, "region_name", "us-gov-west-1"),
        ("cloudwatch", "region_name", "eu-isoe-west-1", 0, "region_name", "eu-isoe-west-1"),
        ("cms", "region", " cn-beijing ", 0, "region", "cn-beijing"),
        ("cms", "group_id", 7301, 0, "group_id", "7301"),
        ("cms", "group_id", "7301", 0, "group_id", "7301"),
        ("cms", "signature", "v3", 0, "signature", "v3"),
        ("cms", "credentials", "test_settings.an_object", 0, "credentials", an_object),
        ("cms", "requests_per_second", None, 1, "requests_per_second", None),
        ("cms", "batch_size", None, 1, "batch_size", 50),
        ("cms", "batch_size", 7, 1, "batch_size", 7),
        ("guance", "site", "cn6", 0, "endpoint", "https://cn6-openapi.guance.one"),
        ("guance", "endpoint", "https://guance.example:8443/api", 0, "endpoint", "https://guance.example:8443/api"),
        ("guance", "requests_per_minute", 60, 1, "requests_per_second", 1.0),
        ("guance", "requests_per_minute", 60, 1, "window", (60, 61.0)),
        ("guance", "requests_per_minute", None, 1, "window", None),
        ("guance", "requests_per_minute", 0.5, 1, "window", None),
        ("guance", "batch_size", None, 1, "batch_size", 1),
        ("cloudwatch", "resources", ["arn:aws:ec2:x"], 0, "resources", ("arn:aws:ec2:x",)),
        ("cloudwatch", "event_bus_name", "Orders.bus_1-eu", 0, "event_bus_name", "Orders.bus_1-eu"),
        ("cloudwatch", "event_bus_name", "b" * 1600, 0, "event_bus_name", "b" * 1600),
        ("cloudwatch", "event_bus_name", BUS_ARN, 0, "event_bus_name", BUS_ARN),
        ("cloudwatch", "event_bus_name", BUS_ARN.replace(":aws:", ":aws-us-gov:"), 0, "event_bus_name",
         BUS_ARN.replace(":aws:", ":aws-us-gov:")),
        ("cloudwatch", "batch_size", None, 1, "batch_size", 10),
        ("cloudwatch", "max_request_bytes", 1_047_552, 0, "max_request_bytes", 1_047_552),
        ("cloudwatch", "endpoint_url", "http://127.0.0.1:4566", 0, "endpoint_url", "http://127.0.0.1:4566"),
        ("guance", "timeout", 5, 1, "timeout", (3.0, 5.0)),
        ("guance", "timeout", 2, 1, "timeout", (2.0, 2.0)),
        ("guance", "timeout", [1, 4.5], 1, "timeout", (1.0, 4.5)),
        ("guance", "tags", {"team": "shop", "zone": 3, "spot": True}, 1, "tags",
         {"team": "shop", "zone": "3", "spot": "True"}),
        ("guance", "level_map", {"WARNING": "error", "35": "ok", 20: "nodata"}, 1, "level_map",
         {30: "error", 35: "ok", 20: "nodata"}),
        ("guance", "level_map", None, 1, "level_map", {}),
        ("guance", "before_send", "test_settings.an_object", 1, "before_send", an_object),
        ("guance", "proxies", {"https": "http://proxy:3128"}, 0, "proxies", {"https": "http://proxy:3128"}),
        ("guance", "exit_timeout", 0, 1, "exit_timeout", 0.0),
        ("cms", "burst", 2, 1, "burst", 2),
        ("cms", "share", 4, 1, "requests_per_second", 2.5),
        ("cms", "share", 4, 1, "burst", 1),
        ("cms", "requests_per_minute", 30, 1, "window", (30, 61.0)),
        ("cms", "requests_per_minute", None, 1, "requests_per_second", None),
        ("guance", "requests_per_second", 2, 1, "requests_per_second", 2.0),
        ("guance", "requests_per_second", 2, 1, "window", None),
        ("guance", "share", 3, 1, "window", (6, 61.0)),
        ("guance", "share", 40, 1, "window", (1, 122.0)),
        ("guance", "share", 40, 1, "burst", 1),
        ("guance", "share", 40, 1, "requests_per_second", 20 / 60 / 40),
        ("cloudwatch", "requests_per_second", 4, 1, "requests_per_second", 4.0),
        ("cloudwatch", "requests_per_minute", 12, 1, "requests_per_second", 0.2),
        ("cloudwatch", "max_events_per_hour", 100, 1, "max_events_per_hour", 100),
        ("guance", "max_events_per_day", None, 1, "max_events_per_day", None),
    ],
)  # fmt: skip
def test_what_an_option_becomes(service, option, given, part, field, expected):
    """Each option arrives in its proper type where it is used."""
    made = make(service, {option: given})

    assert getattr(made[part], field) == expected


def test_a_share_divides_budgets_too():
    """Of 100 events an hour each of four processes has 25; a share is never nothing."""
    _, pipeline = make("cloudwatch", {"share": 4, "max_events_per_hour": 100, "max_events_per_day": 3})

    assert (pipeline.max_events_per_hour, pipeline.max_events_per_day) == (25, 1)


@pytest.mark.parametrize("service", ["cms", "guance", "cloudwatch"])
def test_options_read_by_key_so_that_dictconfig_can_put_values_in(service):
    """dictConfig's own dicts and lists resolve ``ext://`` only where they are read by key or index."""
    from logging.config import DictConfigurator

    given = DictConfigurator(
        {"tags": {"bytes": "ext://test_settings.KEYS.__class__.__name__"}, "resources": ["ext://os.sep"]}
    ).config
    options = {"tags": given["tags"]}
    if service == "cloudwatch":
        options["resources"] = given["resources"]

    own, pipeline = make(service, options)

    assert pipeline.tags == {"bytes": "dict"}
    if service == "cloudwatch":
        assert own.resources == ("/",)


def test_endpoints_of_all_sites_are_https_and_distinct():
    """The table of sites holds no address twice and none in the clear."""
    endpoints = [make("guance", {"site": site})[0].endpoint for site in guance_options.GUANCE_SITES]

    assert all(endpoint.startswith("https://") for endpoint in endpoints)
    assert len(set(endpoints)) == len(endpoints)


# --- values that are refused -------------------------------------------------------------------------------

LEAK = "Tr0ub4dor"  # stands in every secret below; no message may hold it

REFUSED = [
    # service, options, words of the sentence
    ("cms", {"regoin": "cn-beijing"}, ["no option 'regoin'", "did you mean 'region'?"]),
    ("guance", {"api_kye": LEAK}, ["no option 'api_kye'", "did you mean 'api_key'?"]),
    ("cloudwatch", {"region": "us-east-1"}, ["no option 'region': use region_name"]),
    ("cloudwatch", {"endpoint": "https://x"}, ["no option 'endpoint': use endpoint_url"]),
    ("guance", {"region": "cn-hangzhou"}, ["no option 'region': use site, such as 'cn1'"]),
    ("cms", {"region_name": "cn-hangzhou"}, ["no option 'region_name': use region"]),
    ("cms", {"region": "hangzhou"}, ["region takes a region", "did you mean 'cn-hangzhou'?", "endpoint="]),
    ("cms", {"region": "CN-BEIJING"}, ["did you mean 'cn-beijing'?"]),
    ("cms", {"region": "us-east-9"}, ["region takes a region of Alibaba Cloud", "'us-east-9'"]),
    ("cloudwatch", {"region_name": "us-east-1a"}, ["availability zone of us-east-1"]),
    ("cloudwatch", {"region_name": "useast1"}, ["region_name takes a region of AWS", "endpoint_url"]),
    ("cloudwatch", {"region_name": "US-EAST-1"}, ["region_name takes a region of AWS"]),
    ("cloudwatch", {"region_name": "us-east-¹"}, ["region_name takes a region of AWS"]),
    ("cloudwatch", {"region_name": "-"}, ["region_name takes a region of AWS"]),
    ("guance", {"site": "openapi.guance.com"}, ["no address", "site='cn1'"]),
    ("guance", {"site": "https://us1-openapi.guance.com/"}, ["site='us1'"]),
    ("guance", {"site": "AP1-openapi.truewatch.com"}, ["site='truewatch-ap1'"]),
    ("guance", {"site": "guance.example.com"}, ["site is not known", "endpoint="]),
    ("guance", {"title": "%(levelname)s %(message)s"}, ["title", "{message} for %(message)s"]),
    ("cms", {"zzzzzz": 1}, ["no option 'zzzzzz'"]),
    # credentials
    ("cms", {"access_key_id": LEAK}, ["access_key_secret is missing", "both"]),
    ("cms", {"access_key_secret": LEAK}, ["access_key_id is missing", "both"]),
    ("cms", {"security_token": LEAK}, ["security_token", "access_key_id"]),
    (
        "cms",
        {"access_key_id": LEAK, "access_key_secret": LEAK, "credentials": an_object},
        ["exclude each other"],
    ),
    (
        "cms",
        {"access_key_id": "LTAI", "access_key_secret": f"{LEAK}\n"},
        ["access_key_secret", "copy it anew"],
    ),
    ("cms", {"access_key_id": f"{LEAK} x", "access_key_secret": "y"}, ["access_key_id", "a blank"]),
    ("cms", {"credentials": LEAK}, ["credentials takes", "dotted name"]),
    ("cms", {"credentials": f"LTAI.{LEAK}"}, ["credentials takes", "dotted name"]),
    ("cms", {"credentials": 5}, ["get_credential()"]),
    ("guance", {"api_key": f"{LEAK} " + LEAK}, ["api_key", "a blank"]),
    ("guance", {"api_key": f"{LEAK}\r\n"}, ["api_key", "a line break"]),
    ("guance", {"api_key": f"{LEAK}€"}, ["api_key", "outside ASCII"]),
    ("guance", {"api_key": f"{LEAK}ü"}, ["api_key", "outside ASCII"]),
    ("guance", {"api_key": "   "}, ["only blanks"]),
    ("guance", {"api_key": LEAK.encode()}, ["api_key takes a string"]),
    # where to send
    ("cms", {"endpoint": "metrics.cn-hangzhou.aliyuncs.com"}, ["endpoint", "https://", "add the scheme"]),
    (
        "cms",
        {"endpoint": "http://metrics.cn-hangzhou.aliyuncs.com"},
        ["plain http", "https", "allow_insecure"],
    ),
    ("cms", {"endpoint": "https://metrics.cn-hangzhou.aliyuncs.com/path"}, ["scheme, host and port only"]),
    ("cms", {"endpoint": f"https://key:{LEAK}@host"}, ["user or password"]),
    ("cms", {"endpoint": ""}, ["endpoint takes a string that isn't empty"]),
    ("cms", {"endpoint": "https://host:port"}, ["endpoint is no URL"]),
    ("cms", {"endpoint": "https://host\n"}, ["endpoint", "a line break"]),
    ("cms", {"region": "cn hangzhou"}, ["region", "'cn-hangzhou'"]),
    ("cms", {"region": ""}, ["region", "'cn-hangzhou'"]),
    ("guance", {"endpoint": "ftp://openapi.guance.com"}, ["https://"]),
    ("guance", {"endpoint": "http://127.evil.example"}, ["plain http"]),
    ("guance", {"endpoint": "http://127.0.0.1.evil.example"}, ["plain http"]),
    ("guance", {"endpoint": f"https://openapi.guance.com?key={LEAK}"}, ["scheme, host and port only"]),
    ("guance", {"site": "cn9"}, ["site is not known", "cn1", "endpoint="]),
    ("guance", {"site": f"wsak_{LEAK}"}, ["site is not known"]),
    ("guance", {"site": ["cn1"]}, ["site is not known"]),
    (
        "cloudwatch",
        {"endpoint_url": "http://10.0.0.1:4566"},
        ["endpoint_url is plain http", "allow_insecure"],
    ),
    ("cloudwatch", {"endpoint_url": "localhost:4566"}, ["endpoint_url", "add the scheme"]),
    ("guance", {"proxies": f"http://user:{LEAK}@proxy"}, ["proxies takes a dict"]),
    ("guance", {"proxies": {"https": 3128}}, ["proxies takes URLs"]),
    # numbers
    ("guance", {"capacity": 0}, ["capacity takes a whole number from 1 to 10000000, not 0"]),
    ("guance", {"capacity": "²"}, ["capacity takes a whole number"]),
    ("guance", {"capacity": "9" * 5000}, ["capacity takes a whole number"]),
    ("guance", {"capacity": "1.5"}, ["capacity takes a whole number", "'1.5'"]),
    ("guance", {"max_age": "nan"}, ["max_age takes a number"]),
    ("guance", {"max_age": "soon"}, ["max_age takes a number", "'soon'"]),
    ("guance", {"capacity": True}, ["capacity takes a whole number"]),
    ("guance", {"capacity": "many"}, ["capacity takes a whole number", "'many'"]),
    ("guance", {"capacity": 10**5000}, ["capacity takes a whole number"]),
    ("guance", {"batch_size": 2}, ["batch_size takes 1 and nothing else"]),
    ("cms", {"batch_size": 51}, ["batch_size takes a whole number from 1 to 50, not 51"]),
    ("cloudwatch", {"batch_size": 11}, ["batch_size takes a whole number from 1 to 10, not 11"]),
    ("cloudwatch", {"max_request_bytes": 1_048_576}, ["max_request_bytes", "1047552"]),
    ("guance", {"max_age": -1}, ["max_age takes a number from 1"]),
    ("guance", {"max_age": float("nan")}, ["max_age takes a number"]),
    ("guance", {"flush_interval": float("inf")}, ["flush_interval takes a number"]),
    ("guance", {"exit_timeout": 10**400}, ["exit_timeout takes a number"]),
    ("guance", {"exit_timeout": None}, ["exit_timeout takes a number"]),
    ("guance", {"timeout": [1, 2, 3]}, ["timeout takes seconds, or two numbers"]),
    ("guance", {"timeout": 0}, ["timeout takes a number from 0.01"]),
    ("guance", {"requests_per_minute": 0}, ["requests_per_minute takes a number"]),
    ("cloudwatch", {"requests_per_second": 0}, ["requests_per_second takes a number"]),
    (
        "guance",
        {"requests_per_minute": 20, "requests_per_second": 1},
        ["requests_per_second and requests_per_minute exclude each other"],
    ),
    ("guance", {"burst": 0}, ["burst takes a whole number from 1"]),
    ("cloudwatch", {"burst": 3}, ["burst belongs to a rate limit", "requests_per_second"]),
    ("guance", {"burst": 3, "requests_per_minute": None}, ["burst belongs to a rate limit"]),
    ("guance", {"share": 0}, ["share takes a whole number from 1"]),
    ("cloudwatch", {"share": 2}, ["share divides a rate limit or a budget"]),
    ("cms", {"max_events_per_hour": 0}, ["max_events_per_hour takes a whole number from 1"]),
    ("cms", {"max_events_per_day": 1.5}, ["max_events_per_day takes a whole number"]),
    ("cms", {"budget_reserve": 0.2}, ["budget_reserve belongs to a budget"]),
    (
        "cms",
        {"budget_reserve": 1, "max_events_per_day": 9},
        ["budget_reserve takes a number from 0 to 0.9"],
    ),
    # the rest
    ("cms", {"group_id": "shop"}, ["group_id takes the digits"]),
    ("cms", {"group_id": -1}, ["group_id takes the digits"]),
    ("cms", {"group_id": "7" * 21}, ["group_id takes the digits"]),
    ("cms", {"group_id": 10**5000}, ["group_id takes the digits"]),
    ("cms", {"event_name": "{loger}"}, ["event_name", "{loger} is not a field", "logger"]),
    ("cms", {"event_name": "{logger!r}"}, ["event_name", "not a field"]),
    ("cms", {"event_name": "{logger"}, ["event_name", "no template"]),
    ("cms", {"event_name": None}, ["event_name takes a string"]),
    ("cms", {"signature": "v2"}, ["signature takes 'v1' or 'v3', not 'v2'"]),
    ("cms", {"content_format": "xml"}, ["content_format takes 'text' or 'json'"]),
    ("guance", {"when_full": "drop-lowest"}, ["when_full", "did you mean 'drop_lowest'?"]),
    ("guance", {"title": ""}, ["title takes a string that isn't empty"]),
    ("guance", {"service": 5}, ["service takes a string"]),
    ("guance", {"allow_insecure": "yes"}, ["allow_insecure takes True or False"]),
    ("guance", {"tags": ["team"]}, ["tags takes a dict"]),
    ("guance", {"tags": {"": "x"}}, ["tags takes names"]),
    ("guance", {"tags": {"a": {"b": 1}}}, ["tags takes plain values"]),
    ("guance", {"tags": {"a": None}}, ["tags takes plain values"]),
    ("guance", {"level_map": {"LOUD": "error"}}, ["level_map", "'LOUD'"]),
    ("guance", {"level_map": {"²": "error"}}, ["level_map", "'²'"]),
    ("guance", {"level_map": {"ERROR": "bad"}}, ["level_map['ERROR']", "'critical'"]),
    ("guance", {"level_map": "ERROR"}, ["level_map takes a dict"]),
    ("guance", {"before_send": "no.such.module.hook"}, ["before_send", "'no.such.module.hook'"]),
    ("guance", {"before_send": "test_settings.KEYS"}, ["before_send takes a callable"]),
    ("cloudwatch", {"resources": "arn:aws:ec2:x"}, ["resources takes a list"]),
    ("cloudwatch", {"resources": None}, ["resources takes a list"]),
    ("cloudwatch", {"resources": ["x" * 2049]}, ["resources", "2048"]),
    ("cloudwatch", {"resources": [5]}, ["resources", "strings"]),
    (
        "cloudwatch",
        {"session": types.SimpleNamespace(client=print), "client": boto_client("events")},
        ["session and client exclude each other"],
    ),
    (
        "cloudwatch",
        {"client": boto_client("events"), "region_name": "us-east-1"},
        ["region_name and client exclude each other"],
    ),
    ("cloudwatch", {"client": boto_client("sqs")}, ["one for 'sqs'", "boto3.client('events')"]),
    ("cloudwatch", {"client": boto_client("eventbridgev2")}, ["one for 'eventbridgev2'"]),
    ("cloudwatch", {"client": 5}, ["client takes a boto3 client for 'events'", "int"]),
    ("cloudwatch", {"session": object()}, ["session takes a boto3.Session", "object"]),
    ("cloudwatch", {"event_bus_name": "my bus!"}, ["event_bus_name takes", "'my bus!'"]),
    ("cloudwatch", {"event_bus_name": "b" * 1601}, ["event_bus_name takes"]),
    ("cloudwatch", {"event_bus_name": "a/b"}, ["event_bus_name takes"]),
    ("cloudwatch", {"event_bus_name": BUS_ARN[:-6]}, ["event_bus_name takes"]),
    ("cloudwatch", {"event_bus_name": BUS_ARN.replace("9012", "901")}, ["event_bus_name takes"]),
    ("cloudwatch", {"event_bus_name": BUS_ARN.replace("9012", "901²")}, ["event_bus_name takes"]),
    ("cloudwatch", {"event_bus_name": BUS_ARN.replace("events", "sqs")}, ["event_bus_name takes"]),
    ("cloudwatch", {"event_bus_name": BUS_ARN.replace("us-east-1", "us east")}, ["event_bus_name takes"]),
    ("cloudwatch", {"event_bus_name": V2_BUS_ARN}, ["event-busv2", "classic event bus"]),
    ("cms", {"network": "vpn"}, ["network takes 'public' or 'vpc'", "did you mean 'vpc'?"]),
    (
        "cms",
        {"network": "vpc", "endpoint": "https://metrics.cn-hangzhou.aliyuncs.com"},
        ["exclude each other"],
    ),
    ("cms", {"network": ["vpc"]}, ["network takes 'public' or 'vpc'"]),
    ("guance", {"spool": "~nosuchuser/events"}, ["no home directory for '~nosuchuser'", "whole path"]),
    ("guance", {"spool": 5}, ["spool takes the path of a directory, not 5"]),
    ("guance", {"spool": b"/var/events"}, ["spool takes the path of a directory"]),
    ("guance", {"spool": "/var/\0events"}, ["spool takes the path of a directory"]),
    ("guance", {"spool": ""}, ["spool takes the path of a directory"]),
    ("guance", {"title": Unshowable()}, ["title takes a string", "this Unshowable"]),
    ("guance", {"capacity": Unshowable()}, ["capacity takes a whole number", "this Unshowable"]),
    ("guance", {"when_full": Unshowable()}, ["when_full takes", "this Unshowable"]),
    ("guance", {"redact": Unshowable()}, ["redact takes true", "this Unshowable"]),
    ("guance", {"timeout": [Unshowable()]}, ["timeout takes seconds"]),
    ("guance", {"level_map": {"9" * 5000: "error"}}, ["level_map names the level"]),
    ("guance", {"title": "{" * 99_999}, ["title", "no template"]),
    ("guance", {"x" * 100_000: 1}, ["has no option 'xxx"]),
    ("cloudwatch", {"event_bus_name": ""}, ["event_bus_name takes a string that isn't empty"]),
]


@pytest.mark.parametrize(("service", "options", "words"), REFUSED)
def test_c01_c03_what_is_wrong_is_refused_in_one_sentence_with_the_remedy(service, options, words):
    """A SettingsError on one line names the option and what to do; a secret never stands in it."""
    with pytest.raises(SettingsError) as caught:
        make(service, options)

    sentence = str(caught.value)
    assert "\n" not in sentence
    assert [word for word in words if word not in sentence] == []
    assert LEAK not in sentence
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, EventlogError)


@pytest.mark.parametrize(
    ("service", "environ", "words"),
    [
        ("cms", {}, ["ALIBABA_CLOUD_ACCESS_KEY_ID", "access_key_id"]),
        ("cms", {"ALIBABA_CLOUD_ACCESS_KEY_ID": LEAK}, ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]),
        ("guance", {}, ["DF_API_KEY", "api_key"]),
        ("guance", {"DF_API_KEY": ""}, ["DF_API_KEY", "api_key"]),
        ("guance", {"DF_API_KEY": f"{LEAK}\n"}, ["DF_API_KEY", "a line break"]),
        (
            "cms",
            {**KEYS, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": f"{LEAK}\n"},
            ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        ),
        ("guance", {"EVENTLOG_CONSOLE": "http://console.example:8799"}, ["EVENTLOG_CONSOLE is plain http"]),
        ("cloudwatch", {"EVENTLOG_CONSOLE": "localhost:8799"}, ["EVENTLOG_CONSOLE", "add the scheme"]),
    ],
)
def test_c01_what_the_environment_lacks_or_holds_wrongly_is_refused(service, environ, words):
    """Credentials are looked for at construction, so a lack shows at once, not at the first fault."""
    with pytest.raises(SettingsError) as caught:
        make(service, {}, environ)

    assert [word for word in words if word not in str(caught.value)] == []
    assert LEAK not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "number"),
    [("ERROR", 40), (40, 40), (0, 0), ("NOTSET", 0), ("error", 40), (" Warning ", 30), ("30", 30)],
)
def test_a_level_is_a_name_or_a_number(name, number):
    """As everywhere in logging; in any case, and digits as the environment holds them."""
    assert checks.level(name) == number


@pytest.mark.parametrize(
    "value", ["EROR", None, True, 4.5, ["ERROR"], "", "²", "9" * 5000, 10**30, Unshowable()]
)
def test_what_is_no_level_is_refused(value):
    """With a near name where there is one."""
    with pytest.raises(SettingsError, match="level takes a level's name or number"):
        checks.level(value)


@pytest.mark.parametrize("handler", ["CMSHandler", "GuanceHandler", "CloudWatchEventsHandler"])
def test_a_handler_refuses_a_wrong_level_as_it_refuses_any_option(monkeypatch, handler):
    """Not with the ValueError of logging, which names no remedy."""
    import eventlog_handlers

    monkeypatch.setenv("EVENTLOG_CONSOLE", "1")

    with pytest.raises(SettingsError, match="did you mean 'ERROR'"):
        getattr(eventlog_handlers, handler)(level="EROR")


# --- the spool's directory ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("events", "/srv/shop/events"),
        ("./a/../events/", "/srv/shop/events"),
        (Path("events"), "/srv/shop/events"),
        (Path("/var/events"), "/var/events"),
        ("~/events", "/home/shop/events"),
        ("/var/lib/shop", "/var/lib/shop"),
    ],
)
def test_a_relative_spool_is_that_of_the_moment_of_construction(monkeypatch, given, expected):
    """A later chdir would else make a second directory and orphan the first one's events."""
    monkeypatch.setattr(os, "getcwd", lambda: "/srv/shop")
    monkeypatch.setenv("HOME", "/home/shop")

    _, pipeline = make("guance", {"spool": given})

    assert pipeline.spool == expected
    is_relative = not str(given).startswith(("/", "~"))
    assert (expected in (pipeline.start_notice or "")) is is_relative


def test_a_relative_spool_in_a_working_directory_that_is_gone_is_refused(tmp_path):
    """os.getcwd raises there; the sentence says what to give instead."""
    gone = tmp_path / "gone"
    gone.mkdir()
    before = Path.cwd()
    os.chdir(gone)
    try:
        gone.rmdir()
        with pytest.raises(SettingsError, match="working directory is gone: give the whole path"):
            make("guance", {"spool": "events"})
    finally:
        os.chdir(before)


# --- the stand-in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (None, None), ("", None), ("0", None), ("false", None), ("off", None),
        ("1", local_console.CONSOLE_URL), ("true", local_console.CONSOLE_URL),
        (" 1 ", local_console.CONSOLE_URL),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
    ],
)  # fmt: skip
def test_the_variable_that_points_at_the_stand_in(value, url):
    """1 means the usual address; what switches other variables off switches this one off."""
    assert local_console.console_url({} if value is None else {"EVENTLOG_CONSOLE": value}) == url


def test_with_an_endpoint_of_its_own_any_region_is_taken():
    """Stand-ins of AWS have regions of their own; a new region of CMS is reached by its address."""
    cloudwatch, _ = make("cloudwatch", {"region_name": "local", "endpoint_url": "http://127.0.0.1:4566"})
    cms, _ = make("cms", {"endpoint": "https://metrics.cn-new.aliyuncs.com"})

    assert cloudwatch.region_name == "local"
    assert cms.endpoint == "https://metrics.cn-new.aliyuncs.com"


def test_the_stand_in_never_gets_real_credentials_nor_real_events_another_address():
    """With EVENTLOG_CONSOLE everything goes there, with dummy keys, whatever the options say."""
    environ = {**KEYS, "EVENTLOG_CONSOLE": "1"}

    cms, _ = make("cms", {"access_key_id": "a", "access_key_secret": LEAK, "region": "cn-beijing"}, environ)
    guance, _ = make("guance", {"api_key": LEAK, "site": "us1"}, environ)
    cloudwatch, _ = make("cloudwatch", {"client": boto_client("events")}, environ)

    assert {cms.endpoint, guance.endpoint, cloudwatch.endpoint_url} == {local_console.CONSOLE_URL}
    assert cms.access_key_secret.reveal() == local_console.CONSOLE_ACCESS_KEY_SECRET
    assert guance.api_key.reveal() == local_console.CONSOLE_GUANCE_KEY
    assert cloudwatch.client is None
    assert cloudwatch.access_key_id.reveal() == local_console.CONSOLE_AWS_ACCESS_KEY_ID
    assert cloudwatch.proxies == {}  # or botocore would ask the environment's proxy for this machine


# --- switched off ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["cms", "guance", "cloudwatch"])
def test_where_all_is_switched_off_no_credentials_are_asked_for(tmp_path, service):
    """Other settings are checked as ever, and nothing is kept on disk."""
    off = {"EVENTLOG_DISABLED": "1"}

    _, pipeline = make(service, {"spool": str(tmp_path), "durability": "commit"}, off)

    assert (pipeline.is_disabled, pipeline.needs_credentials, pipeline.spool) == (True, False, None)
    assert pipeline.notice == "EVENTLOG_DISABLED is set: no event of this process is sent"
    with pytest.raises(SettingsError, match="capacity takes"):
        make(service, {"capacity": 0}, off)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("true", True), (" ON ", True), ("0", False), ("", False), ("no", False)],
)
def test_the_variable_that_switches_off(value, expected):
    """The words of EVENTLOG_CONSOLE."""
    assert switches.is_disabled({"EVENTLOG_DISABLED": value}) is expected
    assert switches.is_disabled({}) is False


def test_an_odd_value_of_the_variable_that_switches_off_is_refused():
    """To send and not to send are both wrong guesses."""
    with pytest.raises(SettingsError, match="EVENTLOG_DISABLED takes 1"):
        make("guance", {}, {**KEYS, "EVENTLOG_DISABLED": "maybe"})


@pytest.mark.parametrize("service", ["cms", "guance"])
def test_who_lacks_credentials_is_told_of_every_way_to_do_without(service):
    """A migration or an image build is not the place to ask for a key."""
    with pytest.raises(SettingsError) as caught:
        make(service, {}, {})

    for way in ("EVENTLOG_DISABLED=1", "EVENTLOG = None", "dry_run=True", "EVENTLOG_CONSOLE=1"):
        assert way in str(caught.value)


# --- frozen ------------------------------------------------------------------------------------------------


def test_settings_are_made_by_name_and_then_stay():
    """A misspelt name is refused, what was not given is the usual value, and nothing is set afterwards."""
    made = values.PipelineSettings(batch_size=7)

    assert (made.batch_size, made.capacity, made.tags) == (7, 10_000, {})
    with pytest.raises(TypeError, match="PipelineSettings has no capcity"):
        values.PipelineSettings(batch_size=7, capcity=5)
    with pytest.raises(AttributeError, match="capacity is frozen"):
        made.capacity = 5
    with pytest.raises(TypeError):
        made.tags["team"] = "shop"


# --- DSNs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("cms://cn-hangzhou?group_id=7", [("cms", {"region": "cn-hangzhou", "group_id": 7})]),
        ("guance://", [("guance", {})]),
        ("GUANCE://cn1", [("guance", {"site": "cn1"})]),
        ("guance://cn1?service=2024&env=null", [("guance", {"site": "cn1", "service": "2024", "env": None})]),
        ("guance://cn1?level=WARNING", [("guance", {"site": "cn1", "level": "WARNING"})]),
        (
            "guance://cn1/?title=%5B%7Bservice%7D%5D+x",
            [("guance", {"site": "cn1", "title": "[{service}] x"})],
        ),
        (
            "cloudwatch://default?region=us-east-1&max_age=60.5",
            [("cloudwatch", {"event_bus_name": "default", "region_name": "us-east-1", "max_age": 60.5})],
        ),
        ("cloudwatch://Orders.bus_1", [("cloudwatch", {"event_bus_name": "Orders.bus_1"})]),
        ("guance://cn1?requests_per_minute=null", [("guance", {"site": "cn1", "requests_per_minute": None})]),
        ('guance://cn1?tags={"team":"shop"}', [("guance", {"site": "cn1", "tags": {"team": "shop"}})]),
        ("guance://cn1?timeout=[1,2]", [("guance", {"site": "cn1", "timeout": [1, 2]})]),
        (
            "  guance://cn1 \n cms://cn-beijing ",
            [("guance", {"site": "cn1"}), ("cms", {"region": "cn-beijing"})],
        ),
    ],
)
def test_what_a_dsn_says(dsn, expected):
    """The host is the service's place, the query its options, JSON where it is JSON; blanks separate."""
    assert parse_dsn(dsn) == expected


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("", ["empty", "EVENTLOG_DSN"]),
        ("   ", ["empty"]),
        ("guance", ["begins with cms://", "did you mean 'guance'?"]),
        ("gaunce://cn1", ["did you mean 'guance'?"]),
        (LEAK, ["begins with cms://"]),
        (f"https://{LEAK}@sentry.example/1", ["begins with cms://"]),
        (f"cms://LTAI:{LEAK}@cn-hangzhou", ["neither credentials nor a port", "environment"]),
        (f"cms://LTAI:{LEAK}", ["neither credentials nor a port", "environment"]),
        (f"guance://cn1?api_key={LEAK}", ["api_key can't stand in a DSN", "environment"]),
        (f"cms://cn-hangzhou?access_key_secret={LEAK}", ["access_key_secret can't stand in a DSN"]),
        ("cms://cn-hangzhou?groupid=7", ["no option 'groupid'", "did you mean 'group_id'?"]),
        ("cms://cn-hangzhou?group_id=7&group_id=8", ["gives group_id twice"]),
        ("cms://cn-hangzhou?region=cn-beijing", ["gives region twice"]),
        ("cms://cn-hangzhou/group/7", ["has no path"]),
        ("cms://cn-hangzhou#x", ["has no path"]),
        ("cloudwatch://arn:aws:events:us-east-1:1:event-bus/x", ["event_bus_name"]),
        ("guance://cn1,cms://cn-hangzhou", ["separated by blanks", "guance://cn1 cms://cn-hangzhou"]),
        ("guance://cn1 , cms://cn-hangzhou", ["separated by blanks"]),
        ("guance://cn1;eventbridge://default", ["separated by blanks"]),
        ("guance:/cn1", ["after guance", "two slashes: guance://"]),
        ("guance:cn1", ["two slashes: guance://"]),
        ("eventbridge:default", ["two slashes: eventbridge://"]),
        ("'guance://cn1'", ["leave the quotation marks off"]),
        (f"key:{LEAK}", ["begins with cms://"]),
        ("guance://openapi.guance.com:443", ["neither credentials nor a port"]),
        ("guance://[", ["no URL"]),
        ("[" * 100_000, ["begins with cms://"]),
        ("guance://cn1?" + "[" * 100_000, ["names an option that guance:// does not have"]),
        (f"guance://cn1?{LEAK}=1", ["names an option that guance:// does not have"]),
        (f"guance://cn1?{LEAK}=1&{LEAK}=2", ["names an option that guance:// does not have"]),
        (
            f'cms://cn-hangzhou?proxies={{"https":"http://user:{LEAK}@proxy"}}',
            ["proxies", "can't stand in a DSN", "HTTPS_PROXY"],
        ),
    ],
)
@pytest.mark.usefixtures("no_collection")
def test_a_wrong_dsn_is_refused_in_one_sentence(dsn, words):
    """DSNs end up in process lists: none with a credential is taken, and none is quoted back."""
    with pytest.raises(SettingsError) as caught:
        parse_dsn(dsn)

    sentence = str(caught.value)
    assert "\n" not in sentence
    assert [word for word in words if word not in sentence] == []
    assert LEAK not in sentence


@pytest.mark.parametrize("value", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000])
@pytest.mark.usefixtures("no_collection")
def test_a_value_that_is_no_readable_json_is_text(value):
    """Also where reading it as JSON would end the interpreter's stack."""
    assert parse_dsn(f"guance://cn1?title={value}") == [("guance", {"site": "cn1", "title": value})]


# --- secrets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("show", [repr, str, "{}".format, "%s".__mod__, lambda secret: repr([secret])])
def test_a_secret_does_not_show_itself(show):
    """Whatever prints settings prints no key."""
    assert LEAK not in show(Secret(LEAK))


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
def test_a_secret_is_neither_pickled_nor_copied(take):
    """It goes nowhere it was not sent."""
    with pytest.raises(TypeError) as caught:
        take(Secret(LEAK))

    assert LEAK not in str(caught.value)


def test_secrets_compare_by_value_and_keep_it():
    """Two handlers of one key share a pacer."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a").reveal() == "a"
    assert Secret("a") != "a"


def test_blanks_around_a_key_are_stripped_and_no_repr_of_settings_shows_it():
    """Copied with a blank is the commonest mistake, and harmless."""
    made = make("guance", {"api_key": f"  {LEAK} "})

    assert made[0].api_key.reveal() == LEAK
    assert LEAK not in repr(made)


def test_no_repr_of_settings_shows_the_password_of_a_proxy():
    """The client gets the whole URL, and what prints settings shows host and port only."""
    ways = {
        "https": f"http://user:{LEAK}@proxy:3128",
        "http": f"user:{LEAK}@proxy",
        "all": "http://proxy:3128",
    }

    for service in ("cms", "guance", "cloudwatch"):
        own, _ = make(service, {"proxies": ways})

        assert LEAK not in repr(own)
        assert "http://***@proxy:3128" in repr(own)
        assert own.proxies == ways
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(own.proxies)


class ShowsItsSecret:
    """What a user's own object of credentials may look like."""

    def __repr__(self) -> str:
        return f"Credentials(secret={LEAK})"

    def get_credential(self) -> None:
        """Asked at every call."""

    def client(self) -> None:
        """As a session has it."""


@pytest.mark.parametrize(("service", "option"), [("cms", "credentials"), ("cloudwatch", "session")])
def test_no_repr_of_settings_shows_what_a_user_s_object_shows_of_itself(service, option):
    """Its type is enough."""
    own, _ = make(service, {option: ShowsItsSecret()})

    assert LEAK not in repr(own)
    assert "ShowsItsSecret" in repr(own)
