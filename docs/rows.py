"""The fault matrix: what can go wrong, what the handlers do, what may be lost.

``lost``: first with the buffer in memory, then with a spool. "–" nothing; "D" nothing, but an event may
arrive twice, with the same id; "counted" means: in ``stats()`` by reason, and told once.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One fault."""

    id: str
    fault: str
    behaviour: str
    lost: str


BACKEND = [
    Row(
        "B1",
        "connection refused",
        "backs off with full jitter, 1 s to 60 s; says so once; events wait",
        "– / –",
    ),
    Row("B2", "name lookup fails or hangs", "as B1; `flush(t)` is over at t while the lookup hangs", "– / –"),
    Row(
        "B3",
        "TLS: unknown CA, wrong name, expired, cut, plain port",
        "events are kept, slow probes, never a downgrade",
        "– / –",
    ),
    Row("B4", "connecting hangs", "connect timeout, then as B1", "– / –"),
    Row("B5", "the answer never comes", "read timeout, then sent again", "– / D"),
    Row(
        "B6",
        "the answer comes in drops",
        "the whole call has one deadline; `flush` and `close` keep theirs",
        "– / D",
    ),
    Row("B7", "reset while sending", "sent again", "– / D"),
    Row(
        "B8",
        "reset after the request, before the answer",
        "sent again with the same ids; no hidden retries below ours",
        "– / D",
    ),
    Row(
        "B9",
        "kept connection closed by the server",
        "opened anew where the request had not left whole; else a failed request, and a copy that is counted",
        "– / D",
    ),
    Row(
        "B10",
        "one event's data is refused",
        "the batch is halved down to that event, which is dropped",
        "that event, counted",
    ),
    Row(
        "B11",
        "wrong or expired credentials, no permission",
        "refreshed once, then everything waits; one event probes every 1 to 5 min",
        "– / –",
    ),
    Row(
        "B12",
        "throttled with another status than 429",
        "the service's code decides before the status",
        "– / –",
    ),
    Row(
        "B13",
        "405, 406, 410, 411, 414, 415, 431, 451, 501, 505",
        "taken for a wrong address or setting: events wait",
        "– / –",
    ),
    Row("B14", "408, 425, 5xx, InternalFailure", "transient: backs off, sends again", "– / D"),
    Row("B15", "413, entry too large", "split; a single event is shortened visibly, once", "text, marked"),
    Row("B16", "Retry-After in any form", "obeyed up to 5 min; nonsense is ignored", "– / –"),
    Row(
        "B17",
        "throttled without a hint",
        "backs off from 2 s, halves its pace, recovers step by step",
        "– / –",
    ),
    Row("B18", "200 with an error in the body", "success needs proof for each event", "– / D"),
    Row("B19", "200 with garbage, nothing or half an answer", "not taken for success; sent again", "– / D"),
    Row("B20", "huge or compressed answer", "64 KiB are read, nothing is inflated", "– / D"),
    Row("B21", "redirects", "never followed; the key stays with its host", "– / –"),
    Row("B22", "some entries of a request fail", "only those go again, in order", "– / –"),
    Row(
        "B23",
        "verdicts for another number of entries",
        "proves nothing; all go again, a bounded number of times",
        "– / D",
    ),
    Row("B24", "this machine's clock is off", "CMS: corrected from the answer; else held and told", "– / –"),
    Row("B25", "malformed HTTP", "transient", "– / D"),
    Row("B26", "outages of hours, flapping", "resumes with jitter; the severe first", "– up to the caps / –"),
    Row("B27", "the proxy refuses or dies", "as B1 or B13; its password is never printed", "– / –"),
    Row(
        "B28",
        "every event is refused with one code",
        "a setting is wrong: held, said, probed with one event; goes on by itself",
        "one event, where they come alone / –",
    ),
]

