"""While a replay runs nothing goes out, whoever tries; what stays on the machine works."""

from __future__ import annotations

import asyncio
import socket
import threading

import httpx
import pytest

from spanreel.exceptions import EffectDenied
from spanreel.replay.network import denied_network, is_loopback


@pytest.fixture
def listener():
    """Something on loopback that could be reached."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_a_connection_is_denied_with_the_line_that_made_it(listener):
    """Loopback is no exception, and the code line is ours."""
    seen: list[EffectDenied] = []
    port = listener.getsockname()[1]
    with denied_network(seen.append), pytest.raises(EffectDenied) as raised:
        socket.create_connection(("127.0.0.1", port))
    assert seen == [raised.value]
    assert raised.value.effect == f"connect 127.0.0.1:{port}"
    assert raised.value.code_line.startswith(__file__)


def test_no_library_swallows_it(listener):
    """An HTTP client that turns errors of the network into its own lets this one through."""
    with denied_network(lambda _: None), pytest.raises(EffectDenied):
        httpx.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")


def test_asyncio_and_threads_are_denied_too(listener):
    """The switch is the process's."""
    address = listener.getsockname()
    seen: list[EffectDenied] = []
    with denied_network(seen.append):
        with pytest.raises(EffectDenied):
            asyncio.run(asyncio.open_connection(*address))
        caught: list[BaseException] = []

        def connect() -> None:
            try:
                socket.create_connection(address)
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
    assert len(seen) == 2
    assert isinstance(caught[0], EffectDenied)


def test_names_are_not_looked_up_and_datagrams_not_sent():
    """Both would tell somebody outside."""
    with denied_network(lambda _: None):
        with pytest.raises(EffectDenied, match=r"look up models\.example"):
            socket.getaddrinfo("models.example", 443)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, pytest.raises(EffectDenied):
            udp.sendto(b"x", ("127.0.0.1", 9))


def test_the_collector_may_be_reached(listener):
    """Its port on loopback is exempt."""
    host, port = listener.getsockname()
    with denied_network(lambda _: None, [port]), socket.create_connection((host, port)):
        pass


def test_an_event_loop_works_and_so_do_sockets_of_the_file_system(tmp_path):
    """Asyncio needs a pair of sockets; a Unix socket stays on the machine."""
    with (
        denied_network(lambda _: None),
        socket.socket(socket.AF_UNIX) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        asyncio.run(asyncio.sleep(0))
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))


def test_afterwards_everything_is_as_before(listener):
    """The hook stays, the switch is off."""
    with denied_network(lambda _: None):
        pass
    socket.create_connection(listener.getsockname()).close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.evil.example", False),
    ],
)
def test_what_loopback_is(host, expected):
    """Names that only begin so are not."""
    assert is_loopback(host) is expected
