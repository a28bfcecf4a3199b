import json

import orjson
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser


class ContentEncodingNotSupported(UnsupportedMediaType):
    default_detail = "Send the body without the Content-Encoding “{media_type}”."


class JSONParser(BaseParser):
    """Parses with orjson. DRF's parser accepts lone surrogates, and raises RecursionError for
    deeply nested JSON."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        encoding = stream.headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() != "identity":
            raise ContentEncodingNotSupported(encoding)
        content = stream.read()
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as error:
            reason = f"not JSON: {error}" if is_utf_8(content) else "not in UTF-8"
            raise ParseError(f"The body is {reason}.") from error


def is_utf_8(content):
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    # UTF-16 without a byte order mark is valid UTF-8, too.
    return json.detect_encoding(content).startswith("utf-8")
