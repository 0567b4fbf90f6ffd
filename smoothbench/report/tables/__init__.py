"""Tables of an experiment: Markdown, LaTeX, plain text."""
