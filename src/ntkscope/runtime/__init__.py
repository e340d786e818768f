"""Under the arithmetic: device, precision, memory, disk, processes, logs, provenance.

It imports `errors` only, and everything may import it.
"""
