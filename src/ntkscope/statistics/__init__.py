"""Statistics of arrays: intervals, power laws, trends, minima, saturation, correlation.

It knows no run, metric or figure, and imports `errors` only.
"""
