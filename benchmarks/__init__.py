"""The same leak-finding job in stock Faust and in parcelwatch, side by side: `python -m benchmarks`."""
