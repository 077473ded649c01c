"""Writes what is said of options wherever it stands, from their rows: ``python docs/make_options.py``.

docs/options.md, the handlers' docstrings, and the TypedDicts that type checkers and editors read. With
``--check`` it changes nothing and exits with 1 where a file is not what it would write.

Why the handlers' docstrings repeat the common options, as source: an editor's hover, pyright and mypy read
the literal docstring and the literal keys of a TypedDict. A docstring put together at run time would show in
``help()`` alone, and a shared base class would show its own. So an option is edited in its row, and nowhere
else.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eventlog_handlers.services.described import default_of, literal, plain
from eventlog_handlers.services.registry import SERVICES, Service
from eventlog_handlers.settings.option import Option
from eventlog_handlers.settings.options import OPTIONS as COMMON_OPTIONS
from eventlog_handlers.text import template

ROOT = Path(__file__).parent.parent
WIDTH = 110
_WHOLE_WORDS: Mapping[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


# --- one option ---------------------------------------------------------------------------------------------


def table(options: Iterable[Option], services: Iterable[Service] = ()) -> str:
    """A table of Markdown."""
    services = tuple(services)
    rows = [f"| `{row.name}` | {default_of(row, services)} | {row.meaning} |" for row in options]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


# --- docs ---------------------------------------------------------------------------------------------------


def options_page() -> str:
    """docs/options.md."""
    services = SERVICES.values()
    parts = [
        "# Options",
        "Made by `python docs/make_options.py` from the rows in `eventlog_handlers/settings/options.py` "
        "and each service's `options.py`. All are keyword arguments of the handlers, keys of a handler in "
        "`dictConfig`, options of a DSN after `?` (secrets, sessions and clients excepted), and arguments of "
        "`configure`. An unknown or a wrong one is refused at construction with a `SettingsError` (a "
        "`ValueError`) that says what to do; `logging.config` shows it as the cause of its own error.",
        "## All handlers",
        table(COMMON_OPTIONS, services),
        "Templates (`event_name`, `origin`, `title`, `source`, `detail_type`) may name "
        f"{', '.join(f'`{{{name}}}`' for name in template.FIELDS)}.",
    ]
    for service in services:
        parts += [f"## {service.handler}", host_line(service), table(service.options())]
    return "\n\n".join(parts) + "\n"


def host_line(service: Service) -> str:
    """What a DSN of *service* looks like."""
    if service.urls:
        forms = (
            f'`{scheme}://…` for `{service.host_option}="{url}://…"`' for scheme, url in service.urls.items()
        )
        return f"In a DSN: {', '.join(forms)}; other options follow a `?`."
    also = "".join(f"; `{alias}://` means the same" for alias in service.aliases)
    short = "".join(f"; `{short}` is short for `{name}`" for short, name in service.short_names.items())
    return f"In a DSN: `{service.scheme}://<{service.host_option}>?<option>=<value>&…`{also}{short}."


# --- code ---------------------------------------------------------------------------------------------------

_HEAD = '''"""For type checkers: {whose} options. Made by ``docs/make_options.py``, not imported."""

from __future__ import annotations
'''


def typed_dict(name: str, base: str, whose: str, options: Iterable[Option]) -> str:
    """The source of a TypedDict with a docstring at each key."""
    lines = [f"class {name}({base}, total=False):", f'    """{whose[0].upper()}{whose[1:]} options."""', ""]
    for option in options:
        lines.append(f"    {option.name}: {option.type}")
        lines += _docstring(f"{option.meaning}. Default: {literal(option.default)}.", "    ")
    return "\n".join(lines)


def _docstring(text: str, indent: str) -> list[str]:
    text = f"{text[0].upper()}{text[1:]}" if text[0] != "`" else text
    one_line = f'{indent}"""{text}"""'
    if len(one_line) <= WIDTH:
        return [one_line]
    wrapped = textwrap.wrap(text, WIDTH - len(indent) - 3, **_WHOLE_WORDS)
    return [f'{indent}"""{wrapped[0]}', *(f"{indent}{line}" for line in wrapped[1:]), f'{indent}"""']


_IMPORTS: Mapping[str, str] = {
    "Callable": "collections.abc", "Mapping": "collections.abc", "Sequence": "collections.abc",
    "PathLike": "os", "Any": "typing", "Literal": "typing", "TypedDict": "typing",
    "Event": "eventlog_handlers.events",
}  # fmt: skip


def _imports(source: str) -> str:
    modules: dict[str, list[str]] = {}
    for name, module in _IMPORTS.items():
        if re.search(rf"\b{name}\b", re.sub(r'""".*?"""', "", source, flags=re.DOTALL)):
            modules.setdefault(module, []).append(name)
    ours = {module for module in modules if module.startswith("eventlog_handlers")}
    blocks = []
    for group in (sorted(modules.keys() - ours), sorted(ours)):
        lines = [f"from {module} import {', '.join(sorted(modules[module]))}" for module in group]
        blocks += ["\n".join(lines)] if lines else []
    return "\n\n".join(blocks)


def common_types() -> str:
    """settings/typed.py."""
    body = typed_dict("CommonOptions", "TypedDict", "every handler's", COMMON_OPTIONS)
    head = _HEAD.format(whose="every handler's")
    return f"{head}\n{_imports(body)}\n\n\n{body}\n"


def service_types(service: Service) -> str:
    """services/<service>/typed.py."""
    whose = f"{service.handler}'s"
    body = typed_dict(
        f"{service.handler}Options", "CommonOptions", f"``{service.handler}``'s own", service.options()
    )
    imported = "\n\n".join(
        filter(None, [_imports(body), "from eventlog_handlers.settings.typed import CommonOptions"])
    )
    return f"{_HEAD.format(whose=whose)}\n{imported}\n\n\n{body}\n"


def all_types() -> str:
    """services/typed.py."""
    services = list(SERVICES.values())
    names = [f"{service.handler}Options" for service in services]
    imports = "\n".join(
        f"from {service.home}.typed import {name}"
        for service, name in sorted(zip(services, names, strict=True))
    )
    dsns = []
    for service in services:
        hosts = ("", *getattr(_module(service), "HOSTS", ()))
        forms = [f'"{scheme}://{host}"' for scheme in (service.scheme, *service.aliases) for host in hosts]
        listed = textwrap.fill(
            ", ".join(forms), WIDTH, initial_indent="    ", subsequent_indent="    ", **_WHOLE_WORDS
        )
        dsns.append(
            f"{service.handler.removesuffix('Handler')}Dsn: TypeAlias = Literal[\n{listed}\n]  # fmt: skip"
        )
    bases = textwrap.fill(
        ", ".join([*names, "total=False"]),
        WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        **_WHOLE_WORDS,
    )
    union = f"class AnyHandlerOptions(\n{bases}\n):"
    doc = '    """What ``configure`` takes where checkers cannot tell the service from the DSN."""'
    head = _HEAD.format(whose="all services'")
    typing = "from typing import Literal, TypeAlias"
    return "\n".join([head, f"{typing}\n", f"{imports}\n", *dsns, "", "", union, doc, ""])


def _module(service: Service) -> Any:
    return importlib.import_module(f"{service.home}.options")


def handler_source(service: Service, source: str) -> str:
    """The handler's module with the options in its class's docstring."""
    lines = ["    Options of its own, then those of every handler (default; meaning):", ""]
    defaults = service.defaults()
    for option in (*service.options(), *COMMON_OPTIONS):
        default = literal(defaults.get(option.name, option.default))
        text = plain(f"{option.name} = {default}: {option.meaning}")
        lines += textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent=" " * 8, **_WHOLE_WORDS)
    made = "\n".join(lines)
    pattern = r"^    Options of its own, .*?(?=\n    \"\"\"\n)"
    found, count = re.subn(pattern, lambda _: made, source, count=1, flags=re.MULTILINE | re.DOTALL)
    if count != 1:
        raise SystemExit(f"the docstring of {service.handler} has no list of options to replace")
    return found


def made() -> dict[Path, str]:
    """What each file should hold."""
    package = ROOT / "eventlog_handlers"
    files = {
        ROOT / "docs" / "options.md": options_page(),
        package / "settings" / "typed.py": common_types(),
        package / "services" / "typed.py": all_types(),
    }
    for service in SERVICES.values():
        home = Path(inspect.getfile(importlib.import_module(service.home))).parent
        files[home / "typed.py"] = service_types(service)
        files[home / "handler.py"] = handler_source(service, (home / "handler.py").read_text("utf-8"))
    return files


def main(arguments: list[str]) -> int:
    """Write, or compare."""
    stale = [path for path, text in made().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what its rows say: run python docs/make_options.py")
        return 1 if stale else 0
    for path, text in made().items():
        if path in stale:
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
