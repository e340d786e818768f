"""The machine under the arithmetic: device, precision, memory, start-up, logs, provenance, timings.

It imports `errors` only, and everything may import it.
"""
