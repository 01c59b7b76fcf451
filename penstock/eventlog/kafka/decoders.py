"""kafka-python's decoders, compiled by one thread at a time.

It compiles what decodes an answer when the first such answer comes, and meanwhile changes the description that all
threads share (3.0.12, `StructField.compiled_decode_from`). Where a second thread comes in the wrong moment, its decoder
fails with a TypeError, and is kept: of this process no client can talk to Kafka any more, and what is reported is that
requests timed out. Every process of penstock has several clients, which start at the same time.
"""

import functools
import threading
from typing import Any

from kafka.protocol.schemas.fields.struct import StructField


def compile_alone() -> None:
    """Makes it so, for all clients of this process that are made from now on."""
    compiled = StructField.compiled_decode_from
    one_at_a_time = threading.Lock()

    @functools.wraps(compiled)
    def alone(*arguments: Any, **options: Any) -> Any:
        with one_at_a_time:
            return compiled(*arguments, **options)

    StructField.compiled_decode_from = alone