PROCESS = [
    Row(
        "P1",
        "normal end, sys.exit, unhandled exception",
        "flushed within `exit_timeout`",
        "what exceeds it, told / –",
    ),
    Row("P2", "records from threads and exit hooks after main", "sent by the later hooks", "– / –"),
    Row("P3", "records after close", "the handler revives", "– / –"),
    Row("P4", "SIGKILL, os._exit, abort", "nothing can run", "what waits / – with `commit`"),
    Row("P5", "SIGTERM without a handler", "as P4, unless `flush_on_sigterm=True`", "what waits / as P4"),
    Row(
        "P6",
        "Ctrl-C, and again during the flush",
        "the first flushes, the second ends it at once",
        "the rest, told / –",
    ),
    Row(
        "P7",
        "fork without exec, preforking servers",
        "the child starts empty, with threads and connections of its own",
        "– / –",
    ),
    Row(
        "P8",
        "daemonising: fork, the parent ends by os._exit",
        "the parent's events die with it",
        "what waits / –",
    ),
    Row(
        "P9",
        "pickled handler, spawn, forkserver",
        "a clear TypeError; children configure themselves",
        "– / –",
    ),
    Row(
        "P10",
        "children of multiprocessing and its pools",
        "flushed by the threading hook, the finalizers, and at the SIGTERM that ends `with Pool()`",
        "– / –",
    ),
    Row(
        "P11",
        "Celery's workers and their children",
        "handlers put back and flushed by Celery's own signals, connected by themselves",
        "– / –",
    ),
    Row(
        "P12",
        "web servers: stop under load, recycle, timeout, reload",
        "exit hooks run, or the lifespan's end, or what [its page](hosts/index.md) says",
        "– / –",
    ),
    Row("P13", "execv", "as P4", "what waits / –"),
    Row("P14", "spool of a dead process", "adopted by the next process, by exactly one", "– / D"),
    Row(
        "P15",
        "queue full",
        "the lowest severity gives way, oldest first; never blocks unless told",
        "counted",
    ),
    Row("P16", "threads are refused", "the caller sends now and then, for a second at most", "– / –"),
    Row("P17", "the worker is broken off", "goes on after a second; what it held is given back", "– / D"),
    Row("P18", "file descriptors run out", "transient", "– / –"),
    Row("P19", "a signal handler logs during emit", "no lock between emit and the worker", "– / –"),
    Row(
        "P20",
        "a `__del__` logs during garbage collection",
        "as P19; on our own threads refused and counted",
        "– / –",
    ),
    Row("P21", "urllib3 and botocore log while sending for us", "never an event", "by design"),
    Row("P22", "gevent", "works, patched before our import or after it", "– / –"),
    Row(
        "P23",
        "flush from many threads, from the worker, from a signal",
        "each waits for its own; the worker never waits",
        "– / –",
    ),
    Row("P24", "suspend and resume", "old connections are not reused", "– / D"),
    Row("P25", "the wall clock steps", "no effect on batching, rests and deadlines", "– / –"),
    Row("P26", "builds without the GIL", "no unlocked sums", "– / –; that test runs on such a build only"),
    Row(
        "P27",
        "records after the last exit hook and while the interpreter takes itself apart",
        "after the last hook the thread that logs sends; then nothing can be sent: spooled, or told",
        "told / –",
    ),
    Row(
        "P28",
        "threads outlive main or a child's target",
        "the process goes on; the budget of its end is spent at its end",
        "– / –",
    ),
]

RECORDS = [
    Row("R1", "bad % arguments", "template and arguments, with a note", "–"),
    Row("R2", "hostile __str__ and __repr__", "named as unprintable", "–"),
    Row("R3", "bytes as message or argument", "decoded", "–"),
    Row("R4", "huge messages, a million extras", "cut on a character, marked", "text, marked"),
    Row(
        "R5",
        "surrogates, NUL, controls, bidi overrides",
        "replaced or escaped; always valid UTF-8 and JSON",
        "–",
    ),
    Row("R6", "NaN, Decimal, datetime, sets, huge integers, odd keys", "fixed text forms", "–"),
    Row("R7", "cycles and depth", "cut with marks", "text, marked"),
    Row(
        "R8",
        "causes, contexts, groups, notes, cycles of exceptions",
        "as the traceback module prints them, bounded",
        "–",
    ),
    Row("R9", "a traceback of 100,000 frames", "first and last frames", "frames, marked"),
    Row("R10", "odd exc_info", "all forms accepted", "–"),
    Row("R11", "record factories, missing attributes, odd levels", "nearest status, defaults", "–"),
    Row("R12", "impossible times", "clamped; the original kept as text", "–"),
    Row("R13", "arguments changed after the call", "what may change is copied before emit returns", "–"),
    Row("R14", "a formatter or filter raises", "the record's own message; told once", "–"),
]

