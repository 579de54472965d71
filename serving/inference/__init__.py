"""The Open Inference Protocol, version 2, over the versions of our models."""
