"""The Django application: put ``"eventlog_handlers.django"`` into INSTALLED_APPS and set EVENTLOG.

    EVENTLOG = "guance://cn1"
    EVENTLOG = {"dsn": "cms://cn-hangzhou guance://cn1", "level": "WARNING", "service": "shop"}

Its code stands in ``apps``. Nothing of Django is imported here, so that the package can be imported
without it.
"""
