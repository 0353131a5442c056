"""Conversion: annotations and photos become shards of records, whoever is killed meanwhile."""
