"""Programs that log in several threads or processes, and end. Each prints every order that it has logged.

None of their threads writes to ``sys.stderr``: with CPython 3.14 and 3.15 a child forked meanwhile finds the
stream's lock taken for ever (python/cpython#84579), with and without this package.
"""

from __future__ import annotations

import textwrap

HEAD = """
import logging, multiprocessing, os, random, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from eventlog_handlers import configure

configure("cms://cn-hangzhou", service="ends", exit_timeout=60, **OPTIONS)
logging.getLogger().addHandler(logging.NullHandler())

def order(name):
    logging.getLogger("shop").error("order %s is late", name)
    os.write(1, f"{name}\\n".encode())

def orders(name, number):
    for i in range(number):
        order(f"{name}-{i}")

DELAY = random.random() / 20
"""

OPTIONS = {
    "memory": {},
    "spool": {"spool": "spool"},
    "commit": {"spool": "spool", "durability": "commit"},
    "host": {"scope": "host", "max_events_per_hour": 100_000},
}

_PROGRAMS = {
    "threads that outlive the main thread": """
        for k in range(4):
            threading.Thread(target=orders, args=(k, random.randrange(40))).start()
        time.sleep(DELAY)
        """,
    "daemon threads, and an exception": """
        for k in range(3):
            threading.Thread(target=orders, args=(k, 10), daemon=True).start()
        time.sleep(DELAY)
        raise LookupError("no such order")
        """,
    "a pool of threads": """
        executor = ThreadPoolExecutor(8)
        for k in range(60):
            executor.submit(order, k)
        order("last")
        """,
    "tasks of asyncio": """
        import asyncio
        async def task(k):
            order(f"{k}-a")
            await asyncio.sleep(DELAY)
            order(f"{k}-b")
        async def main():
            await asyncio.gather(*map(task, range(20)))
        asyncio.run(main())
        """,
    "os.fork while a thread logs": """
        threading.Thread(target=orders, args=("thread", 50)).start()
        for k in range(3):
            if not os.fork():
                order(f"child {k}")
                sys.exit()
        for k in range(3):
            os.wait()
        """,
    "multiprocessing while threads log": """
        for k in range(4):
            threading.Thread(target=orders, args=(f"thread {k}", 20)).start()
            multiprocessing.get_context("fork").Process(target=orders, args=(f"child {k}", 5)).start()
        """,
    "pools of processes": """
        if __name__ == "__main__":
            for k in range(4):
                with multiprocessing.get_context(random.choice(["fork", "forkserver"])).Pool(3) as pool:
                    pool.map(order, [f"{k}-{i}" for i in range(7)], chunksize=1)
        """,
    "an executor of processes": """
        if __name__ == "__main__":
            context = multiprocessing.get_context(random.choice(["fork", "spawn", "forkserver"]))
            with ProcessPoolExecutor(3, mp_context=context) as executor:
                list(executor.map(order, range(9)))
        """,
    "a signal handler that exits": """
        import signal
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        for k in range(4):
            timer = threading.Timer(random.random() / 10, os.kill, (os.getpid(), signal.SIGTERM))
            timer.daemon = True
            timer.start()
        orders("main", 50)
        """,
}

PROGRAMS = {name: textwrap.dedent(program) for name, program in _PROGRAMS.items()}
