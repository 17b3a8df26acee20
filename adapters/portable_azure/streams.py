"""A blob of Azure's in pieces."""

from __future__ import annotations

from portable_azure import _sdk
from portable_azure.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

__all__ = ["BlobChunks", "nothing"]


def nothing() -> Iterator[bytes]:
    """The chunks of an empty range."""
    return iter(())


class BlobChunks:
    """The SDK's chunks: each a range of its own, asked for with the etag of the first."""

    def __init__(self, chunks: Iterator[bytes], resource: str, key: str) -> None:
        self._chunks = chunks
        self._resource = resource
        self._key = key

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            for data in self._chunks:
                if data:
                    return data
        except _sdk.error_class() as error:
            raise translate(error, self._resource, self._key) from error
        raise StopIteration

    def close(self) -> None:
        """Nothing is held between two ranges."""
        self._chunks = nothing()
