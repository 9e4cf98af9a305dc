"""Driving tasks: where the base goes."""
