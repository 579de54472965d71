"""Adapters that carry orders to a venue."""
