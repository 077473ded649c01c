"""Every refusal that a stand-in makes has its rule, and each rule of a document has its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eventlog_handlers import console
from eventlog_handlers.console import why
from eventlog_handlers.console.why import rule_behind

SOURCES = Path(console.__file__).parent


@pytest.mark.parametrize(
    ("service", "code", "message", "words", "page"),
    [
        ("cms", "SignatureNonceUsed", "", "good once", "aliyun.com"),
        ("cms", "SignatureDoesNotMatch", "… server StringToSign is [x]", "V3:", "2593177"),
        ("cms", "SignatureDoesNotMatch", "… server string to sign is:x", "RPC v1", "rpc-mechanism"),
        ("cms", "ParameterInvalid", "EventInfo.1.Time is not valid.", "yyyyMMdd", "customevent"),
        ("cms", "ParameterInvalid", "EventInfo.1.Level is not valid.", "at most once", "customevent"),
        ("cms", "Throttling.User", "", "20 calls a second", "60196"),
        ("guance", "ft.EmuInvalidParameter", "status takes one of x", "status is one of", "create"),
        ("guance", "ft.EmuInvalidParameter", "date is not an integer", "milliseconds", "create"),
        ("guance", "ft.EmuInvalidParameter", "title is required", "required", "create"),
        ("guance", "ft.EmuInvalidParameter", "unknown field 'x'", "No document", ""),
        ("cloudwatch", "MalformedDetail", "Detail is malformed.", "1,000 levels", "PutEventsRequestEntry"),
        ("cloudwatch", "InvalidSignatureException", "Signature expired: x", "5 minutes", "sigv"),
        ("cloudwatch", "InvalidSignatureException", "'host' must be a 'SignedHeader'", "x-amz-*", "sigv"),
        ("cloudwatch", "ValidationException", "Value at 'entries' failed", "1 to 10", "API_PutEvents"),
        ("cloudwatch", "scripted", "", "fault on demand", ""),
    ],
)  # fmt: skip
def test_the_rule_behind_a_refusal(service: str, code: str, message: str, words: str, page: str) -> None:
    """The most particular one comes first."""
    rule = rule_behind(service, code, message)

    assert rule is not None
    assert words in rule.text
    assert page in rule.page
    assert bool(page) == bool(rule.page)


def test_an_unknown_code_has_none() -> None:
    """Such as a test's script makes."""
    assert rule_behind("cms", "MadeUp", "") is None


@pytest.mark.parametrize("service", ["cms", "cloudwatch"])
def test_every_code_of_the_stand_ins_is_in_the_table(service: str) -> None:
    """Read out of their sources: a new refusal comes with its rule."""
    source = "".join(path.read_text("utf-8") for path in SOURCES.glob(f"{service}*.py"))
    raised = r'(?:RefusedError|Refused|EntryError)\(\s*(?:\d{3}, )?"([A-Z]\w*(?:\.\w+)*)"'
    pattern = rf'{raised}|code="([A-Z][\w.]+)"|^\s+"([A-Z]\w+Exception)",'
    codes = {next(filter(None, groups)) for groups in re.findall(pattern, source, re.MULTILINE)}

    assert len(codes) > 6
    assert [code for code in sorted(codes) if rule_behind(service, code, "") is None] == []


def test_pages_are_addresses() -> None:
    """Of the services' own documents."""
    for *_, text, page in why._table():
        assert text.endswith((".", "…"))
        assert not page or re.fullmatch(r"https://[\w./-]+(aliyun|alibabacloud|guance|amazon)[\w./-]+", page)
