"""Bricks: the maths of all architectures, each written once."""
