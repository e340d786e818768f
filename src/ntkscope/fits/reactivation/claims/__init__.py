"""The claims of the reactivation paper, and our own beyond it, one module a theme."""
