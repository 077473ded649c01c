"""The mapped file: where it stands, whose it is, and what becomes of a damaged, replaced or full one."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from around import Said, surroundings

from eventlog_handlers.process import mounts
from eventlog_handlers.process.clock import monotonic
from eventlog_handlers.share import layout, mapped_file, runtime_directory
from eventlog_handlers.share.allowance import Allowances
from eventlog_handlers.share.contract import (
    COUNTERS,
    BusyError,
    Limits,
    Occurrence,
    UnavailableError,
    Verdict,
)
from eventlog_handlers.share.coordinator import StoreCoordinator
from eventlog_handlers.share.host import MappedStore
from eventlog_handlers.share.scopes import Agreement, account, host_scope

NAME = "account-v1.share"
LIMITS = Limits(1.0, 3, (3, 600.0))
PROBLEM = b"p" * 16


def coordinator(runtime: Path, clock=monotonic, limits=LIMITS, **options) -> StoreCoordinator:
    store = MappedStore(
        NAME, {"EVENTLOG_RUNTIME_DIR": str(runtime)}, clock=clock, wall_clock=lambda: 1_700_000_000.0
    )
    return StoreCoordinator(
        store, limits=limits, clock=clock, wall_clock=lambda: 1_700_000_000.0 + clock(), **options
    )


def path_in(runtime: Path) -> Path:
    return runtime / "eventlog-handlers" / NAME


def places(member: StoreCoordinator) -> int:
    """How many places are free now."""
    count = 0
    while member.take().is_taken:
        count += 1
    return count


def test_file_and_directory_are_private_and_whole(runtime: Path) -> None:
    """0600 in 0700, every page allocated, no draft left behind."""
    coordinator(runtime).take()

    path = path_in(runtime)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert status.st_size == layout.AT.size
    assert status.st_blocks * 512 >= layout.AT.size
    assert [entry.name for entry in path.parent.iterdir()] == [NAME]


def test_the_umask_does_not_open_it(runtime: Path) -> None:
    """Nobody else reads it, whatever the process's umask is."""
    before = os.umask(0)
    try:
        member = coordinator(runtime)
        member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
        member.leave_sample(PROBLEM, b"{}")
    finally:
        os.umask(before)

    found = list((runtime / "eventlog-handlers").rglob("*"))
    assert len(found) == 3
    assert [path.name for path in found if path.stat().st_mode & 0o077] == []


def test_members_share_what_is_in_it(runtime: Path) -> None:
    """Three places for both together."""
    assert places(coordinator(runtime)) + places(coordinator(runtime)) == 3


def test_a_symbolic_link_is_refused(runtime: Path, tmp_path: Path) -> None:
    """Neither the file nor the directory may lead elsewhere."""
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    (runtime / "eventlog-handlers").symlink_to(target)

    with pytest.raises(UnavailableError, match=r"symbolic link.*EVENTLOG_RUNTIME_DIR"):
        coordinator(runtime).take()

    (runtime / "eventlog-handlers").unlink()
    (runtime / "eventlog-handlers").mkdir(mode=0o700)
    path_in(runtime).symlink_to(target / "file")
    with pytest.raises(UnavailableError, match="symbolic link"):
        coordinator(runtime).take()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_or_directory_is_refused(runtime: Path) -> None:
    """What somebody else made may hold anything."""
    coordinator(runtime).take()
    os.chown(path_in(runtime), 12345, -1)
    with pytest.raises(UnavailableError, match="not a private file of user"):
        coordinator(runtime).take()

    os.chown(path_in(runtime).parent, 12345, -1)
    with pytest.raises(UnavailableError, match="belongs to user 12345"):
        coordinator(runtime).take()


def test_a_file_that_others_may_read_is_refused(runtime: Path) -> None:
    """It was not made by us."""
    coordinator(runtime).take()
    path_in(runtime).chmod(0o640)

    with pytest.raises(UnavailableError, match=r"not a private file.*remove it"):
        coordinator(runtime).take()


