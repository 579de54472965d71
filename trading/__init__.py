"""From prediction to fill; knows ports only."""
