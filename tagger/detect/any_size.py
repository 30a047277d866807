"""A detector's ONNX file with its input's height and width left open.

The files of the official release take squares only, while a photo fills three quarters of one:
their layers would take any size. What a file says of sizes is its input, its output and what is
noted between layers; those are written anew here, all else stays as it is. An ONNX file is a
Protocol Buffers message; source: ``onnx/onnx.proto`` of ONNX 1.16, and the encoding as
protobuf.dev/programming-guides/encoding describes it. The package ``onnx`` does the same, but to
import it takes 0.2 s at each start.
"""

from __future__ import annotations

from collections.abc import Iterator

_GRAPH = 7  # of ModelProto
_INPUT, _OUTPUT, _BETWEEN = 11, 12, 13  # of GraphProto
_NAME, _TYPE = 1, 2  # of ValueInfoProto
_TENSOR = 1  # of TypeProto
_ELEMENTS, _SHAPE = 1, 2  # of TypeProto.Tensor
_DIMENSION = 1  # of TensorShapeProto
_VALUE, _PARAMETER = 1, 2  # of TensorShapeProto.Dimension
_FLOAT = 1  # of TensorProto.DataType
_NUMBER, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # kinds of fields


def any_size(model: bytes) -> tuple[bytes, int]:
    """Return an ONNX file whose input is (1, 3, any, any), and the side of the square it was.

    ``model`` is one whose one input is float32 (1, 3, S, S) and whose one output has three
    dimensions, of which the second is left open. Raise ValueError for another.
    """
    parts: list[bytes | memoryview] = []
    side = 0
    for number, whole, content in _fields(memoryview(model)):
        if number == _GRAPH:
            graph, side = _graph(content)
            parts += [_head(_GRAPH, len(graph)), graph]
        else:
            parts.append(whole)
    if not side:
        raise ValueError("no graph")
    return b"".join(parts), side


def _graph(graph: memoryview) -> tuple[bytes, int]:
    """Return a graph whose input takes any size, and the side of the square it was."""
    parts: list[bytes | memoryview] = []
    sides, outputs = [], 0
    for number, whole, content in _fields(graph):
        if number == _INPUT:
            name, shape = _value(content)
            if len(shape) != 4 or shape[:2] != [1, 3] or not shape[2] or shape[2] != shape[3]:
                raise ValueError(f"an input has the shape {shape}")
            sides.append(shape[3])
            parts.append(_named(_INPUT, name, [1, 3, "height", "width"]))
        elif number == _OUTPUT:
            outputs += 1
            name, shape = _value(content)
            if len(shape) != 3:
                raise ValueError(f"an output has the shape {shape}")
            parts.append(_named(_OUTPUT, name, [shape[0], "cells", shape[2]]))
        elif number != _BETWEEN:
            parts.append(whole)
    if (len(sides), outputs) != (1, 1):
        raise ValueError(f"{len(sides)} inputs and {outputs} outputs")
    return b"".join(parts), sides[0]


def _value(value: memoryview) -> tuple[bytes, list[int]]:
    """Return name and shape of a tensor of floats, 0 for an open dimension."""
    name = bytes(_last(value, _NAME))
    tensor = _last(_last(value, _TYPE), _TENSOR)
    elements, _ = _varint(_last(tensor, _ELEMENTS), 0)
    if elements != _FLOAT:
        raise ValueError(f"its elements are of the type {elements}")
    shape = []
    for number, _, dimension in _fields(_last(tensor, _SHAPE)):
        if number == _DIMENSION:
            sizes = [content for kind, _, content in _fields(dimension) if kind == _VALUE]
            shape.append(_varint(sizes[-1], 0)[0] if sizes else 0)
    return name, shape


def _named(number: int, name: bytes, shape: list[int | str]) -> bytes:
    """Return a ValueInfoProto of floats as the field ``number``."""
    dimensions = b"".join(
        _field(
            _DIMENSION,
            _field(_PARAMETER, size.encode())
            if isinstance(size, str)
            else _number(_VALUE << 3 | _NUMBER) + _number(size),
        )
        for size in shape
    )
    elements = _number(_ELEMENTS << 3 | _NUMBER) + _number(_FLOAT)
    tensor = elements + _field(_SHAPE, dimensions)
    return _field(number, _field(_NAME, name) + _field(_TYPE, _field(_TENSOR, tensor)))


def _last(message: memoryview, wanted: int) -> memoryview:
    """Return what the last field with a number contains: it is the one that counts."""
    found = [content for number, _, content in _fields(message) if number == wanted]
    if not found:
        raise ValueError(f"the field {wanted} is missing")
    return found[-1]


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield the number of each field, all of it, and what it contains."""
    at = 0
    while at < len(message):
        began = at
        key, at = _varint(message, at)
        kind = key & 7
        end = at
        if kind == _NUMBER:
            _, end = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
            end = at + size
        elif kind in (_EIGHT, _FOUR):
            end = at + (8 if kind == _EIGHT else 4)
        else:
            raise ValueError(f"a field of the kind {kind}")
        if end > len(message):
            raise ValueError("it ends too early")
        yield key >> 3, message[began:end], message[at:end]
        at = end


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number at a position, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number does not end")


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _head(number: int, size: int) -> bytes:
    return _number(number << 3 | _BYTES) + _number(size)


def _field(number: int, content: bytes) -> bytes:
    return _head(number, len(content)) + content
