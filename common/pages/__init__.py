"""Pages: the look, the charts and the numbers that all HTML pages share."""
