"""Files of rows and columns, as people and machines write them."""

from edgeloop.tables.table import BadRow, Row, Table

__all__ = ["BadRow", "Row", "Table"]
