"""A log call runs no query: what is evaluated when it is printed is named and left alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import django
import pytest
import sqlalchemy
from django.conf import settings
from django.utils.functional import SimpleLazyObject
from shop import Shop, open_shop
from sqlalchemy import orm

if not settings.configured:
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, USE_TZ=True
    )
    django.setup()

from django.db import connection, models  # after the settings


class Order(models.Model):
    number = models.CharField(max_length=20)

    class Meta:
        app_label = "shop"


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as opened:
        yield opened


@pytest.fixture
def queries() -> Iterator[list[str]]:
    """Each statement that Django is about to run; none of them is run."""
    seen: list[str] = []

    def refuse(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        raise AssertionError(f"a query was run: {sql}")

    with connection.execute_wrapper(refuse):
        yield seen


def test_a_query_set_in_an_extra_is_named_and_not_run(shop: Shop, queries: list[str]) -> None:
    """Nor one in a list, nor a manager."""
    orders = Order.objects.filter(number="A-1")

    shop.log.error("x", extra={"orders": orders, "more": [orders], "manager": Order.objects})
    event = shop.event()

    words = f"<QuerySet of {__name__}.Order, not evaluated>"
    assert event.attributes["orders"] == words
    assert event.attributes["more"] == [words]
    assert event.attributes["manager"] == "shop.Order.objects"
    assert (queries, event.defects) == ([], ())


def test_arguments_that_do_not_fit_are_named_and_not_run(shop: Shop, queries: list[str]) -> None:
    """The application asked for a number; nobody asked for the rows."""
    shop.log.error("%d orders", Order.objects.all())

    assert "not evaluated" in shop.event().message
    assert queries == []


def test_a_lazy_object_is_printed_once_it_is_evaluated(shop: Shop) -> None:
    """Django's ``request.user`` asks the database for the user at its first use."""
    asked: list[str] = []
    user = SimpleLazyObject(lambda: asked.append("query") or "bob")

    shop.log.error("x", extra={"user": user})
    before = shop.event()
    evaluated = str(user)
    shop.log.error("x", extra={"user": user})
    after = shop.event()

    assert before.attributes["user"] == "<SimpleLazyObject, not evaluated>"
    assert after.attributes["user"] == evaluated == "bob"
    assert asked == ["query"]


def test_attributes_that_sqlalchemy_has_not_loaded_stay_so(shop: Shop) -> None:
    """A mapped dataclass is printed by its fields; one that is not loaded would be asked of the database."""

    class Base(orm.MappedAsDataclass, orm.DeclarativeBase):
        pass

    class Item(Base):
        __tablename__ = "items"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        sku: orm.Mapped[str] = orm.mapped_column(deferred=True)

    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(Item(id=1, sku="A-1"))
        session.commit()
        item = session.scalars(sqlalchemy.select(Item)).one()
        session.expire(item, ["sku"])
        statements: list[str] = []
        sqlalchemy.event.listen(
            engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
        )

        shop.log.error("x", extra={"item": item})

    assert shop.event().attributes["item"] == {"id": 1, "sku": "[not loaded]"}
    assert statements == []


def test_a_log_call_that_asks_for_the_rows_gets_them(shop: Shop) -> None:
    """``%s`` prints what it is given, as every handler would."""
    shop.log.log(logging.ERROR, "%s", SimpleLazyObject(lambda: "bob"))

    assert shop.event().message == "bob"
