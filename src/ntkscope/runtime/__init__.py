"""Under the arithmetic: device, precision, memory, start-up, logs, provenance, timings, near words.

It imports `errors` only, and everything may import it.
"""
