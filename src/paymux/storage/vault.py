"""The vault: secrets as they are stored, and the keys that open them.

VaultError
├── BadKeys       what was given as keys, or the file that holds them, cannot be used
├── KeyMissing    sealed with a key that we were not given
└── Tampered      changed since it was sealed, or moved to where it does not belong

A sealed secret is ``version (1) · key id (8) · nonce (12) · ciphertext and tag``, AES-256-GCM. Its
associated data is everything before the nonce and the ``context``, the identity of the row it lives
in: a secret that somebody copies to another row does not open there.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
# A file of keys holds a few lines; what is larger is some other file.
KEY_FILE_BYTES_MAX = 65_536

_VERSION = b"\x01"
_KEY_ID_BYTES = 8
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
_NONCE_BYTES = 12
_TAG_BYTES = 16

_FIRST_LINE = "# Keep a copy of this file in a safe place: without it the stored secrets are lost.\n"


class VaultError(Exception):
    """Stored secrets cannot be read or written."""


class BadKeys(VaultError):
    """The encryption keys cannot be used."""


class KeyMissing(VaultError):
    """A stored secret was sealed with a key that is not here."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"A stored secret was sealed with the key {key_id}, which is not here. Put the old key back into "
            "PAYMUX_ENCRYPTION_KEYS (after the current one), or restore the key file from a backup. "
            "Without that key the secrets cannot be recovered, and the connector must be configured again."
        )
        self.key_id = key_id


class Tampered(VaultError):
    """A stored secret was changed or moved to another row; restore it or configure the connector again."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Vault:
    """Seals and opens secrets. The first key seals, all of them open: that is how keys are rotated."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise BadKeys(f"The vault needs at least one key, and keys of {KEY_BYTES} bytes.")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._header = _VERSION + _key_id(keys[0])

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt for the row that ``context`` identifies. Sealing the same twice differs."""
        nonce = os.urandom(_NONCE_BYTES)
        cipher = self._ciphers[self._header[len(_VERSION) :]]
        return self._header + nonce + cipher.encrypt(nonce, plain, self._header + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what was sealed for the same ``context``.

        Raises:
            KeyMissing: The key it was sealed with is not among ours.
            Tampered: It is not what was sealed, or was sealed for another context.
        """
        header, rest = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        if not header.startswith(_VERSION) or len(rest) < _NONCE_BYTES + _TAG_BYTES:
            raise Tampered
        key_id = header[len(_VERSION) :]
        if key_id not in self._ciphers:
            raise KeyMissing(key_id.hex())
        try:
            return self._ciphers[key_id].decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], header + context)
        except InvalidTag:
            raise Tampered from None

    @property
    def header(self) -> bytes:
        """What everything begins with that was sealed with the first key."""
        return self._header

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed with the first key."""
        return sealed.startswith(self._header)

    def __repr__(self) -> str:
        return f"Vault(key ids: {', '.join(key_id.hex() for key_id in self._ciphers)})"


def parse_keys(text: str, source: str = "PAYMUX_ENCRYPTION_KEYS") -> list[bytes]:
    """Read comma-separated keys, the current one first; base64 of either alphabet, padded or not.

    Raises:
        BadKeys: A key is not 32 bytes. Names the ``source`` and the key's place, never the key.
    """
    items = text.split(",")
    keys = []
    for place, item in enumerate(items, start=1):
        digits = item.strip().rstrip("=").replace("-", "+").replace("_", "/")
        try:
            key = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise BadKeys(
                f"{source}: key {place} of {len(items)} is not the base64 of {KEY_BYTES} bytes. "
                f"Make one with: openssl rand -base64 {KEY_BYTES}"
            )
        keys.append(key)
    return keys


def key_file(path: Path, *, create: bool = False) -> list[bytes]:
    """Read the keys of a file, one a line, the current one first.

    With ``create``, a file that does not exist is made with one new key, readable by its owner alone;
    its folder must exist. Create none where secrets are stored already: a new key cannot open them.

    Raises:
        BadKeys: There is no such file, others may read it, or it holds something else.
    """
    if create and not path.exists():
        _make_key_file(path)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(KEY_FILE_BYTES_MAX)
    except FileNotFoundError:
        raise BadKeys(
            f"The key file {path} is gone; without it the stored secrets cannot be read. Restore it from a"
            " backup, or put the key into PAYMUX_ENCRYPTION_KEYS. If it is lost for good, connectors must be"
            " configured anew: set a new key there, then uninstall and install them."
        ) from None
    except OSError as error:
        raise BadKeys(f"The key file {path} cannot be read: {error.strerror}.") from None
    if mode & 0o077:
        raise BadKeys(f"Others may read the key file {path}. Run: chmod 600 {path}")
    lines = (line.strip() for line in content.decode("ascii", errors="replace").splitlines())
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise BadKeys(f"The key file {path} holds no key. Restore it from a backup.")
    return parse_keys(",".join(keys), source=str(path))


def _make_key_file(path: Path) -> None:
    """Write the file beside its place and link it there, so that it appears whole and only once."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    content = _FIRST_LINE + base64.b64encode(os.urandom(KEY_BYTES)).decode() + "\n"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another process was first: its key is the one
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _key_id(key: bytes) -> bytes:
    """Name a key without giving it away."""
    return hashlib.sha256(key).digest()[:_KEY_ID_BYTES]
