"""Forms and uploads: ``application/x-www-form-urlencoded`` and ``multipart/form-data``, within bounds.

Imported when a form is read. A multipart form is read by python-multipart, piece by piece where the target hands the
body over so; a file larger than what may be kept in memory goes to a temporary one as it is read.
"""

from __future__ import annotations

from portable.errors import ConfigError, HTTPError
from portable.events import Headers, Query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import IO, Any, Self

    from portable.events import Request

__all__ = ["Files", "FormData", "FormLimits", "Upload", "read_form"]

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


class FormLimits:
    """How much of a form is taken; what exceeds it is a 413 that says which bound and of which part.

    Args:
        parts: fields and files together.
        files: files. A file of its own on the disk is possible for each, and Lambda has 1,024 descriptors.
        text_bytes: of all fields together, which are kept in memory; of an urlencoded form, of its body.
        file_bytes: of each file; None leaves it to the body's own bound (``max_body``, and the target's).
        header_bytes: of each part's header.
        memory_bytes: of all files together that are kept in memory, before the next bytes go to the disk.
    """

    __slots__ = ("file_bytes", "files", "header_bytes", "memory_bytes", "parts", "text_bytes")

    def __init__(
        self,
        *,
        parts: int = 1000,
        files: int = 100,
        text_bytes: int = 1024 * 1024,
        file_bytes: int | None = None,
        header_bytes: int = 8 * 1024,
        memory_bytes: int = 1024 * 1024,
    ) -> None:
        self.parts = parts
        self.files = files
        self.text_bytes = text_bytes
        self.file_bytes = file_bytes
        self.header_bytes = header_bytes
        self.memory_bytes = memory_bytes


class Upload:
    """One file of a form, a binary file to read from: ``read(n)``, ``seek``, iteration by lines, ``with``.

    It is in memory or in a temporary file, so reading does not wait. It is open until the answer is made where it is a
    parameter of the handler, else until it or its form is closed or given up. ``bucket.write(key, upload)`` takes it.

    Attributes:
        name: of the form's field. filename: as the caller says it: show it, never use it as a path.
        content_type: as the caller says it, "" when it does not. headers: of the part. size: bytes.
        file: what it is read from, for libraries that want a file with all its methods.
    """

    __slots__ = ("content_type", "file", "filename", "headers", "name", "size")

    def __init__(self, name: str, filename: str, headers: Headers, file: IO[bytes], size: int = 0) -> None:
        self.name = name
        self.filename = filename
        self.content_type = headers.get("content-type", "")
        self.headers = headers
        self.file = file
        self.size = size

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, all that is left by default; ``b""`` at the end. Raises ValueError once closed."""
        return self.file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position, from the start unless ``whence`` says 1 (from here) or 2 (from the end)."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self.file.tell()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.file)

    def close(self) -> None:
        """Close it, which deletes it where it is on the disk."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        file = getattr(self, "file", None)
        if file is not None:
            file.close()

    def __repr__(self) -> str:
        return f"<Upload {self.name} {self.filename!r}, {self.size} bytes>"


