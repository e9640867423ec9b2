"""Files of rows and columns, as people and machines write them: CSV and its relatives, Parquet, workbooks, recorders.

One reader with one set of options, for replay, backtest, train, demo and export.
"""

from edgeloop.tables.options import Options
from edgeloop.tables.table import Block, Table
from edgeloop.tables.whole import Whole, read

__all__ = ["Block", "Options", "Table", "Whole", "read"]
