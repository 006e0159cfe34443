"""Figures come in; small SVG pictures, each with a title and a description, go out."""
