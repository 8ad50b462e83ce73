"""Servers whose certificate is not trusted."""

import ssl

from chat4all.client.errors import InvalidCertificate


def invalid_certificate(url: str, error: BaseException | None) -> InvalidCertificate | None:
    """Return what an error says of the server's certificate; None where it is about another thing.

    The libraries hide the reason behind errors of their own.
    """
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            why = error.verify_message.rstrip(".")
            return InvalidCertificate(f"the certificate of {url} is not trusted: {why}")
        error = error.__cause__ or error.__context__
    return None
