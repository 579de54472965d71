"""Engines that predict on the live path, without the libraries that trained them."""
