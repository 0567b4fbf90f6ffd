"""From YAML to checked, expanded, instantiable data."""
