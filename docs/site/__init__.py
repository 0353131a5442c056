"""Site: the documentation as a site of its own, with the references that are generated from the code."""
