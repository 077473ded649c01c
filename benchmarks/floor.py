"""The plainest loops that send the same requests with the same client library: what no handler can undercut.

A loop knows one message by heart, taken from what our handler sent last, and changes a number in it. It
encodes, signs and sends; no record, mapping, limits, retries or accounting. Nothing of the package is used.
"""

from __future__ import annotations

import base64
import hmac
import importlib
import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote
from urllib.request import urlopen

Loop = Callable[[int, int], None]
NUMBER = "4711"


def prepare(service: str, url: str, log: Any, flush: Callable[[], None]) -> Loop:
    """The loop of *service*; the message is what the open handler behind *log* sends now."""
    log.warning("order %s of customer %d failed", "A-1001", int(NUMBER))
    flush()
    with urlopen(f"{url}/-/last") as answer:
        body = answer.read()
    loop: Loop = {"cms": _cms, "guance": _guance, "cloudwatch": _cloudwatch}[service](url, body)
    loop(1, 1)
    return loop


def _spread(send: Callable[[range], None], count: int, size: int, threads: int) -> None:
    """Send *count* events, *size* a call, by *threads*."""
    calls = [range(first, min(first + size, count)) for first in range(0, count, size)]

    def work(mine: list[range]) -> None:
        for call in mine:
            send(call)

    if threads == 1:
        work(calls)
        return
    runners = [threading.Thread(target=work, args=(calls[number::threads],)) for number in range(threads)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()


def _session(threads: int = 8) -> Any:
    requests = importlib.import_module("requests")
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=threads))
    session.trust_env = False
    return session


def _cms(url: str, body: bytes) -> Loop:
    event = {
        name.partition(".")[2].partition(".")[2]: value
        for name, value in parse_qsl(body.decode())
        if name.startswith("EventInfo.1.")
    }
    content, rest = event.pop("Content"), sorted(event.items())
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    session = _session()

    def send(numbers: range) -> None:
        form = [
            "AccessKeyId=AKIDEXAMPLE",
            "Action=PutCustomEvent",
            "Format=JSON",
            "SignatureMethod=HMAC-SHA1",
            f"SignatureNonce={uuid.uuid4().hex}",
            "SignatureVersion=1.0",
            f"Timestamp={quote(time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), safe='')}",
            "Version=2019-01-01",
        ]
        for place, number in enumerate(numbers, 1):
            form.append(
                f"EventInfo.{place}.Content={quote(content.replace(NUMBER, str(number)), safe='')}&"
                + "&".join(f"EventInfo.{place}.{name}={quote(value, safe='')}" for name, value in rest)
            )
        form.sort()
        canonical = "&".join(form)
        text = f"POST&%2F&{quote(canonical, safe='')}"
        signature = base64.b64encode(hmac.digest(b"secret&", text.encode(), "sha1")).decode()
        data = f"{canonical}&Signature={quote(signature, safe='')}".encode()
        assert session.post(url, data=data, headers=headers).json()["Code"] == "200"

    return lambda count, threads: _spread(send, count, 50, threads)


def _guance(url: str, body: bytes) -> Loop:
    event = json.loads(body)
    title, message = event["title"], event.get("message", "")
    headers = {"Content-Type": "application/json", "DF-API-KEY": "key"}
    session = _session()

    def send(numbers: range) -> None:
        for number in numbers:
            text = str(number)
            changed = {
                **event,
                "title": title.replace(NUMBER, text),
                "message": message.replace(NUMBER, text),
            }
            data = json.dumps(changed, ensure_ascii=False).encode()
            answer = session.post(f"{url}/api/v1/events/create", data=data, headers=headers)
            assert answer.json()["success"]

    return lambda count, threads: _spread(send, count, 1, threads)


def _cloudwatch(url: str, body: bytes) -> Loop:
    entry = json.loads(body)["Entries"][0]
    entry["Time"] = time.time()
    detail = json.loads(entry["Detail"])
    message = detail["message"]
    boto3 = importlib.import_module("boto3")
    config = importlib.import_module("botocore.config").Config(parameter_validation=False)
    client = boto3.client("events", region_name="us-east-1", endpoint_url=url, config=config)

    def send(numbers: range) -> None:
        entries = [
            {
                **entry,
                "Detail": json.dumps({**detail, "message": message.replace(NUMBER, str(number))}),
            }
            for number in numbers
        ]
        assert client.put_events(Entries=entries)["FailedEntryCount"] == 0

    return lambda count, threads: _spread(send, count, 10, threads)
