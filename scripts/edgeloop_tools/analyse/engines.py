"""Where an analysis' expression runs: DuckDB in this process, or Spark, local or the cluster that its settings name."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from edgeloop import optional
from edgeloop.errors import EdgeloopError

PURPOSE: Final = "analyse"
ENGINES: Final = ("duckdb", "spark")
SETTINGS: Final = ("SET TimeZone='UTC'", "SET memory_limit='1GB'", "SET preserve_insertion_order=false")
SPARK: Final = {
    "spark.sql.session.timeZone": "UTC", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "8",
    "spark.driver.bindAddress": "127.0.0.1", "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}  # fmt: skip
"""What the tables need beside Spark's defaults; a cluster's own settings (spark-submit, EMR, Glue) come first."""


class Engine:
    """An Ibis backend with the lake's tables. `read`: of the Parquet files of a table, partitions as text."""

    def __init__(self, name: str, connection: Any, session: Any = None) -> None:
        self.name, self.connection, self._session = name, connection, session

    def read(self, table: str, files: Sequence[str]) -> Any:
        if self._session is None:
            return self.connection.read_parquet(
                list(files), table_name=table, hive_partitioning=True, hive_types_autocast=False, union_by_name=True
            )
        base = files[0].partition("/site=")[0]
        read = self._session.read.option("basePath", base).option("mergeSchema", "true")
        read.parquet(*files).createOrReplaceTempView(table)
        return self.connection.table(table)


@contextmanager
def opened(name: str) -> Iterator[Engine]:
    """Raises EdgeloopError where it is not there."""
    ibis = optional.load("ibis", PURPOSE)
    if name == "duckdb":
        connection = ibis.duckdb.connect()
        try:
            for setting in SETTINGS:
                connection.raw_sql(setting)
            yield Engine(name, connection)
        finally:
            connection.disconnect()
        return
    if name != "spark":
        raise EdgeloopError("no such engine", where=name, mend=f"one of {', '.join(ENGINES)}")
    session = _spark()
    try:
        yield Engine(name, ibis.pyspark.connect(session), session)
    finally:
        with contextlib.suppress(Exception):
            session.stop()


def _spark() -> Any:
    try:
        sql: Any = importlib.import_module("pyspark.sql")
    except ImportError:
        mend = "pip install pyspark==3.5.6 into this environment; it needs Java 17"
        raise EdgeloopError("PySpark is not there", where="--engine spark", mend=mend) from None
    builder = sql.SparkSession.builder.appName("edgeloop analyse")
    for key, value in SPARK.items():
        builder = builder.config(key, value)
    try:
        return builder.getOrCreate()
    except Exception as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EdgeloopError("Spark does not start", why=why, mend="it needs Java 17 (JAVA_HOME)") from error
