"""What to do about an error of MongoDB's drivers: the setting at fault, as far as the error shows it."""

from pymongo.errors import OperationFailure, PyMongoError

_URL = "store.url (BRIDGE_STORE__URL)"
_AUTHENTICATION_FAILED, _UNAUTHORIZED = 18, 13

# Texts of errors, and the remedy for each; the first that fits counts.
_BY_TEXT: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Hostname mismatch", "IP address mismatch"), f"use a name of the server's certificate in {_URL}"),
    (("certificate has expired", "certificate is not yet valid"), "renew the server's certificate, or set the clock"),
    (("CERTIFICATE_VERIFY_FAILED",), f"add tlsCAFile=/path/to/ca.pem to {_URL}: the authority that signed the certificate"),
    (("ALERT_CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE"), f"add tlsCertificateKeyFile=/path/to/client.pem to {_URL}"),
    (("SSL handshake failed", "SSL:"), f"remove tls=true from {_URL} if the server has no TLS"),
    (("connection closed", "connection is already closed"), f"add tls=true to {_URL} if the server requires TLS; see its log"),
    (("DNS query name does not exist", "SRV"), f"correct the host in {_URL}: mongodb+srv:// needs SRV records in DNS"),
    (("Name or service not known", "name resolution", "nodename nor servname"), f"correct the host in {_URL}, or check DNS"),
    (("No replica set members", "Replica set is configured"), f"correct replicaSet in {_URL}, or use directConnection=true"),
    (("refused", "Connect call failed"), f"start MongoDB, or correct host and port in {_URL}"),
    (("timed out", "No route to host", "unreachable"), f"correct the host in {_URL}, or check the network and its firewalls"),
)


def remedy_for(error: PyMongoError) -> str:
    """Return the remedy for an error; nothing if it is none of the settings."""
    if isinstance(error, OperationFailure):
        if error.code == _AUTHENTICATION_FAILED:
            return f"correct user, password and authSource in {_URL}, or store.username and store.password"
        if error.code == _UNAUTHORIZED:
            return f"give a user with the role readWrite on this database in {_URL}, or in store.username and store.password"
        return ""
    text = str(error)
    return next((remedy for marks, remedy in _BY_TEXT if any(mark in text for mark in marks)), "")
