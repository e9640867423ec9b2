"""io.edgeloop.Console: the page for the people at the line."""
