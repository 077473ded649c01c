"""For type checkers: all services' options. Made by ``docs/make_options.py``, not imported."""

from __future__ import annotations

from typing import Literal, TypeAlias

from eventlog_handlers.services.cloudwatch.typed import CloudWatchEventsHandlerOptions
from eventlog_handlers.services.cms.typed import CMSHandlerOptions
from eventlog_handlers.services.guance.typed import GuanceHandlerOptions
from eventlog_handlers.services.relay.typed import RelayHandlerOptions

CMSDsn: TypeAlias = Literal[
    "cms://", "cms://cn-hangzhou", "cms://cn-shanghai", "cms://cn-beijing", "cms://cn-shenzhen",
    "cms://cn-guangzhou", "cms://cn-qingdao", "cms://cn-zhangjiakou", "cms://cn-huhehaote",
    "cms://cn-wulanchabu", "cms://cn-heyuan", "cms://cn-chengdu", "cms://cn-nanjing", "cms://cn-fuzhou",
    "cms://cn-zhongwei", "cms://cn-hongkong", "cms://cn-wuhan-lr", "cms://cn-zhengzhou-jva",
    "cms://cn-hangzhou-finance", "cms://cn-shanghai-finance-1", "cms://cn-shenzhen-finance-1",
    "cms://cn-beijing-finance-1", "cms://cn-north-2-gov-1", "cms://cn-heyuan-acdr-1",
    "cms://cn-wulanchabu-gic-1", "cms://ap-northeast-1", "cms://ap-northeast-2", "cms://ap-south-1",
    "cms://ap-southeast-1", "cms://ap-southeast-2", "cms://ap-southeast-3", "cms://ap-southeast-5",
    "cms://ap-southeast-6", "cms://ap-southeast-7", "cms://ap-southeast-8", "cms://eu-central-1",
    "cms://eu-west-1", "cms://eu-west-2", "cms://me-central-1", "cms://me-east-1", "cms://na-south-1",
    "cms://us-east-1", "cms://us-southeast-1", "cms://us-west-1"
]  # fmt: skip
GuanceDsn: TypeAlias = Literal[
    "guance://", "guance://cn1", "guance://cn2", "guance://cn3", "guance://cn4", "guance://cn5",
    "guance://cn6", "guance://us1", "guance://eu1", "guance://ap1", "guance://za1", "guance://id1",
    "guance://me1", "guance://truewatch-us1", "guance://truewatch-eu1", "guance://truewatch-ap1",
    "guance://truewatch-za1", "guance://truewatch-id1"
]  # fmt: skip
CloudWatchEventsDsn: TypeAlias = Literal[
    "cloudwatch://", "cloudwatch://default", "eventbridge://", "eventbridge://default"
]  # fmt: skip
RelayDsn: TypeAlias = Literal[
    "relay://", "relay+redis://", "relay+rediss://"
]  # fmt: skip


class AnyHandlerOptions(
    CMSHandlerOptions, GuanceHandlerOptions, CloudWatchEventsHandlerOptions, RelayHandlerOptions, total=False
):
    """What ``configure`` takes where checkers cannot tell the service from the DSN."""
