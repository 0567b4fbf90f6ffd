"""Any value, any damage: refused in one line, or mended."""
