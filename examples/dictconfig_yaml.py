"""The same from a YAML file: every option is a scalar, a list or a mapping. Needs PyYAML.

EVENTLOG_CONSOLE=1 python examples/dictconfig_yaml.py   (beside a running `eventlog-handlers console`)
"""

import logging.config
from pathlib import Path

import yaml

logging.config.dictConfig(
    yaml.safe_load(Path(__file__).with_suffix(".yaml").with_stem("dictconfig").read_text())
)

try:
    {"teapot": 12}["samovar"]
except KeyError:
    logging.getLogger("shop.stock").exception("nothing on the shelf")
