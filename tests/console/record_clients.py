"""Record what other people's clients send to the stand-in, as files in ``tests/support/data/clients``.

    python tests/console/record_clients.py --python SDK_PYTHON --node NODE_MODULES

SDK_PYTHON is an interpreter with ``awscli aliyun-python-sdk-cms alibabacloud_cms20190101`` installed, and
NODE_MODULES a folder where ``npm install @aws-sdk/client-eventbridge`` was run. Everything goes over loopback
with the stand-in's own dummy keys. A recording holds the request byte for byte, but for the
kernel's version in user agents, none of which is signed; and what it was answered.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from eventlog_handlers.console.exchange import Answer, Request
from eventlog_handlers.console.server import LocalConsole
from eventlog_handlers.settings import local_console as settings

RECORDINGS = Path(__file__).parents[1] / "support" / "data" / "clients"
ENTRY = {
    "Source": "shop",
    "DetailType": "Log Record",
    "Detail": json.dumps({"message": "no teapots: 100 % ~ * + é 茶", "status": "error"}, ensure_ascii=False),
    "Time": "2026-11-20T11:37:44Z",
}
CONTENT = "ERROR no teapots: 100 % ~ * + é 茶\nstatus: error"

AWS_CLI = """
import json, sys
from awscli.clidriver import create_clidriver
arguments = ["events", "put-events", "--endpoint-url", sys.argv[1], "--entries", sys.argv[2]]
sys.exit(create_clidriver().main(arguments))
"""
JAVASCRIPT = """
const { EventBridgeClient, PutEventsCommand } = require("@aws-sdk/client-eventbridge");
const client = new EventBridgeClient({ endpoint: process.argv[1], region: "eu-central-1", maxAttempts: 1 });
const entry = JSON.parse(process.argv[2]);
entry.Time = new Date(entry.Time);
client.send(new PutEventsCommand({ Entries: [entry] })).then(
  (answer) => console.log(JSON.stringify(answer.Entries)),
  (error) => console.log(error.name));
"""
ALIYUN_CORE = """
import sys
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from aliyunsdkcms.request.v20190101.PutCustomEventRequest import PutCustomEventRequest
key, secret, port, content, where = sys.argv[1:]
client = AcsClient(key, secret, "cn-hangzhou")
client._port = int(port)
if where == "body":
    request = CommonRequest(domain="127.0.0.1", version="2019-01-01", action_name="PutCustomEvent")
    for name, value in {"EventName": "shop", "Content": content, "GroupId": "7"}.items():
        request.add_body_params(f"EventInfo.1.{name}", value)
else:
    request = PutCustomEventRequest()
    request.set_endpoint("127.0.0.1")
    request.set_EventInfos([{"EventName": "shop", "Content": content, "GroupId": "7"}])
request.set_protocol_type("http")
request.set_method("POST")
try:
    print(client.do_action_with_exception(request).decode())
except Exception as error:
    print(type(error).__name__, getattr(error, "error_code", error))
"""
ALIBABA_CMS = """
import sys
from alibabacloud_cms20190101.client import Client
from alibabacloud_cms20190101 import models
from alibabacloud_tea_openapi.models import Config
key, secret, port, content, algorithm = sys.argv[1:]
config = Config(access_key_id=key, access_key_secret=secret, endpoint=f"127.0.0.1:{port}", protocol="http")
if algorithm == "v2":
    config.signature_algorithm = "v2"
event = models.PutCustomEventRequestEventInfo(event_name="shop", content=content, group_id="7")
try:
    print(Client(config).put_custom_event(models.PutCustomEventRequest(event_info=[event])).body.to_map())
except Exception as error:
    print(type(error).__name__, getattr(error, "code", error))
