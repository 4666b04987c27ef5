"""What translating a record of each input format costs: `python -m benchmarks.formats`."""

from __future__ import annotations

import time

from streams.admit.validate import as_access_event, decode_batch
from streams.flow.events import AccessEvent
from tests.format_examples import EXAMPLES, Example

RECORDS = 2_000
ROUNDS = 7


def translating(example: Example) -> float:
    """Processor time of one record, from its bytes to a checked access event; microseconds, best of some rounds."""
    entries, value, headers = example.source.entries, example.value, example.headers
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(RECORDS):
            for entry in entries(value, headers):
                assert isinstance(entry.outcome, dict), "an example is an event"
                as_access_event(entry.outcome)
        times.append(time.process_time() - began)
    return min(times) / RECORDS * 1e6


def native() -> float:
    """The same for a native record, as workers decode them: a batch at once."""
    values = [EXAMPLES["native"].value.replace(b',"name":"Lan"', b"")] * RECORDS
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        assert decode_batch(AccessEvent, values), "the example has no field that is unknown"
        times.append(time.process_time() - began)
    return min(times) / RECORDS * 1e6


def main() -> None:
    """Print a table in Markdown."""
    print("| format | µs a record |")
    print("|---|---|")
    print(f"| native, as workers read it | {native():.1f} |")
    for name, example in EXAMPLES.items():
        if name != "native":
            print(f"| {name} | {translating(example):.1f} |")


if __name__ == "__main__":
    main()