class Files:
    """The files of a form in order, by the names of their fields. ``[]`` and ``get`` give the last of a name."""

    __slots__ = ("_pairs",)

    def __init__(self, uploads: list[Upload]) -> None:
        self._pairs = [(upload.name, upload) for upload in uploads]

    def all(self) -> list[Upload]:
        """Every file, in order."""
        return [upload for _, upload in self._pairs]

    def get_all(self, name: str) -> list[Upload]:
        """Every file of a field, in order."""
        return [upload for known, upload in self._pairs if known == name]

    def get(self, name: str) -> Upload | None:
        """The last file of a field; None when there is none."""
        return next((upload for known, upload in reversed(self._pairs) if known == name), None)

    def __getitem__(self, name: str) -> Upload:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return any(known == name for known, _ in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        return len(dict(self._pairs))

    def items(self) -> list[tuple[str, Upload]]:
        """Every ``(name, upload)`` in order, repeated names repeated."""
        return list(self._pairs)

    def __repr__(self) -> str:
        return f"Files({self._pairs!r})"


class FormData(Query):
    """A form: its text fields as :class:`Query` has them, and its ``files``. ``with`` closes the files."""

    __slots__ = ("files",)

    def __init__(self, fields: list[tuple[str, str]], uploads: list[Upload]) -> None:
        super().__init__(fields)
        self.files = Files(uploads)

    def close(self) -> None:
        """Close every file."""
        for upload in self.files.all():
            upload.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_form(request: Request, limits: FormLimits, file_bytes: Mapping[str, int] | None = None) -> FormData:
    """The request's body as a form.

    Args:
        file_bytes: bounds of files by the names of their fields, where they differ from ``limits.file_bytes``.

    Raises HTTPError: 400 malformed or cut off, 413 more than the limits, 415 another content type.
    """
    sent = request.headers.get("content-type", "")
    kind, _, rest = sent.partition(";")
    kind = kind.strip().lower()
    if kind in ("", URLENCODED):
        return FormData(_read_pairs(request, limits), [])
    if kind != MULTIPART:
        raise HTTPError(415, f"Expected {MULTIPART} or {URLENCODED}, got {kind}")
    return _read_parts(request, rest, limits, file_bytes or {})


def _read_pairs(request: Request, limits: FormLimits) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    text = request.text()
    if len(text) > limits.text_bytes:
        raise HTTPError(413, f"The form has {len(text)} bytes, at most {limits.text_bytes} are taken")
    if text.count("&") >= limits.parts:
        raise HTTPError(413, f"The form has more than {limits.parts} fields")
    return parse_qsl(text, keep_blank_values=True)


def _read_parts(request: Request, options: str, limits: FormLimits, file_bytes: Mapping[str, int]) -> FormData:
    try:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser, parse_options_header
    except ImportError as error:
        raise ConfigError(
            f"reading {MULTIPART} needs python-multipart, which is not installed; "
            "pip install 'portable-functions[forms]', and name it among the project's dependencies"
        ) from error
    reader = _PartReader(limits, file_bytes, parse_options_header)
    try:
        boundary = parse_options_header(f"{MULTIPART};{options}")[1].get(b"boundary", b"")
        if not 0 < len(boundary) <= 70:  # RFC 2046, 5.1.1
            raise HTTPError(400, "The content type has no boundary of 1 to 70 characters")
        most = 1 << 31  # the reader counts a part's headers together, and says which bound it was
        parser = MultipartParser(boundary, reader.callbacks(), max_header_count=most, max_header_size=most)
        for piece in request._pieces():
            parser.write(piece)
        if not reader.ended:
            raise HTTPError(400, "The form is cut off: it does not end with its boundary")
        request._spend_body()
        return reader.form()
    except BaseException as error:
        reader.close()
        if isinstance(error, (FormParserError, UnicodeError)):
            raise HTTPError(400, f"The form is malformed: {error}") from error
        raise


class _PartReader:
    """What the parser calls. Raises HTTPError for what is malformed or too much, as soon as it is."""

    def __init__(self, limits: FormLimits, file_bytes: Mapping[str, int], parse: Callable[..., Any]) -> None:
        self.ended = False
        self._limits = limits
        self._file_bytes = file_bytes
        self._parse = parse
        self._fields: list[tuple[str, str]] = []
        self._uploads: list[Upload] = []
        self._parts = self._text = self._header_size = 0
        self._in_memory = 0
        self._held: int | None = 0  # bytes in memory of the file that is read; None once it is on the disk
        self._header_name = self._header_value = b""
        self._header = Headers()
        self._name = ""
        self._value = bytearray()
        self._upload: Upload | None = None

    def callbacks(self) -> Any:
        """By the names python-multipart has for them."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._start,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def form(self) -> FormData:
        """What was read. A file input nobody chose a file for is left out."""
        chosen = []
        for upload in self._uploads:
            if upload.filename or upload.size:
                upload.seek(0)
                chosen.append(upload)
            else:
                upload.close()
        return FormData(self._fields, chosen)

    def close(self) -> None:
        """Close every file that was begun."""
        for upload in self._uploads:
            upload.close()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise HTTPError(413, f"The form has more than {self._limits.parts} parts")
        self._header = Headers()
        self._header_size = 0

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._header_size += size
        if self._header_size > self._limits.header_bytes:
            raise HTTPError(413, f"A part's header has more than {self._limits.header_bytes} bytes")

    def _end_header(self) -> None:
        self._header.add(self._header_name.decode("ascii"), self._header_value.decode())
        self._header_name = self._header_value = b""

    def _start(self) -> None:
        header = self._header
        said = header.get_all("content-disposition")
        if len(said) != 1:
            raise HTTPError(400, f"A part of the form has {len(said)} Content-Disposition headers, and needs one")
        kind, options = self._parse(said[0].encode().decode("latin-1"))
        if kind != b"form-data" or b"name" not in options:
            raise HTTPError(400, f"A part of the form is no form-data with a name: {said[0][:200]!r}")
        self._name = name = options[b"name"].decode()
        if header.get("content-type", "").lower().startswith("multipart/"):
            raise HTTPError(400, f"Field {name!r} is a multipart of its own, which RFC 7578 does not have")
        encoding = header.get("content-transfer-encoding", "binary").lower()
        if encoding not in ("7bit", "8bit", "binary"):
            raise HTTPError(400, f"Field {name!r} is encoded as {encoding[:80]!r}, which RFC 7578 does not have")
        self._value = bytearray()
        self._upload = None
        if b"filename" in options:
            self._open(name, options[b"filename"].decode())

    def _open(self, name: str, filename: str) -> None:
        from tempfile import SpooledTemporaryFile

        if len(self._uploads) >= self._limits.files:
            raise HTTPError(413, f"The form has more than {self._limits.files} files")
        file: Any = SpooledTemporaryFile()  # noqa: SIM115 - the upload closes it
        self._held = 0
        self._upload = Upload(name, filename, self._header, file)
        self._uploads.append(self._upload)

    def _data(self, data: bytes, start: int, end: int) -> None:
        upload, size = self._upload, end - start
        if upload is None:
            self._text += size
            if self._text > self._limits.text_bytes:
                raise HTTPError(413, f"The form's fields have more than {self._limits.text_bytes} bytes together")
            self._value += memoryview(data)[start:end]
            return
        most = self._file_bytes.get(upload.name, self._limits.file_bytes)
        upload.size += size
        if most is not None and upload.size > most:
            raise _too_large(upload.name, most)
        file: Any = upload.file
        if self._held is not None:
            if self._in_memory + size > self._limits.memory_bytes:
                file.rollover()
                self._in_memory -= self._held
                self._held = None
            else:
                self._in_memory += size
                self._held += size
        file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        if self._upload is None:
            try:
                self._fields.append((self._name, self._value.decode()))
            except UnicodeDecodeError as error:
                raise HTTPError(400, f"Field {self._name!r} is not text in UTF-8: {error}") from error

    def _finish(self) -> None:
        self.ended = True


def _too_large(name: str, most: int) -> HTTPError:
    detail = f"has more than {most} bytes"
    return HTTPError(413, f"File {name!r} {detail}", errors=[{"in": "body", "name": name, "detail": detail}])
