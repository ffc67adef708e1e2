"""What the commands that answer HTTP share: an address of their own."""

import ipaddress
import os
import socket

import typer

# Connections that wait to be accepted.
_BACKLOG = 2048


def listen(host: str, port: int, otherwise: str = "Choose another --host or --port.") -> socket.socket:
    """Take an address, or end with a sentence that says why not and what to do ``otherwise``."""
    try:
        ((family, _, _, _, address), *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        typer.echo(f"paymux: cannot listen on {host}:{port}: {why}. {otherwise}", err=True)
        raise typer.Exit(1) from None
    return listener


def is_open(listener: socket.socket) -> bool:
    """Whether others than this machine can reach it."""
    return not ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def url_of(host: str, listener: socket.socket) -> str:
    """How to ask it."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
