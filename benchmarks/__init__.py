"""The same leak-finding job in stock Faust and in parcelwatch, measured one after the other: `python -m benchmarks`."""
