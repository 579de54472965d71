"""The live engine on recorded time."""
