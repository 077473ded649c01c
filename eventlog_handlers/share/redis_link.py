"""The connection to Redis or Valkey: the only file that knows redis-py, which is imported on first use.

Its errors are translated here, once, into sentences with a remedy. No text holds a user or a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eventlog_handlers.errors import MissingExtraError
from eventlog_handlers.process import green
from eventlog_handlers.process.fork import fork_gate
from eventlog_handlers.share.contract import UnavailableError
from eventlog_handlers.share.fleet_url import PASSWORD, USERNAME, FleetAddress

if TYPE_CHECKING:
    import redis

TIMEOUT_SECONDS = 1.0
"""Of connecting, and of one answer."""
OLDEST = (6, 2)
_WAIT_MILLISECONDS = 500
_RIGHTS = "+@read +@write +@scripting +@connection +info +time +wait ~evh:*"

_AT_RISK = {"everysec": "up to two seconds", "no": "about half a minute"}
"""By ``appendfsync``, see https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/."""
REMEDY_AT_RISK = "set appendonly yes and appendfsync always in redis.conf"


def require_redis(what: str = "scope='redis://…'") -> None:
    """Raise MissingExtraError where redis-py is not installed, which *what* needs. Imports nothing."""
    from importlib.util import find_spec

    if find_spec("redis") is None:
        raise MissingExtraError(f"{what} needs redis-py: pip install 'eventlog-handlers[redis]'")


class RedisLink:
    """Runs scripts at *address*. Connects at the first one, and looks then whether the server will do.

    *connect_seconds* and *answer_seconds* are the timeouts. Safe for several threads. In a forked child call
    ``after_fork_in_child``.
    """

    def __init__(
        self,
        address: FleetAddress,
        *,
        connect_seconds: float = TIMEOUT_SECONDS,
        answer_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self.address = address
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._new_life()

    def _new_life(self) -> None:
        self._client: redis.Redis | None = None
        self._is_checked = False
        self._lock = green.Lock()
        self._shas: dict[str, str] = {}
        self.replicas_behind = 0
        """How often fewer replicas than asked for had a count in time."""

    def run(
        self, script: str, key: str, arguments: Sequence[Any], *, is_write: bool = False, again: bool = False
    ) -> Any:
        """The result of *script*; raises UnavailableError.

        *is_write*: wait for the replicas that the address asks for. *again*: a lost answer is asked for once
        more; the script must bear that.
        """
        client = self._checked()
        import redis

        try:
            try:
                return self._evaluate(client, script, key, arguments, is_write)
            except (redis.ConnectionError, redis.TimeoutError):
                if not again:
                    raise
                return self._evaluate(client, script, key, arguments, is_write)
        except (redis.RedisError, OSError) as error:
            raise self._translated(error) from None

    def _evaluate(self, client: Any, script: str, key: str, arguments: Sequence[Any], is_write: bool) -> Any:
        from redis.exceptions import NoScriptError

        replicas = self.address.wait_replicas if is_write else 0
        for _ in range(2):
            sha = self._shas.get(script)
            if sha is None:
                sha = self._shas[script] = client.script_load(script)
            try:
                if not replicas:
                    return client.execute_command("EVALSHA", sha, 1, key, *arguments)
                pipeline = client.pipeline(transaction=False)  # one connection: WAIT is about its writes
                pipeline.execute_command("EVALSHA", sha, 1, key, *arguments)
                pipeline.execute_command("WAIT", replicas, _WAIT_MILLISECONDS)
                answer, copied = pipeline.execute()
            except NoScriptError:  # the server was started anew, or flushed its scripts
                self._shas.pop(script, None)
                continue
            self.replicas_behind += copied < replicas
            return answer
        raise UnavailableError(f"{self.address} forgets its scripts at once")

    def command(self, *words: Any) -> Any:
        """One command; raises UnavailableError."""
        client: Any = self._checked()  # redis-py does not annotate its method
        import redis

        try:
            return client.execute_command(*words)
        except (redis.RedisError, OSError) as error:
            raise self._translated(error) from None

    def at_risk(self) -> str:
        """What Redis has answered for and may lose when it is killed or the power fails; "" for nothing.

        As far as it tells: how often it syncs stands in CONFIG, which it may refuse to show. Raises
        UnavailableError.
        """
        client: Any = self._checked()
        import redis

        try:
            if not client.info("persistence").get("aof_enabled"):
                return "all since its last snapshot, if it makes any (appendonly no)"
            policy = str(client.config_get("appendfsync").get("appendfsync"))
        except redis.ResponseError:  # no right to it, or no such command
            return ""
        except (redis.RedisError, OSError) as error:
            raise self._translated(error) from None
        seconds = _AT_RISK.get(policy)
        return "" if seconds is None else f"what it has not written, {seconds} (appendfsync {policy})"

    def _checked(self) -> redis.Redis:
        """The client, connected to a server that will do."""
        with fork_gate.no_fork():  # a child would inherit half a module
            import redis
        with self._lock:
            client = self._client
            if client is None:
                with fork_gate.no_fork():
                    client = self._client = self._made()
            if not self._is_checked:
                try:
                    client.ping()
                    self._check(client.info())
                except (redis.RedisError, OSError) as error:
                    raise self._translated(error) from None
                self._is_checked = True
            return client

    def _made(self) -> redis.Redis:
        """A client, with all the modules loaded that its first command needs."""
        import encodings.idna  # noqa: F401 - what a host's name is looked up with

        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        address = self.address
        tls: dict[str, Any] = {}
        if address.is_tls:
            tls = {
                "ssl": True,
                "ssl_cert_reqs": "required",
                "ssl_check_hostname": True,
                "ssl_ca_certs": address.ca_bundle,
            }
        return redis.Redis(
            host=address.host,
            port=address.port,
            db=address.database,
            username=None if address.username is None else address.username.reveal(),
            password=None if address.password is None else address.password.reveal(),
            socket_timeout=self._answer_seconds,
            socket_connect_timeout=self._connect_seconds,
            retry=Retry(NoBackoff(), 0),  # one retry loop, ours
            client_name="eventlog-handlers",
            protocol=2,
            **tls,
        )

    def _check(self, info: dict[str, Any]) -> None:
        """Refuse a server that would lose counts, or does not know the commands."""
        version = str(info.get("redis_version", "0"))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < OLDEST and "valkey_version" not in info:
            raise self._refused(f"Redis {version} is too old", "use Redis 6.2 or newer, or Valkey")
        if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == 1:
            raise self._refused("it is a cluster", "give a single Redis or Valkey, with replicas if you like")
        if info.get("role") in ("slave", "replica"):
            raise self._refused("it is a replica, which is read-only", "give the address of the primary")
        policy = str(info.get("maxmemory_policy", ""))
        if policy.startswith("allkeys") and info.get("maxmemory"):
            raise self._refused(
                f"it evicts keys (maxmemory-policy {policy}), and with them counts",
                "set maxmemory-policy noeviction, or give a Redis of its own",
            )

    def _refused(self, reason: str, remedy: str, *, may_pass: bool = False) -> UnavailableError:
        return UnavailableError(f"{self.address} can't be used, {reason}", remedy=remedy, may_pass=may_pass)

    def _translated(self, error: Exception) -> UnavailableError:
        """*error* as a sentence with a remedy. The server is looked at again before the next script."""
        import redis

        if isinstance(error, UnavailableError):
            return error
        self._is_checked = False
        text = str(error)
        word = text.split(" ", 1)[0].rstrip(":.")
        if isinstance(error, redis.exceptions.NoPermissionError) or word == "NOPERM":
            return self._refused("its user lacks rights", f"give it {_RIGHTS}")
        is_login = isinstance(error, redis.AuthenticationError) or word in ("NOAUTH", "WRONGPASS")
        if is_login or "without any password" in text:
            given = "refuses user and password" if self.address.password else "wants a password"
            return self._refused(f"it {given}", f"set {PASSWORD}, and {USERNAME} if it has users")
        if isinstance(error, redis.exceptions.ReadOnlyError) or word == "READONLY":
            return self._refused("it is a replica, which is read-only", "give the address of the primary")
        if word in ("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"):
            return self._refused("it is a cluster", "give a single Redis or Valkey")
        if isinstance(error, redis.exceptions.OutOfMemoryError) or word == "OOM":
            return self._refused("it is full", "raise its maxmemory", may_pass=True)
        if "DB index is out of range" in text:
            return self._refused(f"it has no database {self.address.database}", "give another number")
        if isinstance(error, redis.exceptions.InvalidResponse):
            return self._refused("it does not answer as Redis does", "look at host and port")
        if "unknown command" in text:
            return self._refused("it lacks a command", "use Redis 6.2 or newer, or Valkey")
        is_lost = isinstance(error, (redis.ConnectionError, redis.TimeoutError, OSError))
        kind = "does not answer" if is_lost else "answers with an error"
        return UnavailableError(
            f"{self.address} {kind} ({type(error).__name__}: {text[:120]})", is_ambiguous=is_lost
        )

    def after_fork_in_child(self) -> None:
        """Sockets and lock are the parent's."""
        self._new_life()

    def close(self) -> None:
        """Close the connections; the next script opens them again."""
        with self._lock:
            client, self._client, self._is_checked = self._client, None, False
        if client is not None:
            client.close()
