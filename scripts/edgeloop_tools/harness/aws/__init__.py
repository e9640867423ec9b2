"""Enough of Greengrass, IoT, STS and S3 for unmodified boto3 clients, on the loopback interface: every request is held
against botocore's own description of the service, recorded, and answered from memory."""

from edgeloop_tools.harness.aws.server import Cloud, Fault, Request

__all__ = ["Cloud", "Fault", "Request"]
