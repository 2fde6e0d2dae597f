"""The address of a page: taken or free, and answered from the moment that its link is shown."""

import socket

import pytest

from distal.errors import ConfigError
from distal.label.server import listen_at


def test_whoever_follows_the_link_before_the_server_has_started_is_not_refused() -> None:
    with listen_at("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname(), timeout=5):
        pass


def test_where_the_port_is_taken_any_free_one_is() -> None:
    with listen_at("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listen_at("127.0.0.1", port) as second:
            assert second.getsockname()[1] not in (0, port)


def test_an_address_of_another_machine_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"'192\.0\.2\.1' is no address of this machine: .*\nexpected: 127\.0\.0\.1"):
        listen_at("192.0.2.1", 0)