"""


Row = tuple[str, str, str, list[str], bool]
"""Name of the recording, client, version, command, and whether its secret is wrong."""


class Recorder(LocalConsole):
    """A console that keeps each call with its answer."""

    calls: list[tuple[Request, Answer]]

    def _judged(self, name: str, request: Request, step: Any) -> Answer:
        answer = super()._judged(name, request, step)
        self.calls.append((request, answer))
        return answer


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--python", required=True)
    arguments.add_argument("--node", required=True)
    chosen = arguments.parse_args()
    RECORDINGS.mkdir(parents=True, exist_ok=True)
    with Recorder() as console:
        for name, client, version, command, wrong in clients(chosen, console):
            console.restore()
            console.calls = []
            said = run(command, wrong=wrong, node=chosen.node)
            for request, answer in console.calls:
                save(name, client, version, request, answer, said, wrong=wrong)


def clients(chosen: argparse.Namespace, console: LocalConsole) -> list[Row]:
    """What to run."""
    python, port = chosen.python, console.url.rpartition(":")[2]
    entry = json.dumps(ENTRY, ensure_ascii=False)
    secret, bad = settings.CONSOLE_ACCESS_KEY_SECRET, "wrong-secret"
    aws = [python, "-c", AWS_CLI, console.url, json.dumps([ENTRY])]
    javascript = ["node", "--no-warnings", "-e", JAVASCRIPT, console.url, entry]
    body = json.dumps({"Entries": [ENTRY | {"Time": 1795175864}]}, ensure_ascii=False)
    pair = f"{settings.CONSOLE_AWS_ACCESS_KEY_ID}:{{secret}}"
    hashed = f"x-amz-content-sha256: {hashlib.sha256(body.encode()).hexdigest()}"
    curl = ["curl", "-sS", "--aws-sigv4", "aws:amz:us-east-1:events", "--user", pair, "--data-binary", body]
    curl += ["-H", "Content-Type: application/x-amz-json-1.1", "-H", "X-Amz-Target: AWSEvents.PutEvents"]
    core = [python, "-c", ALIYUN_CORE, settings.CONSOLE_ACCESS_KEY_ID]
    cms = [python, "-c", ALIBABA_CMS, settings.CONSOLE_ACCESS_KEY_ID]
    manifest = Path(chosen.node) / "@aws-sdk/client-eventbridge/package.json"
    curl_version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    of_curl = ("curl --aws-sigv4", curl_version.split()[1])
    of_core = ("aliyun-python-sdk-core", version_of(python, "aliyun-python-sdk-core"))
    of_cms = ("alibabacloud_cms20190101", version_of(python, "alibabacloud-cms20190101"))
    of_js = ("@aws-sdk/client-eventbridge", json.loads(manifest.read_text("utf-8"))["version"])
    rows: list[Row] = []
    for wrong in (False, True):
        used, end = (bad, "-wrong-secret") if wrong else (secret, "")
        signed = [part.replace("{secret}", used) for part in curl]
        call = [used, port, CONTENT]
        rows += [
            (f"aws-cli{end}", "aws CLI", version_of(python, "awscli"), aws, wrong),
            (f"aws-sdk-js{end}", *of_js, javascript, wrong),
            (f"curl{end}", *of_curl, [*signed, console.url], wrong),
            (f"curl-content-sha256{end}", *of_curl, [*signed, "-H", hashed, console.url], wrong),
            (f"aliyun-core-query{end}", *of_core, [*core, *call, "query"], wrong),
            (f"aliyun-core-body{end}", *of_core, [*core, *call, "body"], wrong),
            (f"alibabacloud-cms-v3{end}", *of_cms, [*cms, *call, "v3"], wrong),
            (f"alibabacloud-cms-v1{end}", *of_cms, [*cms, *call, "v2"], wrong),
        ]
    return rows


def version_of(python: str, distribution: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def run(command: list[str], *, wrong: bool, node: str) -> str:
    """What the client printed."""
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("proxy")}
    environ |= {
        "AWS_ACCESS_KEY_ID": settings.CONSOLE_AWS_ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": "wrong-secret" if wrong else settings.CONSOLE_AWS_SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "NODE_PATH": node,
    }
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip()


def save(
    name: str, client: str, version: str, request: Request, answer: Answer, said: str, *, wrong: bool
) -> None:
    recording = {
        "client": client,
        "version": version,
        "recorded": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "received": round(time.time(), 3),
        "wrong_secret": wrong,
        "request": {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "headers": [(key, value.replace(platform.release(), "0")) for key, value in request.headers],
            "body": base64.b64encode(request.body).decode(),
        },
        "status": answer.status,
        "code": answer.refused[0].code if answer.refused else "",
        "client_said": said.splitlines()[-1][:200] if said else "",
    }
    path = RECORDINGS / f"{name}.json"
    path.write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{name}: {answer.status} {recording['code']} | {recording['client_said']}", file=sys.stderr)


if __name__ == "__main__":
    main()