def test_a_directory_that_others_may_write_in_is_refused(runtime: Path) -> None:
    """They could put another file in its place."""
    path_in(runtime).parent.mkdir()
    path_in(runtime).parent.chmod(0o777)

    with pytest.raises(UnavailableError, match="others may write"):
        coordinator(runtime).take()


def test_f03_an_unusable_runtime_directory_is_named_with_the_remedy(tmp_path: Path) -> None:
    """The sentence says which variable to set."""
    plain = tmp_path / "file"
    plain.write_text("")

    with pytest.raises(UnavailableError, match="EVENTLOG_RUNTIME_DIR"):
        coordinator(plain).take()


@pytest.mark.parametrize("damage", ["truncated", "emptied", "overwritten", "longer"])
def test_f03_a_damaged_file_is_put_aside_and_made_anew(runtime: Path, damage: str) -> None:
    """Nobody reads past its end, and no value of it is believed."""
    member = coordinator(runtime)
    member.take()
    path = path_in(runtime)
    if damage == "truncated":
        os.truncate(path, 4096)
    elif damage == "emptied":
        os.truncate(path, 0)
    elif damage == "longer":
        os.truncate(path, layout.AT.size + 1)
        member = coordinator(runtime)
    else:
        path.write_bytes(b"x" * layout.AT.size)
        member = coordinator(runtime)

    assert places(member) == 3
    assert places(coordinator(runtime)) == 0
    assert path.with_name(f"{NAME}.bad").exists()


@pytest.mark.parametrize("how", ["removed", "replaced", "directory removed"])
def test_f03_a_file_that_is_removed_is_noticed_at_the_next_place(runtime: Path, how: str) -> None:
    """Members that had it open and members that come later share again at once."""
    first = coordinator(runtime)
    first.take()
    path = path_in(runtime)
    if how == "directory removed":
        path.unlink()
        path.parent.rmdir()
    elif how == "removed":
        path.unlink()
    else:
        other = path.with_name("other")
        other.write_bytes(path.read_bytes())
        other.chmod(0o600)
        other.replace(path)
    second = coordinator(runtime)

    taken = places(second)
    assert taken in (2, 3)
    assert places(first) == 0


def test_f03_a_full_file_system_is_an_error_and_no_bus_error(runtime: Path, monkeypatch) -> None:
    """All room is asked for when the file is made; where there is none, no file is left behind."""

    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)

    with pytest.raises(UnavailableError, match=r"No space left.*free 1 MB"):
        coordinator(runtime).take()
    assert list((runtime / "eventlog-handlers").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir() or os.geteuid() != 0, reason="needs a small file system")
def test_a_real_full_file_system(runtime: Path) -> None:
    """The same on a file system of 256 KB."""
    import subprocess

    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(runtime)])
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(UnavailableError, match="No space left"):
            coordinator(runtime).take()
    finally:
        subprocess.run(["umount", str(runtime)], check=True)


def test_a_start_of_the_machine_keeps_counts_and_spent_budgets(runtime: Path, monkeypatch) -> None:
    """The monotonic clock begins anew: moments are taken back to now, numbers stay."""
    former = {"clock": lambda: 1e6, "allowances": Allowances(((2, "hour"),), 0.0), "window_seconds": 60.0}
    before = coordinator(runtime, **former)
    assert places(before) == 3
    before.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
    before.fold([Occurrence(PROBLEM, 5, 0.0, 0.0)])
    assert before.charge([False]) == [None]
    before.throttled(1e6)
    monkeypatch.setattr(runtime_directory, "boot_id", lambda: b"n" * 16)
    now = [50.0]

    after = coordinator(runtime, **{**former, "clock": lambda: now[0]})

    assert places(after) == 0
    assert 0 < after.take().wait <= 610
    assert after.sums().open == 5
    assert after.charge([False, False])[1] is not None
    now[0] += 61.0
    assert [telling.count for telling in after.due()] == [5]
    now[0] += 600.0
    assert places(after) >= 1


