"""The jobs of a merge request, after each other, with what they leave behind."""
