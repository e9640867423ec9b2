"""S3 and Kinesis of the local core: a moto server on the loopback interface, in memory."""

from edgeloop_tools.core.endpoint.process import LocalEndpoint

__all__ = ["LocalEndpoint"]
