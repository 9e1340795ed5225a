"""The program's own settings: one typed schema, and the loader that names every mistake."""
