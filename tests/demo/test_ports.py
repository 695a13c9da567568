import socket
import sys
from collections.abc import Iterator

import pytest

from demo.ports import FIRST, HOST, LAST, Ports, PortTakenError, is_free


@pytest.fixture
def ports() -> Iterator[Ports]:
    held = Ports()
    yield held
    held.release()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen(1)
        yield server


def test_any_port_is_free_and_below_the_range_of_outgoing_connections(ports: Ports) -> None:
    port = ports.any()
    assert FIRST <= port <= LAST
    assert is_free(port)


def test_a_port_somebody_listens_on_is_refused_when_it_must_be_that_one(
    ports: Ports, listener: socket.socket
) -> None:
    taken = listener.getsockname()[1]
    with pytest.raises(PortTakenError, match=f"port {taken} is in use"):
        ports.exactly(taken)


def test_a_port_somebody_listens_on_is_replaced_when_it_is_only_preferred(
    ports: Ports, listener: socket.socket
) -> None:
    assert ports.preferably(listener.getsockname()[1]) != listener.getsockname()[1]


@pytest.mark.skipif(sys.platform != "linux", reason="the abstract namespace is Linux's")
def test_two_runs_do_not_choose_the_same_port_before_either_listens(ports: Ports) -> None:
    other = Ports()
    try:
        first = ports.any()
        assert other.preferably(first) != first
    finally:
        other.release()


def test_a_released_port_can_be_had_again(ports: Ports) -> None:
    first = ports.any()
    ports.release()
    assert ports.exactly(first) == first
