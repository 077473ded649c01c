"""watchtower: CloudWatch Logs through boto3."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from benchmarks.adapters import Adapter, Where


class Watchtower(Adapter):
    """``CloudWatchLogHandler``; group and stream are there already."""

    title = "watchtower"
    needs = ("watchtower", "boto3")

    def make(self, where: Where, capacity: int, **options: Any) -> logging.Handler:
        boto3 = importlib.import_module("boto3")
        client = boto3.client("logs", region_name="us-east-1", endpoint_url=where.url)
        handler: logging.Handler = importlib.import_module("watchtower").CloudWatchLogHandler(
            "shop", "orders", boto3_client=client, create_log_group=False, create_log_stream=False
        )
        return handler


def adapter() -> Adapter:
    return Watchtower()
