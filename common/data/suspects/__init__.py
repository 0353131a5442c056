"""Suspects: labels that are likely wrong, told from the labels alone, and what a labelling tool needs to mend them."""
