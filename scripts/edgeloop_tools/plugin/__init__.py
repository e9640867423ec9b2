"""Plug-ins: folders of code of the line's owner: `edgeloop new`, and the data-only cases that each comes with."""
