"""Sphinx configuration: Markdown pages by MyST, no extra machinery."""

project = "tickpath"
author = "the tickpath authors"
copyright = "the tickpath authors"  # noqa: A001 - the name that Sphinx asks for
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "tickpath"
