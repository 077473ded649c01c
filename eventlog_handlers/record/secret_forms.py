"""Secrets known by their form: keys, tokens, certificates, passwords in URLs. Pure.

Each form takes time linear in the text: what may repeat is bounded, or cannot be matched in two ways.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from eventlog_handlers.text.lazy_patterns import lazy

REDACTED = "[redacted]"

_NAME = r"[A-Za-z_]{0,60}(?i:password|passwd|secret|token|key)"


class Form(NamedTuple):
    """The form of a secret."""

    needs: str
    """Without this in the text, in lower case, the secret is not there. Asked first: one look is cheap."""
    probes: tuple[str, ...]
    """Nor without one of these."""
    pattern: re.Pattern[str]
    replacement: str


FORMS = (
    Form(
        "-----begin",
        ("-----begin",),
        # Broken off, it ends where no key goes on: at a quote, a bracket, an ellipsis.
        lazy(
            r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----)(?=[\w+/=\s\\:,.-]{16})"
            r"[\w+/=\s\\:,.]*(?:-(?!-)[\w+/=\s\\:,.]*)*(-----END [A-Z0-9 ]{0,60}-----)?"
        ),
        rf"\1{REDACTED}\2",
    ),
    Form(
        "eyj",
        ("eyj",),
        lazy(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*){1,3}", re.ASCII),
        REDACTED,
    ),
    Form(
        # docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes, looked up
        # 2026-11-20: AKIA access key, ASIA temporary access key, ABIA service bearer token, ACCA credential.
        "a",
        ("akia", "asia", "abia", "acca"),
        lazy(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        REDACTED,
    ),
    Form(
        # An Alibaba Cloud AccessKey id, of a RAM user or from STS.
        "t",
        ("ltai", "sts."),
        lazy(r"(?<![A-Za-z0-9.])(?:LTAI[A-Za-z0-9]{12,}|STS\.[A-Za-z0-9]{16,})"),
        REDACTED,
    ),
    # Tokens whose prefix names the service. GitHub: docs.github.com "About authentication to GitHub"; GitLab:
    # docs.gitlab.com "Token overview"; Slack: docs.slack.dev "Tokens"; Stripe, npm, Hugging Face, Shopify,
    # DigitalOcean: their documentation of API keys. Looked up 2026-11-20.
    Form(
        "_",
        (
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "github_pat_",
            "k_live_",
            "k_test_",
            "whsec_",
            "npm_",
            "hf_",
            "shpat_",
            "shpss_",
            "shpca_",
            "shppa_",
            "dop_v1_",
        ),
        lazy(
            r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{10,}|github_pat_\w{10,}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}"
            r"|whsec_[\w+/=]{10,}|npm_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|shp(?:at|ss|ca|pa)_[A-Za-z0-9]{20,}"
            r"|dop_v1_[A-Za-z0-9]{20,})",
            re.ASCII,
        ),
        REDACTED,
    ),
    Form(
        "-",
        (
            "xox",
            "xapp-",
            "sk-",
            "glpat-",
            "gldt-",
            "glrt-",
            "glcbt-",
            "glptt-",
            "glsoat-",
            "gocspx-",
            "pypi-ag",
        ),
        # OpenAI's and Anthropic's have a digit among their first forty characters, a slug seldom has.
        lazy(
            r"(?<![\w-])(?:xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
            r"|sk-(?=[A-Za-z_-]{0,40}[0-9])[\w-]{16,}|gl(?:pat|dt|rt|cbt|ptt|soat)-[\w.-]{10,}"
            r"|GOCSPX-[\w-]{16,}|pypi-Ag[\w-]{20,})",
            re.ASCII,
        ),
        REDACTED,
    ),
    Form(
        # Google's API keys and access tokens, SendGrid's keys.
        "",
        ("aiza", "ya29.", "sg."),
        lazy(
            r"(?<![\w-])(?:AIza[\w-]{20,}|ya29\.[\w.-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,})",
            re.ASCII,
        ),
        REDACTED,
    ),
    Form(
        "b",
        ("bearer", "basic"),
        # Not "basic authentication": what follows has a digit, an inner capital or a padding. Nor a flag, nor
        # a name with its value, `basic password='…'` or `Bearer dbPassword: …`: without the name nothing
        # would tell what the value is. A padding is no such sign.
        lazy(
            r"\b([Bb]earer|BEARER|[Bb]asic|BASIC)([ \t]{1,3})"
            rf"(?!--|(?:[\w.-]{{1,200}}=|{_NAME}[ \t]{{0,3}}=[ \t]{{0,3}})"
            rf"""\\?["'][^\s"',;:&)}}\]\\]"""
            rf"""|{_NAME}(?:["']?[ \t]{{0,3}}:[ \t]{{0,3}}\S|=[^\s=&,;:)}}\]"'\\]))"""
            r"(?=[a-zA-Z._~+/-]{0,200}(?:[0-9=]|(?<=[a-z])[A-Z]))[\w.~+/=-]{6,}"
        ),
        rf"\1\2{REDACTED}",
    ),
    Form(
        "://",
        ("://",),
        # Up to the last @: a password may hold one unescaped. A port is no password.
        lazy(r"""(://[^\s/:@"'<>]{0,100}:)(?!\d{1,5}(?:[/?#"'\s]|$)|\[redacted\]@)[^\s"'<>]{1,200}@"""),
        rf"\1{REDACTED}@",
    ),
    Form(
        # Such an address is a key: knowing it is enough to post. DingTalk's is known by its access_token.
        "/",
        ("hooks.slack.com/", "/webhook", "/bot/v2/hook/", "api.telegram.org/bot"),
        lazy(
            r"(hooks\.slack\.com/[a-z]{1,20}/|discord(?:app)?\.com/api/webhooks/|webhook\.office\.com/webhookb2/"
            r"|(?:feishu\.cn|larksuite\.com)/open-apis/bot/v2/hook/|qyapi\.weixin\.qq\.com/cgi-bin/webhook/\w{1,20}\?key="
            r"|api\.telegram\.org/bot)[\w/@:-]{8,}"
        ),
        rf"\1{REDACTED}",
    ),
    Form(
        "signature=",
        ("signature=",),
        # A signed URL is a key to its resource.
        lazy(r"([?&](?:X-Amz-)?Signature=)(?!\[redacted\])[^&\s\"'<>]+"),
        rf"\1{REDACTED}",
    ),
)


def without_forms(text: str) -> str:
    """*text* with REDACTED for each part that has the form of a secret."""
    lower = text.lower()
    for needs, probes, pattern, replacement in FORMS:
        if needs in lower:
            for probe in probes:
                if probe in lower:
                    text = pattern.sub(replacement, text)
                    break
    return text
