"""Command line: TAO's verbs, a file each; they parse, call the library and print."""
