"""Certificates of the broker: by whom, for whom, and how long."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from cli.certificates import (
    AUTHORITY_DAYS,
    RENEW_DAYS,
    SERVER_DAYS,
    at_time,
    make_authority,
    make_server,
    may_stay,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NAMES = ("nats", "*.nats-headless", "127.0.0.1")


@pytest.fixture(scope="module")
def authority():
    return make_authority(NOW)


@pytest.fixture(scope="module")
def server(authority):
    return make_server(*authority, NAMES, NOW)


def test_a_certificate_is_for_the_names_asked_for_and_can_sign_nothing(authority, server):
    certificate = x509.load_pem_x509_certificate(server[1])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["nats", "*.nats-headless"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    issuer = x509.load_pem_x509_certificate(authority[1])
    assert issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert issuer.not_valid_after_utc == NOW + timedelta(days=AUTHORITY_DAYS)


def test_it_stays_until_it_nears_its_end(authority, server):
    near = NOW + timedelta(days=SERVER_DAYS - RENEW_DAYS)
    assert may_stay(server[1], authority[1], NAMES, near - timedelta(seconds=1))
    assert not may_stay(server[1], authority[1], NAMES, near)


def test_it_does_not_stay_for_other_names_or_of_another_authority(authority, server):
    assert not may_stay(server[1], authority[1], ("nats",), NOW)
    assert not may_stay(server[1], make_authority(NOW)[1], NAMES, NOW)


def test_what_is_no_certificate_is_said_to_be_none(authority):
    with pytest.raises(ValueError, match="PEM"):
        may_stay(b"nonsense", authority[1], NAMES, NOW)
    with pytest.raises(ValueError, match="PEM"):
        make_server(b"nonsense", authority[1], NAMES, NOW)


def test_the_wall_clock_is_read_as_utc():
    assert at_time(1_795_219_200_123_456_789) == datetime(2026, 11, 21, tzinfo=UTC)
