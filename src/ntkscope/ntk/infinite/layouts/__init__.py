"""How covariances between positions of two images lie in memory: band, full or vector.

Imports `models.architecture` only.
"""
