"""``paymux worker``: a process that runs tasks, beside any number of others on one database."""


def worker() -> None:
    """Run tasks. Any number of workers, on any machines, share the work of one database."""
    from paymux.cli import service

    service.work()
