"""One page per model, for a reviewer: as a Markdown note, as HTML, and for a terminal."""
