"""The bucket of the artifacts: `<prefix>-<region>-<account>`, as GDK names it."""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.fleet.account import Account, code_of, speaking

_OTHER_NAME = "choose another name with --bucket"


def bucket_of(prefix: str, account: Account) -> str:
    """Raises EdgeloopError for a name that S3 does not take."""
    name = f"{prefix.strip()}-{account.region}-{account.number}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        why = f"{name} is {len(name)} characters long, or has other than small letters, digits, dots and hyphens"
        raise EdgeloopError("S3 takes no such name", why=why, mend=f"{_OTHER_NAME}: region and account follow it")
    return name


class Bucket:
    """A bucket of one's own: a request to another account's is refused by S3 itself."""

    def __init__(self, account: Account, name: str) -> None:
        self.name = name
        self._account = account
        self._owned = {"Bucket": name, "ExpectedBucketOwner": account.number}

    def exists(self) -> bool:
        """Raises EdgeloopError when it is another account's or in another region."""
        from botocore.exceptions import ClientError

        try:
            with speaking_of(self._account):
                answer = self._account.s3.head_bucket(**self._owned)
        except EdgeloopError as refused:
            cause = refused.__cause__
            if not isinstance(cause, ClientError):
                raise
            code, metadata = code_of(cause), cause.response.get("ResponseMetadata", {})
            region = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
            if code in ("404", "NoSuchBucket"):
                return False
            if region and region != self._account.region:
                raise self._elsewhere(region) from cause
            if code in ("403", "AccessDenied", "Forbidden"):
                raise self._foreign() from cause
            if code in ("301", "PermanentRedirect"):
                raise self._elsewhere("another region") from cause
            raise
        region = answer.get("BucketRegion") or answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        if region and region != self._account.region:
            raise self._elsewhere(str(region))
        return True

    def create(self) -> None:
        there: dict[str, Any] = {}
        if self._account.region != "us-east-1":
            there = {"CreateBucketConfiguration": {"LocationConstraint": self._account.region}}
        try:
            with speaking_of(self._account):
                self._account.s3.create_bucket(Bucket=self.name, **there)
        except EdgeloopError as refused:
            code = code_of(refused.__cause__) if isinstance(refused.__cause__, Exception) else ""
            if code == "BucketAlreadyExists":
                raise self._foreign() from refused
            if code != "BucketAlreadyOwnedByYou":
                raise

    def put(self, key: str, data: bytes) -> bool:
        """False: it is there already, byte for byte."""
        from botocore.exceptions import ClientError

        digest = hashlib.sha256(data).hexdigest()
        try:
            with speaking_of(self._account):
                there = self._account.s3.head_object(**self._owned, Key=key)
            if there.get("Metadata", {}).get("sha256") == digest and there["ContentLength"] == len(data):
                return False
        except EdgeloopError as refused:
            if not isinstance(refused.__cause__, ClientError) or code_of(refused.__cause__) not in (
                "404", "NoSuchKey", "403",
            ):  # fmt: skip
                raise
        owner = {"ExpectedBucketOwner": self._account.number, "Metadata": {"sha256": digest}}
        with speaking_of(self._account):
            self._account.s3.upload_fileobj(io.BytesIO(data), self.name, key, ExtraArgs=owner)
        return True

    def _foreign(self) -> EdgeloopError:
        why = "it belongs to another AWS account, or s3:ListBucket on it is not permitted"
        mend = f"{_OTHER_NAME}, or allow it: `edgeloop policy publisher` prints the policy"
        return EdgeloopError("this bucket cannot be used", where=self.name, why=why, mend=mend)

    def _elsewhere(self, region: str) -> EdgeloopError:
        why = f"it is in {region}, the components go to {self._account.region}"
        return EdgeloopError("this bucket cannot be used", where=self.name, why=why, mend=_OTHER_NAME)


def speaking_of(account: Account) -> Any:
    return speaking(account.region)
