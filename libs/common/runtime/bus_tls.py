"""How the broker proves who it is: a certificate of an authority that we were told to trust.

Where an authority is named, or the URL says `tls://`, nothing is sent before the broker has proved
itself; no setting takes it unproved. Who *we* are is said by an nkey (`bus_identity`).
"""

import ssl

from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import ConfigError
from libs.common.runtime.secret import HIDDEN, looks_like_secret


def tls_context(settings: BusConfig) -> ssl.SSLContext | None:
    """What the broker's certificate is held against; ``None`` where none is asked for.

    Raises:
        ConfigError: the authority's file cannot be read or holds no certificate.
    """
    path = settings.tls_ca_file
    if path is None and not settings.url.startswith("tls://"):
        return None
    try:
        context = ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ConfigError(f"bus.tls_ca_file {path} holds no certificate in PEM") from None
    except OSError as error:
        where = HIDDEN if looks_like_secret(str(path)) else path
        raise ConfigError(f"bus.tls_ca_file {where} cannot be read: {error.strerror}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def why_refused(error: Exception) -> str:
    """A failure to connect in words for a log, with what to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is refused ({error.verify_message}): see bus.tls_ca_file"
    text = str(error) or repr(error)
    # The broker says why and hangs up; where the second arrives first, the first is lost.
    if isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
        return (
            f"the broker hung up ({text}): if from the first, it knows no bus.identity_file of ours"
        )
    if "authorization violation" in text.lower():
        return f"the broker does not know our bus.identity_file ({text})"
    return text
