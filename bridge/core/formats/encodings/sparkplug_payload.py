"""The Protocol Buffers message of a Sparkplug B payload.

Source: Eclipse Sparkplug specification 3.0, section 6.4.1, "Google Protocol Buffer Schema". Only the parts that are read are
described; the others (body, metadata, data sets, templates, extensions) are unknown fields, which are skipped.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "sparkplug"
_TYPES = {
    "uint32": FieldDescriptorProto.TYPE_UINT32, "uint64": FieldDescriptorProto.TYPE_UINT64,
    "float": FieldDescriptorProto.TYPE_FLOAT, "double": FieldDescriptorProto.TYPE_DOUBLE,
    "bool": FieldDescriptorProto.TYPE_BOOL, "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}  # fmt: skip
_VALUES = "int_value uint32,long_value uint64,float_value float,double_value double,boolean_value bool,string_value string"
_SCHEMA = {
    "PropertyValue": [(1, "type uint32"), (2, "is_null bool"), *enumerate(_VALUES.split(","), start=3)],
    "PropertySet": [(1, "keys *string"), (2, "values *PropertyValue")],
    "Metric": [
        (1, "name string"), (2, "alias uint64"), (3, "timestamp uint64"), (4, "datatype uint32"), (5, "is_historical bool"),
        (6, "is_transient bool"), (7, "is_null bool"), (9, "properties PropertySet"),
        *enumerate(_VALUES.split(","), start=10), (16, "bytes_value bytes"),
    ],
    "Payload": [(1, "timestamp uint64"), (2, "metrics *Metric"), (3, "seq uint64"), (4, "uuid string")],
}  # fmt: skip
"""Number, name and type of each field by message; `*` is for a repeated one."""


def _message_class() -> Any:  # noqa: ANN401 - the class is built here
    file = FileDescriptorProto(name="sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    for message, fields in _SCHEMA.items():
        described = file.message_type.add(name=message)
        for number, text in fields:
            name, kind = text.split()
            repeated = kind.startswith("*")
            field = described.field.add(name=name, number=number)
            field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            field.type = _TYPES.get(kind.lstrip("*"), FieldDescriptorProto.TYPE_MESSAGE)
            if field.type == FieldDescriptorProto.TYPE_MESSAGE:
                field.type_name = f".{_PACKAGE}.{kind.lstrip('*')}"
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


SparkplugPayload = _message_class()


def parse_payload(data: bytes) -> Any:  # noqa: ANN401 - a message of `SparkplugPayload`
    """Return the payload; raises `ValueError` for bytes that are none."""
    try:
        return SparkplugPayload.FromString(data)
    except (DecodeError, ValueError) as error:
        raise ValueError(str(error) or "the bytes are no message") from None