def test_another_schema_has_another_name() -> None:
    """A program of another version never reads what it does not know."""
    assert layout.SCHEMA == 1
    assert layout.file_id(layout.header(b"i" * 16)[:8] + b"\2" + layout.header(b"i" * 16)[9:]) is None


def test_a_full_table_sends_and_never_forgets_a_count(runtime: Path) -> None:
    """Counted problems stay; a new one is sent uncounted until an old one has nothing to tell."""
    now = [1_000.0]
    member = coordinator(runtime, clock=lambda: now[0], window_seconds=10.0)
    problems = [b"\0\0\0\0" + number.to_bytes(12, "big") for number in range(layout.PROBES + 1)]
    for problem in problems[:-1]:
        assert member.fold([Occurrence(problem, 1, 0.0, 0.0)]) == [Verdict.OPENED]
        assert member.fold([Occurrence(problem, 2, 0.0, 0.0)]) == [Verdict.COUNTED]
    member.leave_sample(problems[0], b"{}")

    assert member.fold([Occurrence(problems[-1], 1, 0.0, 0.0)] * 2) == [Verdict.SEND] * 2
    assert member.sums().open == 2 * layout.PROBES
    now[0] += 11
    tellings = member.due()
    assert member.fold([Occurrence(problems[-1], 1, 0.0, 0.0)]) == [Verdict.SEND]
    member.told([telling for telling in tellings if telling.problem == problems[0]])
    now[0] += 100
    assert member.fold([Occurrence(problems[-1], 1, 0.0, 0.0)]) == [Verdict.OPENED]
    assert member.sample(problems[0]) is None
    assert member.sums().telling == 2 * (layout.PROBES - 1)


def test_counters_of_members_add_up_also_when_parts_are_given_away(runtime: Path, monkeypatch) -> None:
    """What a member published is listed with it, or added up once it has left the list; never twice."""
    monkeypatch.setattr(layout, "MEMBERS", 2)
    now = [1_000.0]
    members = [coordinator(runtime, clock=lambda: now[0]) for _ in range(2)]
    for number, member in enumerate(members):
        member.publish({"accepted": 10 + number, "delivered": 7})
    now[0] += 31.0
    members[1].publish({"accepted": 12})

    third = coordinator(runtime, clock=lambda: now[0])
    third.publish({"accepted": 100})
    now[0] += 31.0
    third.publish({"accepted": 100})
    members[0].publish({"accepted": 15})  # it had only been stopped

    shown = third.members()
    departed = third.sums().departed
    assert [member.counters["accepted"] for member in shown] == [100, 5]
    assert departed["accepted"] == 10 + 12
    assert departed["delivered"] == 7
    assert set(departed) == set(COUNTERS)


def test_more_members_than_parts_still_share(runtime: Path, monkeypatch) -> None:
    """A member without a part is not listed; everything else it does."""
    monkeypatch.setattr(layout, "MEMBERS", 1)
    first, second = coordinator(runtime), coordinator(runtime)
    first.publish({"accepted": 1})
    second.publish({"accepted": 1})

    assert len(second.members()) == 1
    assert places(first) + places(second) == 3


def test_a_held_lock_is_busy_and_nobody_waits_long(runtime: Path) -> None:
    """LOCK_NB: the answer comes within milliseconds, and counts stay readable."""
    first, second = coordinator(runtime), coordinator(runtime)
    second.take()
    with first.store.locked(1.0):
        started = monotonic()
        with pytest.raises(BusyError):
            second.take()
        with pytest.raises(BusyError):
            second.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
        assert second.sums().open == 0
        assert monotonic() - started < 5

    assert second.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)]) == [Verdict.OPENED]


def test_threads_of_one_process_exclude_each_other(runtime: Path) -> None:
    """flock knows processes only; eight threads count without losing one."""
    member = coordinator(runtime, limits=None)
    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])

    def count() -> None:
        for _ in range(200):
            while True:
                try:
                    member.fold([Occurrence(PROBLEM, 1, 0.0, 0.0)])
                except BusyError:
                    continue
                break

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert member.sums().open == 1600


