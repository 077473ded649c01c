"""Authorities for certificates, for tests of TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import trustme


def new_authority() -> trustme.CA:
    """One that nobody trusts yet. Skips the test where cryptography, which trustme needs, can't be had.

    For CPython 3.13 without the GIL it has no wheel.
    """
    return pytest.importorskip("trustme").CA()  # type: ignore[no-any-return]
