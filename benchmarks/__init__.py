"""Side by side with other libraries: `make bench`, `make bench-gpu`."""
