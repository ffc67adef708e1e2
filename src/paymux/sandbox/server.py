"""The provider on a socket of its own, in a thread: within a test, or behind ``paymux sandbox``."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from paymux.sandbox import history
from paymux.sandbox.app import Provider, application
from paymux.sandbox.menu import Misbehaviour, Wish
from paymux.sandbox.wire import CUT, Wire

API_KEY = "sandbox"
# Seconds that a slow answer takes, and after which a late call is carried out.
SLOWNESS = 0.3
LATENESS = 5.0

_CLOSING = 1
_BACKLOG = 2048

T = TypeVar("T")


class Sandbox:
    """A running provider: ``with Sandbox(seed=7) as sandbox: … sandbox.url …``.

    It takes a free port unless it is given a ``listener``. Its methods may be called from any thread.
    """

    def __init__(
        self,
        *,
        listener: socket.socket | None = None,
        seed: int = 0,
        payments: int = 100,
        probability: Mapping[Misbehaviour, float] | None = None,
        api_key: str = API_KEY,
        slowness: float = SLOWNESS,
        lateness: float = LATENESS,
    ) -> None:
        self._provider = Provider(seed, payments, dict(probability or {}))
        app: Any = application(self._provider)  # its scope is the wire's, spelled out
        self._wire = Wire(app, lambda: self._provider.menu, api_key, slowness, lateness)
        self._server = _Server(self._wire)
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        host, port, *_ = self._listener.getsockname()
        self.url = f"http://{host}:{port}"
        self._thread = Thread(target=self._run, name="sandbox", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._began = Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._began.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()

    def books(self) -> dict[str, Any]:
        """What is true."""
        told: dict[str, Any] = msgspec.json.decode(
            self._ask(lambda: msgspec.json.encode(self._provider.told()))
        )
        return told

    def misbehave(
        self,
        *names: str | None,
        on: str = "",
        probability: Mapping[Misbehaviour, float] | None = None,
    ) -> None:
        """Order trouble: for the next calls these (None behaves well), by chance those for the rest."""
        wish = msgspec.convert({"next": names, "on": on, "probability": probability or {}}, Wish)
        self._ask(lambda: self._provider.menu.order(wish))

    def more(self, payments: int = 1) -> None:
        """Let more payments happen."""
        self._ask(lambda: history.add(self._provider.books, self._provider.seed, payments))

    def open_account(self, name: str, currency: str) -> str:
        """Open another account of the customer's; returns its id."""
        return self._ask(lambda: self._provider.books.open_account(name=name, currency=currency).id)

    def hurry(self) -> None:
        """Let what is late be carried out, and what is pending come to its end, now."""
        asyncio.run_coroutine_threadsafe(self._wire.hurry(), self._loop).result()
        self._ask(lambda: self._provider.books.settle(hurry=True))

    def forget_cursors(self) -> None:
        """Know no cursor any more that was handed out so far."""

        def forget() -> None:
            self._provider.menu.term += 1

        self._ask(forget)

    def reset(self) -> None:
        """Begin anew."""
        self._ask(self._provider.reset)

    def _ask(self, do: Callable[[], T]) -> T:
        async def ask() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()

    def _run(self) -> None:
        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._began.set)
            await self._server.serve([self._listener])

        asyncio.run(run())


class _Server(uvicorn.Server):
    """Leaves signals to whoever started it."""

    def __init__(self, app: Wire) -> None:
        super().__init__(
            uvicorn.Config(
                app, http=_Line, ws="none", lifespan="off", log_config=None, access_log=False,
                server_header=False, timeout_graceful_shutdown=_CLOSING,
            )
        )  # fmt: skip

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Line(H11Protocol):
    """A connection that can be cut by what it serves."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)

        def cut(*, gently: bool = False) -> None:
            # Gently is after what was written has gone out; the other way is a reset.
            (transport.close if gently else transport.abort)()

        self.app_state = {**self.app_state, CUT: cut}
