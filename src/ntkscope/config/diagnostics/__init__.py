"""What is wrong in a configuration, where it stands, and what is allowed instead.

Imports `config.sections`, `config.analyses`, `runtime.nearest` and `errors`.
"""
