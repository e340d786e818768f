"""Slow, plain, float64 definitions that the library is held against."""
