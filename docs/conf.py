"""The documentation as a site: `make docs`. Every warning is an error, a link that leads nowhere too."""

from pathlib import Path

project = "Holdfast"
html_title = "Holdfast"
html_theme = "furo"
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]
suppress_warnings = ["toc.not_included"]  # problem pages and decisions are listed by their READMEs

# As GitHub shows the same pages: fenced diagrams, and an anchor for each heading.
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3

# Diagrams need no network where `make tools` could get their script; elsewhere a browser fetches it.
_mermaid = Path(__file__).parent.parent / ".tools" / "mermaid"
if _mermaid.is_dir():
    html_static_path = [str(_mermaid)]
    mermaid_use_local = "mermaid.esm.min.mjs"
