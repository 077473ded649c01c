"""As in docs/hosts/gunicorn.md: a worker that is told to stop while it starts does not forget the signal."""

import signal


def post_fork(server, worker):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
