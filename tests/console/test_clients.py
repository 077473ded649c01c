"""Other people's clients: what they really sent, as ``record_clients.py`` recorded it, is judged rightly."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from eventlog_handlers.console.cloudwatch import CloudWatch
from eventlog_handlers.console.cms import CMS
from eventlog_handlers.console.exchange import Answer, Request

RECORDINGS = sorted((Path(__file__).parents[1] / "support" / "data" / "clients").glob("*.json"))
RIGHT = [path for path in RECORDINGS if "wrong-secret" not in path.stem]
WRONG = [path for path in RECORDINGS if "wrong-secret" in path.stem]


def recorded(path: Path) -> tuple[dict[str, Any], Request]:
    recording = json.loads(path.read_text("utf-8"))
    sent = recording["request"]
    headers = tuple((name, value) for name, value in sent["headers"])
    return recording, Request(
        sent["method"], sent["path"], sent["query"], headers, base64.b64decode(sent["body"])
    )


def answered(request: Request, at: float) -> Answer:
    """What a fresh stand-in says at the moment of the recording."""
    service = CloudWatch() if request.header("x-amz-target") else CMS()
    return service.answer(request, at)


def code_of(answer: Answer) -> str:
    said = json.loads(answer.body)
    return str(said.get("__type") or said.get("Code") or "")


def test_there_are_recordings_of_all_clients() -> None:
    """A folder that got lost would leave the other tests nothing to do."""
    clients = {json.loads(path.read_text("utf-8"))["client"] for path in RECORDINGS}

    assert clients == {
        "aws CLI",
        "@aws-sdk/client-eventbridge",
        "curl --aws-sigv4",
        "aliyun-python-sdk-core",
        "alibabacloud_cms20190101",
    }
    assert len(RIGHT) == len(WRONG) == 8


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_takes_what_they_send(path: Path) -> None:
    """The event arrives with the characters that encodings differ about."""
    recording, request = recorded(path)

    answer = answered(request, recording["received"])

    assert answer.status == 200, answer.body
    (event,) = answer.accepted
    text = json.loads(event.body["Detail"])["message"] if "Detail" in event.body else event.body["Content"]
    assert "no teapots: 100 % ~ * + é 茶" in text


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_refuses_a_wrong_secret(path: Path) -> None:
    """As it was answered when it was recorded."""
    recording, request = recorded(path)

    answer = answered(request, recording["received"])

    assert (answer.status, code_of(answer)) == (recording["status"], recording["code"])
    assert answer.status == 400
    assert answer.accepted == ()


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_refuses_what_was_changed_on_its_way(path: Path) -> None:
    """A signature that fits nothing else is worth something."""
    recording, request = recorded(path)
    body, query = request.body, request.query
    changed = request._replace(body=body.replace(b"shop", b"shed"), query=query.replace("shop", "shed"))
    assert changed != request

    answer = answered(changed, recording["received"])

    assert code_of(answer) in ("InvalidSignatureException", "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    "change", [{"x-amz-content-sha256": "0" * 64}, {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}]
)
def test_refuses_a_content_hash_that_is_not_the_bodys(change: dict[str, str]) -> None:
    """The header is signed as it is sent, the hash is taken of the body."""
    (path,) = [path for path in RIGHT if path.stem == "aws-sdk-js"]
    recording, request = recorded(path)
    headers = tuple((name, change.get(name, value)) for name, value in request.headers)

    answer = answered(request._replace(headers=headers), recording["received"])

    assert code_of(answer) == "InvalidSignatureException"


def test_the_javascript_sdk_signs_the_content_hash() -> None:
    """What the recording is there to show."""
    (path,) = [path for path in RIGHT if path.stem == "aws-sdk-js"]
    _, request = recorded(path)

    assert "x-amz-content-sha256;" in (request.header("authorization") or "")


def test_quotes_the_string_to_sign_for_the_official_sdk() -> None:
    """The SDK takes it from behind the only colon: equal to its own, it blames the secret, and it did so."""
    (path,) = [path for path in WRONG if path.stem == "aliyun-core-query-wrong-secret"]
    recording, request = recorded(path)

    message = json.loads(answered(request, recording["received"]).body)["Message"]

    head, quoted = message.split(":")
    assert head == "Specified signature is not matched with our calculation. server string to sign is"
    assert quoted.startswith("POST&%2F&AccessKeyId%3DLTAIeventlogconsole0%26Action%3DPutCustomEvent%26")
    assert recording["client_said"] == "ServerException InvalidAccessKeySecret"
