"""Guide: what the keys of specs are, for who writes one: templates, schemas, explanations and differences."""
