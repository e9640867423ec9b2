"""An AWS account in one region, and what it refuses in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from edgeloop.errors import EdgeloopError

_EXPIRED = {
    "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired",
}  # fmt: skip
_UNKNOWN_KEY = {
    "InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException",
    "InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken",
}  # fmt: skip
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AllAccessDisabled", "Forbidden", "403"}
_BUSY = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
_S3_ACTIONS = {
    "HeadBucket": "s3:ListBucket", "GetBucketLocation": "s3:GetBucketLocation", "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject",
}  # fmt: skip
_LOGIN = "run `aws sso login` or `aws configure`, or set AWS_PROFILE"


class Account:
    """Whom the credentials belong to. Clients are made on first use; endpoints may come from AWS_ENDPOINT_URL_*."""

    def __init__(self, region: str | None) -> None:
        import boto3

        with speaking():
            self._session: Any = boto3.Session(region_name=region)
        chosen = region or self._session.region_name
        if not chosen:
            raise EdgeloopError("which region?", mend="give --region, or set AWS_REGION")
        self.region = known_region(str(chosen), self._session)
        self.partition = str(self._session.get_partition_for_region(self.region))

    @cached_property
    def number(self) -> str:
        """The account's twelve digits."""
        with speaking(self.region):
            return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def greengrass(self) -> Any:
        return self.client("greengrassv2")

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def iot(self) -> Any:
        return self.client("iot")

    def client(self, service: str) -> Any:
        from botocore.config import Config

        config = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard"})
        with speaking(self.region):
            return self._session.client(service, region_name=self.region, config=config)

    def component(self, name: str, version: str = "") -> str:
        """The ARN of a component, or of one of its versions; those named aws.* are AWS's own."""
        owner = "aws" if name.startswith("aws.") else self.number
        arn = f"arn:{self.partition}:greengrass:{self.region}:{owner}:components:{name}"
        return f"{arn}:versions:{version}" if version else arn

    def group(self, name: str) -> str:
        return f"arn:{self.partition}:iot:{self.region}:{self.number}:thinggroup/{name}"

    def thing(self, name: str) -> str:
        return f"arn:{self.partition}:iot:{self.region}:{self.number}:thing/{name}"


def known_region(name: str, session: Any) -> str:
    """Raises EdgeloopError for a name that botocore does not know."""
    known: set[str] = set()
    for partition in session.get_available_partitions():
        known.update(session.get_available_regions("sts", partition_name=partition))
        known.update(session.get_available_regions("s3", partition_name=partition))
    if name in known:
        return name
    near = difflib.get_close_matches(name, sorted(known), 1)
    mend = f"did you mean {near[0]}?" if near else "such as eu-central-1"
    raise EdgeloopError(f"there is no region {name}", mend=f"{mend} A new region needs a newer boto3")


@contextmanager
def speaking(region: str = "") -> Iterator[None]:
    """What boto3 raises inside becomes an EdgeloopError with the mend."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _refused(error, region) from error
    except BotoCoreError as error:
        raise _failed(error, region) from error


def code_of(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def action_of(operation: str, service: str) -> str:
    """The IAM action that an operation needs.

    >>> action_of("HeadBucket", "s3"), action_of("CreateDeployment", "greengrassv2")
    ('s3:ListBucket', 'greengrass:CreateDeployment')
    """
    if service == "s3":
        return _S3_ACTIONS.get(operation, f"s3:{operation}")
    return f"{'greengrass' if service == 'greengrassv2' else service}:{operation}"


def _service_of(operation: str) -> str:
    if operation in _S3_ACTIONS or operation in ("CreateBucket", "PutObject", "GetObject"):
        return "s3"
    if "Thing" in operation:
        return "iot"
    return "sts" if operation == "GetCallerIdentity" else "greengrassv2"


def _refused(error: Any, region: str) -> EdgeloopError:
    code, operation = code_of(error), str(error.operation_name)
    message = str(error.response.get("Error", {}).get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    action = action_of(operation, _service_of(operation))
    if code in _EXPIRED:
        return EdgeloopError("the AWS credentials have expired", why=code, mend=_LOGIN)
    if code in _UNKNOWN_KEY:
        return EdgeloopError("AWS does not know these credentials", why=f"{code} from {operation}", mend=_LOGIN)
    if code in _DENIED:
        verb = "deployer" if "Deployment" in operation or "Thing" in operation or "Device" in operation else "publisher"
        mend = f"allow {action}: `edgeloop policy {verb}` prints the whole policy"
        return EdgeloopError("AWS does not permit this", where=action, why=message, mend=mend)
    if code == "RequestTimeTooSkewed":
        return EdgeloopError("this machine's clock is wrong", why=message, mend="set it, and try again")
    if code in _BUSY or status == 429:
        return EdgeloopError("AWS asks to slow down", where=operation, why=code,
                             mend="try again: what is done is not repeated")  # fmt: skip
    if status >= 500:
        return EdgeloopError("AWS failed", where=f"{operation} in {region}", why=f"{status} {code} {message}",
                             mend="try again: what is done is not repeated")  # fmt: skip
    return EdgeloopError("AWS refused", where=operation, why=f"{code}: {message}")


def _failed(error: Any, region: str) -> EdgeloopError:
    from botocore import exceptions as e

    if isinstance(error, e.NoCredentialsError | e.PartialCredentialsError):
        return EdgeloopError("there are no AWS credentials", why=str(error), mend=_LOGIN)
    if isinstance(error, e.SSOError | e.TokenRetrievalError | e.CredentialRetrievalError):
        return EdgeloopError("the AWS credentials cannot be renewed", why=str(error), mend=_LOGIN)
    if isinstance(error, e.ProfileNotFound):
        return EdgeloopError("no such AWS profile", why=str(error), mend="`aws configure list-profiles` names them")
    if isinstance(error, e.NoRegionError):
        return EdgeloopError("which region?", mend="give --region, or set AWS_REGION")
    if isinstance(error, e.HTTPClientError | e.ConnectionError):
        url = str(error.kwargs.get("endpoint_url", "")) or region
        cause = error.kwargs.get("error")
        mend = f"check the network and its proxy, and whether {region} has this service; what is done is not repeated"
        return EdgeloopError("AWS cannot be reached", where=url, why=_cause(cause or error), mend=mend)
    return EdgeloopError("the request could not be made", why=str(error))


def _cause(error: object) -> str:
    """The innermost sentence of a chain of wrapped network errors."""
    text = str(error)
    inner = text.rpartition("Caused by ")[2].strip("() ")
    for name in ("Name or service not known", "Temporary failure in name resolution", "Connection refused",
                 "Connection reset by peer", "timed out", "certificate verify failed"):  # fmt: skip
        if name in text:
            return name
    return inner or type(error).__name__