DISK = [
    Row("D1", "disk full", "goes on in memory and keeps sending", "what waits, if the process dies then; D"),
    Row(
        "D2",
        "I/O error, file size limit, failed fsync",
        "a new file; the bad one is put aside",
        "the last commit",
    ),
    Row(
        "D3", "directory read-only, missing, foreign, a link", "goes on in memory, told once", "as in memory"
    ),
    Row(
        "D4",
        "damaged file",
        "read row by row as far as SQLite can; what is missing is counted as far as that can be told, and "
        "the file is kept as `*.bad` for sqlite3's `.recover`. Damage inside a WAL undoes the commits behind "
        "it, and nobody can count those; a killed process makes no such damage",
        "damaged rows, counted",
    ),
    Row("D5", "file held by another process", "left alone", "–"),
    Row(
        "D6",
        "file deleted or replaced while open",
        "noticed; a new one is written",
        "what was only there, counted",
    ),
    Row("D7", "no WAL on this file system", "another journal mode", "–"),
    Row("D8", "killed between sending and acknowledging", "sent again after the restart", "D"),
    Row("D9", "another schema, another destination", "left untouched", "–"),
    Row("D10", "too old", "dropped", "counted"),
]

LIFE = [
    Row("C1", "wrong settings", "refused at construction in one sentence", ""),
    Row("C2", "well-formed but wrong key", "the program starts; as B11", "– / –"),
    Row("C3", "wrong endpoint", "refused with a hint", ""),
    Row("C4", "dictConfig twice, basicConfig(force=True)", "no wait, no loss", "– / –"),
    Row("C5", "close twice, close and go on", "idempotent; revives", "– / –"),
    Row("C6", "several handlers, one destination", "one pace; each flush waits for its own", "– / –"),
    Row("C7", "handler collected unclosed", "what it took is sent", "– / –"),
    Row("C8", "boto3 missing", "the pip line, when that handler is built", ""),
    Row("C9", "imported, never used", "no thread, no hook, no file", ""),
]

SECURITY = [
    Row(
        "S1", "our secrets in any output", "never: repr, pickle, stats, stderr, exceptions, files, pages", ""
    ),
    Row("S2", "secrets in URLs", "never: headers or body only", ""),
    Row("S3", "credentials and redirects", "as B21", ""),
    Row("S4", "TLS verification", "can't be turned off; `ca_bundle=` only", ""),
    Row("S5", "proxy environment, .netrc", "proxies honoured, .netrc never read", ""),
    Row("S6", "log injection", "line breaks and controls are escaped in names and titles", ""),
    Row("S7", "secrets in the application's records", "scrubbed by name and by pattern; `before_send`", ""),
    Row("S8", "spool files", "0600 in a 0700 directory, no pickle", ""),
    Row("S9", "a malicious service", "bounded answers, never evaluated, never printed raw", ""),
    Row("S10", "malicious names of extras", "plain bounded text", ""),
    Row(
        "S11", "what comes with the package", "one dependency; nothing that runs what came over the wire", ""
    ),
]