def test_a_forked_child_is_another_member_and_frees_the_parents_lock(runtime: Path) -> None:
    """The child opens the file anew; a parent that dies does not leave its lock with the child."""
    parent = coordinator(runtime)
    parent.take()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            parent.after_fork_in_child()
            with parent.store.locked(1.0):
                os.write(writing, parent.store.member)
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reading, 8) not in (b"", parent.store.member)
    assert len(parent.members()) == 2
    assert parent.take().is_taken


def test_a_store_that_is_dropped_closes_its_descriptor(runtime: Path) -> None:
    """No descriptor is left behind by a handler that is collected, nor by one that is closed."""
    coordinator(runtime).take()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for close in (True, False):
        member = coordinator(runtime)
        member.take()
        if close:
            member.close()
        del member

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_closing_says_that_the_member_has_left(runtime: Path) -> None:
    """Others divide by those that are here; the next question brings it back."""
    first, second = coordinator(runtime), coordinator(runtime)
    first.take()
    second.take()
    first.close()

    assert [member.is_here for member in second.members()] == [False, True]
    first.take()
    assert sum(member.is_here for member in second.members()) == 2


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "cifs", "9p"])
def test_f03_a_file_system_of_several_machines_is_refused(runtime: Path, monkeypatch, kind: str) -> None:
    """A mapping there is one machine's own."""
    monkeypatch.setattr(mounts, "file_system", lambda path: kind)

    with pytest.raises(UnavailableError, match=kind):
        coordinator(runtime).take()


def test_a_system_without_flock_has_process_scope_said_once(runtime: Path, monkeypatch) -> None:
    """Windows: each process on its own, the sentence once, the scope in the state."""
    monkeypatch.setattr(mapped_file, "fcntl", None)
    said = Said()
    member = host_scope("account", Agreement(LIMITS), surroundings(runtime, said))

    taken = [member.take().is_taken for _ in range(4)]

    assert taken == [True, True, True, False]
    assert member.state()["scope"] == "process"
    assert member.state()["instead_of"] == "host"
    assert [text for text in said.texts if "flock" in text] == said.texts
    assert len(said.texts) == 1


def test_the_runtime_directory_is_found_by_look(monkeypatch, tmp_path: Path) -> None:
    """Not by the session's variables: a cron job has none."""
    owned = {"/run/user/7": True}
    monkeypatch.setattr(runtime_directory, "_is_owned", lambda path, uid: owned.get(path, False))
    find = runtime_directory.runtime

    assert find({"XDG_RUNTIME_DIR": "/run/user/9"}, 7) == "/run/user/7"
    assert find({"EVENTLOG_RUNTIME_DIR": "/volume"}, 7) == "/volume"
    assert find({}, 8) == "/dev/shm/eventlog-handlers-8"
    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    assert find({}, 8) == "/tmp/eventlog-handlers-8"
    assert find({"TMPDIR": str(tmp_path)}, 8) == f"{tmp_path}/eventlog-handlers-8"


def test_the_name_of_an_account_tells_nothing_of_its_key() -> None:
    """Equal for equal accounts, different for others, and no separator can be forged."""
    names = {
        account("cms", "https://a", "key"),
        account("cms", "https://a", "key2"),
        account("cms", "https://", "akey"),
        account("guance", "https://a", "key"),
    }

    assert len(names) == 4
    assert account("cms", "https://a", "key") in names
    assert all(set(name) <= set("0123456789abcdef") for name in names)


@pytest.mark.parametrize("look", ["members", "sums", "living", "answered"], ids=lambda look: f"before {look}")
def test_a_file_that_was_cut_short_kills_nobody_that_looks_at_it(runtime: Path, look: str) -> None:
    """Also looks that take no lock notice it first: a page that is gone is a SIGBUS."""
    member = coordinator(runtime)
    member.take()
    os.truncate(path_in(runtime), 0)

    getattr(member, look)()

    assert path_in(runtime).stat().st_size == layout.AT.size