SCOPES = [
    Row(
        "F1",
        "many processes of one account on a host",
        "one rate limit, one event per problem; no sliding "
        "window above the limit, also where processes are killed or stopped inside the lock",
        "– / –",
    ),
    Row(
        "F2",
        "processes that count repeats are killed",
        "counts are exact; what was open is told by others",
        "what a killed one had in memory / –",
    ),
    Row(
        "F3",
        "the host's file can't be used, is damaged or removed",
        "said once with the remedy; each process goes on by itself, or with a new file",
        "– / –; of a lost file its open counts",
    ),
    Row("F4", "Redis is killed and comes again", "the host's scope meanwhile; all counts are told", "– / –"),
    Row("F40", "a replica takes over (`wait_replicas=1`)", "as F4", "– / –"),
    Row("F5", "Redis is slow or stopped", "one timeout, then the host's scope", "– / –"),
    Row("F6", "FLUSHALL, SCRIPT FLUSH", "made again", "the counts that were flushed"),
    Row("F7", "Redis is full", "named, with the remedy; the host's scope", "– / –"),
    Row("F8", "links to Redis break, answers get lost", "asked again; nothing is counted twice", "– / –"),
    Row(
        "F9",
        "Redis wants a password, evicts, is a cluster, a replica or too old",
        "a sentence with the remedy; the host's scope",
        "– / –",
    ),
]

RELAY_PUT = [
    Row("F11", "events are put into a queue", "a verdict for each; streams by severity", "– / –"),
    Row("F12", "repeats from many processes", "counted where they are put, told once", "– / –"),
    Row("F13", "an answer of Redis is lost", "put again in any batches; Redis knows what it has", "– / –"),
    Row("F14", "Redis carries out a call that its sender gave up", "known, or void", "– / –"),
    Row(
        "F15",
        "a queue is full",
        "nothing is trimmed; events stay with their process; repeats are counted",
        "by the process's policy, counted / –",
    ),
    Row("F16", "Redis is full", "named, tried again", "– / –"),
    Row(
        "F17",
        "Redis wants a password, evicts, is a cluster, a replica or too old",
        "a sentence with the remedy; events wait, one probes",
        "– / –",
    ),
    Row("F18", "FLUSHALL, SCRIPT FLUSH", "made again", "what waited in the queue"),
]

RELAY = [
    Row("F21", "several applications, queues and relays", "all arrive, none twice", "–"),
    Row("F22", "one problem in all applications", "one event and summaries; the counts add up", "–"),
    Row("F23", "SIGTERM to a relay", "what is in hand is another one's at once", "–"),
    Row("F24", "SIGKILL to a relay", "others claim what it had after a request's time and 10 s", "D"),
    Row("F25", "Redis is killed and comes again (AOF)", "both sides go on", "D"),
    Row("F26", "Redis is slow", "both sides wait", "–"),
    Row("F27", "Redis is full", "relays drain it", "–"),
    Row("F28", "a destination is down", "fills its own queue only", "–"),
    Row(
        "F29", "an event is refused", "kept in `dead` with the reason, told; its neighbours go", "it, counted"
    ),
    Row("F31", "a relay dies between sending and saying so", "sent again with the same id", "D"),
    Row("F32", "a relay stands still and goes on", "sends nothing that another one has", "–"),
    Row("F33", "a relay ends in order", "hands back, which costs no delivery", "–"),
    Row("F34", "an event kills relays", "given up after five, kept in `dead`", "it, counted"),
    Row("F35", "handlers are newer than relays", "unknown versions wait, are shown, and are read later", "–"),
    Row("F36", "an entry is no event", "kept in `dead`", "it, counted"),
    Row("F37", "FLUSHALL", "what relays have in hand is sent", "what waited in the queue"),
    Row("F38", "the link breaks between sending and settling", "settled when there is a link again", "–"),
    Row("F39", "a replica takes over (`wait_replicas=1`)", "both sides go on", "D"),
]

SECTIONS = {
    "The service": BACKEND,
    "The process": PROCESS,
    "Records": RECORDS,
    "The disk (spool)": DISK,
    "Configuration and life": LIFE,
    "Security": SECURITY,
    "Several processes: scopes": SCOPES,
    "Relay: putting into a queue": RELAY_PUT,
    "Relay: from the queue to the service": RELAY,
}
