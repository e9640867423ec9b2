"""`cloud template`: the cloud side of a line's site as CloudFormation: least privilege, every resource by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgeloop.fleet.messages import ROOT, topic
from edgeloop.layout import safe
from edgeloop_tools.config.line import Line
from edgeloop_tools.config.outline import MODELS, UPLOAD, VIDEO
from edgeloop_tools.fleet.iam import Names, policy
from edgeloop_tools.lake import records

UNSCOPED: Final = frozenset({"ecr:GetAuthorizationToken"})
"""Actions for which AWS knows no resource: `*` stands with these alone."""
TABLES: Final = {
    "indicators_1m": "a channel's minute", "indicators_1h": "a channel's hour", "gaps": "what will not arrive",
    "alarms": "states of alarms", "labels": "what people said of alarms",
}  # fmt: skip
_WORDS: Final = ("device", "asset", "type", "stream", "clock", "channel", "indicator", "unit")
_TYPES: Final = {"time": "timestamp", "int": "bigint", "": "string"}
_COLUMNS: Final = {
    "gaps": (("device", "string"), ("stream", "string"), ("epoch", "string"), ("first", "bigint"), ("last", "bigint"),
             ("reason", "string"), ("time", "timestamp")),
    **{table: tuple((name, _TYPES[form]) for name, form in columns) for table, columns in records.COLUMNS.items()},
}  # fmt: skip
_IOT: Final = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}"
_MEASURES: Final = (
    ("time", "timestamp"), *((name, "string") for name in _WORDS), ("n", "bigint"),
    ("mean", "double"), ("min", "double"), ("max", "double"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a line the cloud has to have. raw, keep: days until cheaper storage and until deletion."""

    site: str
    bucket: str
    prefix: str
    kinesis: str
    videos: tuple[str, ...]
    endpoints: tuple[str, ...]
    models: tuple[str, ...]
    artifacts: str
    raw: int = 30
    keep: int = 730

    @property
    def begin(self) -> str:
        """Of every key."""
        return f"{self.prefix}/" if self.prefix else ""


def wanted(line: Line, artifacts: str, raw: int = 30, keep: int = 730) -> Wanted:
    """Raises LineErrors."""
    components = line.components()
    upload = components.get(UPLOAD, {})
    models = components.get(MODELS, {}).get("models", {})
    cameras = components.get(VIDEO, {}).get("cameras", {})
    videos = tuple(
        str(camera["video"].get("stream") or f"*-{id}")
        for id, camera in sorted(cameras.items()) if "kvs" in str(camera.get("video", {}).get("to", ""))
    )  # fmt: skip
    asked = {str(camera["opinion"]["endpoint"]) for camera in cameras.values() if "opinion" in camera}
    uris = (str(model.get("uri", "")) for model in models.values())
    return Wanted(
        line.site, str(upload.get("bucket", "")) or f"edgeloop-{safe(line.site).lower()}",
        str(upload.get("prefix", "")).strip("/"), str(upload.get("kinesis", "")), videos,
        tuple(sorted(name for name in asked if "://" not in name)),
        tuple(sorted(uri for uri in uris if uri.startswith("s3://"))), artifacts, raw, keep,
    )  # fmt: skip


def template(given: Wanted) -> dict[str, Any]:
    """CloudFormation, as JSON has it. The same for the same line."""
    resources: dict[str, Any] = {
        **_bucket(given), **_device(given), **_findings(given), **_lake(given), **_task(given), **_alarms(),
    }  # fmt: skip
    if given.kinesis:
        resources |= _stream(given)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Edgeloop: the cloud side of site {given.site}",
        "Parameters": {
            "Image": {
                "Type": "String", "AllowedPattern": "[a-z0-9][a-z0-9./_-]*(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})",
                "Description": "image of `edgeloop analyse`, in this account's ECR, repository edgeloop",
            },
            "Subnets": {"Type": "List<AWS::EC2::Subnet::Id>", "Description": "where the analyses run"},
            "SecurityGroup": {"Type": "AWS::EC2::SecurityGroup::Id", "Description": "of the analyses: outwards alone"},
            "Notify": {"Type": "String", "Description": "e-mail address that is told of a backlog"},
        },
        "Resources": resources,
        "Outputs": {
            "RoleAlias": {"Description": "for the nucleus's configuration", "Value": {"Ref": "DeviceRoleAlias"}},
            "Bucket": {"Value": {"Ref": "Uploads"}},
            "FindingsPolicy": {"Description": "attach it to the things' group", "Value": {"Ref": "FindingsPolicy"}},
        },
    }  # fmt: skip


def statements(document: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every statement of every policy in a template: logical id, statement."""
    found: list[tuple[str, dict[str, Any]]] = []
    for id, resource in document["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [
            properties.get("PolicyDocument"), properties.get("AssumeRolePolicyDocument"),
            *(each["PolicyDocument"] for each in properties.get("Policies", ())),
        ]  # fmt: skip
        for one in documents:
            found += [(id, statement) for statement in (one or {}).get("Statement", ())]
    return found


# -- parts -------------------------------------------------------------------------------------------------------------


def _bucket(given: Wanted) -> dict[str, Any]:
    arn = {"Fn::GetAtt": ["Uploads", "Arn"]}
    rules = [
        {"Id": "Raw", "Status": "Enabled", "Prefix": f"{given.begin}raw/", "ExpirationInDays": given.keep,
         "Transitions": [{"StorageClass": "STANDARD_IA", "TransitionInDays": given.raw}]},
        {"Id": "Unfinished", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
        {"Id": "Answers", "Status": "Enabled", "Prefix": "athena/", "ExpirationInDays": 14},
    ]  # fmt: skip
    return {
        "Uploads": {
            "Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain",
            "Properties": {
                "BucketName": given.bucket,
                "BucketEncryption": {"ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True, "BlockPublicPolicy": True, "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True},
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "LifecycleConfiguration": {"Rules": rules},
            },
        },
        "UploadsPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {"Bucket": {"Ref": "Uploads"}, "PolicyDocument": _document({
                "Sid": "TlsOnly", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*",
                "Resource": [arn, _sub("${Uploads.Arn}/*")],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            })},
        },
    }  # fmt: skip


def _stream(given: Wanted) -> dict[str, Any]:
    """Records of the lines, and the way of all of them into the bucket."""
    stream = {"Fn::GetAtt": ["Records", "Arn"]}
    return {
        "Records": {
            "Type": "AWS::Kinesis::Stream",
            "Properties": {
                "Name": given.kinesis, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "RetentionPeriodHours": 48,
                "StreamEncryption": {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}},
        },
        "DeliveryRole": _role("firehose.amazonaws.com", "Delivery", [
            _allow("Read", ["kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:DescribeStream",
                            "kinesis:ListShards"], [stream]),
            _allow("Write", ["s3:PutObject", "s3:AbortMultipartUpload"],
                   [_sub(f"${{Uploads.Arn}}/{given.begin}{part}/*") for part in ("records", "failed")]),
            _allow("Where", ["s3:GetBucketLocation", "s3:ListBucket"], [_sub("${Uploads.Arn}")]),
        ], account=True),
        "Delivery": {
            "Type": "AWS::KinesisFirehose::DeliveryStream",
            "Properties": {
                "DeliveryStreamType": "KinesisStreamAsSource",
                "KinesisStreamSourceConfiguration": {
                    "KinesisStreamARN": stream, "RoleARN": {"Fn::GetAtt": ["DeliveryRole", "Arn"]}},
                "ExtendedS3DestinationConfiguration": {
                    "BucketARN": {"Fn::GetAtt": ["Uploads", "Arn"]}, "RoleARN": {"Fn::GetAtt": ["DeliveryRole", "Arn"]},
                    "Prefix": f"{given.begin}records/site={safe(given.site)}/kind=all/date=!{{timestamp:yyyy-MM-dd}}/",
                    "CompressionFormat": "GZIP",
                    "ErrorOutputPrefix": f"{given.begin}failed/!{{firehose:error-output-type}}/",
                    "BufferingHints": {"IntervalInSeconds": 300, "SizeInMBs": 64}},
            },
        },
        "RecordsLate": _alarm("AWS/Firehose", "DeliveryToS3.DataFreshness", 3600,
                              {"DeliveryStreamName": {"Ref": "Delivery"}}),
        "RecordsWait": _alarm("AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", 3_600_000,
                              {"StreamName": {"Ref": "Records"}}),
    }  # fmt: skip


def _device(given: Wanted) -> dict[str, Any]:
    """The token exchange role, with what `policy device` prints, and its alias."""
    names = Names(
        "${AWS::Partition}", "${AWS::Region}", "${AWS::AccountId}", given.artifacts, uploads=given.bucket,
        prefix=given.prefix, streams=(given.kinesis,) if given.kinesis else (), models=given.models,
        videos=given.videos, endpoints=given.endpoints,
    )  # fmt: skip
    granted = [_with_subs(statement) for statement in policy("device", names)["Statement"]]
    name = f"edgeloop-{safe(given.site)}"
    return {
        "DeviceRole": _role("credentials.iot.amazonaws.com", "Device", granted),
        "DeviceRoleAlias": {
            "Type": "AWS::IoT::RoleAlias",
            "Properties": {"RoleAlias": name, "RoleArn": {"Fn::GetAtt": ["DeviceRole", "Arn"]},
                           "CredentialDurationSeconds": 3600},
        },
    }  # fmt: skip


def _findings(given: Wanted) -> dict[str, Any]:
    """What the things may hear beside Greengrass's own policy, and a history of what was said."""
    site = topic(given.site, "+").rpartition("/")[0]
    return {
        "FindingsPolicy": {
            "Type": "AWS::IoT::Policy",
            "Properties": {"PolicyDocument": _document(
                _allow("Subscribe", ["iot:Subscribe"], [_sub(f"{_IOT}:topicfilter/{site}/+")]),
                _allow("Receive", ["iot:Receive"], [_sub(f"{_IOT}:topic/{site}/*")]),
            )},
        },
        "HistoryRole": _role("iot.amazonaws.com", "History", [
            _allow("Write", ["s3:PutObject"], [_sub("${Uploads.Arn}/findings/*")]),
        ], account=True),
        "History": {
            "Type": "AWS::IoT::TopicRule",
            "Properties": {"TopicRulePayload": {
                "Sql": f"SELECT * FROM '{ROOT}/{safe(given.site)}/+'", "AwsIotSqlVersion": "2016-03-23",
                "RuleDisabled": False,
                "Actions": [{"S3": {
                    "BucketName": {"Ref": "Uploads"}, "RoleArn": {"Fn::GetAtt": ["HistoryRole", "Arn"]},
                    "Key": "findings/${topic(3)}/${topic(4)}/${timestamp()}.json"}}],
            }},
        },
    }  # fmt: skip


def _lake(given: Wanted) -> dict[str, Any]:
    """Tables over `lake/` with projected partitions: no crawler, nothing to repair."""
    database = f"edgeloop_{safe(given.site).lower().replace('-', '_').replace('.', '_').replace(':', '_')}"
    made: dict[str, Any] = {
        "Lake": {
            "Type": "AWS::Glue::Database",
            "Properties": {"CatalogId": {"Ref": "AWS::AccountId"}, "DatabaseInput": {"Name": database}},
        },
        "Questions": {
            "Type": "AWS::Athena::WorkGroup",
            "Properties": {"Name": f"edgeloop-{safe(given.site)}", "WorkGroupConfiguration": {
                "EnforceWorkGroupConfiguration": True, "BytesScannedCutoffPerQuery": 100 * 10**9,
                "ResultConfiguration": {
                    "OutputLocation": _sub("s3://${Uploads}/athena/"),
                    "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"}},
            }},
        },
    }  # fmt: skip
    for name, words in TABLES.items():
        where = f"s3://${{Uploads}}/lake/{name}/"
        made["Table" + name.title().replace("_", "")] = {
            "Type": "AWS::Glue::Table",
            "Properties": {
                "CatalogId": {"Ref": "AWS::AccountId"}, "DatabaseName": {"Ref": "Lake"},
                "TableInput": {
                    "Name": name, "Description": words, "TableType": "EXTERNAL_TABLE",
                    "PartitionKeys": [{"Name": "site", "Type": "string"}, {"Name": "date", "Type": "string"}],
                    "Parameters": {
                        "classification": "parquet", "projection.enabled": "true", "projection.site.type": "injected",
                        "projection.date.type": "date", "projection.date.format": "yyyy-MM-dd",
                        "projection.date.range": "2024-01-01,NOW",
                        "storage.location.template": _sub(f"{where}site=${{!site}}/date=${{!date}}/")},
                    "StorageDescriptor": {
                        "Location": _sub(where),
                        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                        "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                        "SerdeInfo": {
                            "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
                        "Columns": [{"Name": c, "Type": t} for c, t in _COLUMNS.get(name, _MEASURES)]},
                },
            },
        }  # fmt: skip
    return made


def _task(given: Wanted) -> dict[str, Any]:
    """`edgeloop analyse compare --publish` every hour, as a task of Fargate."""
    site = topic(given.site, "+").rpartition("/")[0]
    ecr = "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/edgeloop"
    source = f"s3://${{Uploads}}/{given.begin}".rstrip("/")
    return {
        "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {}},
        "StartRole": _role("ecs-tasks.amazonaws.com", "Start", [
            _allow("Token", ["ecr:GetAuthorizationToken"], ["*"]),
            _allow("Pull", ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
                   [_sub(ecr)]),
            _allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [{"Fn::GetAtt": ["Log", "Arn"]}]),
        ], account=True),
        "AnalysisRole": _role("ecs-tasks.amazonaws.com", "Analysis", [
            _allow("List", ["s3:ListBucket"], [_sub("${Uploads.Arn}")]),
            _allow("Read", ["s3:GetObject"],
                   [_sub(f"${{Uploads.Arn}}/{given.begin}{part}/*") for part in ("raw", "gaps", "records")]),
            _allow("Tell", ["iot:Publish", "iot:RetainPublish"], [_sub(f"{_IOT}:topic/{site}/*")]),
        ], account=True),
        "Analysis": {
            "Type": "AWS::ECS::TaskDefinition",
            "Properties": {
                "RequiresCompatibilities": ["FARGATE"], "NetworkMode": "awsvpc", "Cpu": "2048", "Memory": "4096",
                "EphemeralStorage": {"SizeInGiB": 50},
                "ExecutionRoleArn": {"Fn::GetAtt": ["StartRole", "Arn"]},
                "TaskRoleArn": {"Fn::GetAtt": ["AnalysisRole", "Arn"]},
                "ContainerDefinitions": [{
                    "Name": "analyse", "ReadonlyRootFilesystem": False,
                    "Image": _sub("${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/${Image}"),
                    "Command": ["analyse", "compare", "--data", _sub(source), "--out", "/tmp/analysis", "--publish"],
                    "LogConfiguration": {"LogDriver": "awslogs", "Options": {
                        "awslogs-group": {"Ref": "Log"}, "awslogs-region": {"Ref": "AWS::Region"},
                        "awslogs-stream-prefix": "analyse"}},
                }],
            },
        },
        "ScheduleRole": _role("scheduler.amazonaws.com", "Schedule", [
            _allow("Run", ["ecs:RunTask"], [{"Ref": "Analysis"}]),
            _allow("Pass", ["iam:PassRole"], [{"Fn::GetAtt": [role, "Arn"]} for role in ("StartRole", "AnalysisRole")]),
        ], account=True),
        "Schedule": {
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {
                "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": {"Mode": "FLEXIBLE",
                                                                             "MaximumWindowInMinutes": 10},
                "Target": {
                    "Arn": {"Fn::GetAtt": ["Cluster", "Arn"]}, "RoleArn": {"Fn::GetAtt": ["ScheduleRole", "Arn"]},
                    "RetryPolicy": {"MaximumRetryAttempts": 2},
                    "EcsParameters": {
                        "TaskDefinitionArn": {"Ref": "Analysis"}, "LaunchType": "FARGATE",
                        "NetworkConfiguration": {"AwsvpcConfiguration": {
                            "Subnets": {"Ref": "Subnets"}, "SecurityGroups": [{"Ref": "SecurityGroup"}],
                            "AssignPublicIp": "DISABLED"}}},
                },
            },
        },
    }  # fmt: skip


def _alarms() -> dict[str, Any]:
    return {
        "Told": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"KmsMasterKeyId": "alias/aws/sns",
                           "Subscription": [{"Protocol": "email", "Endpoint": {"Ref": "Notify"}}]},
        },
        "NotRun": _alarm("AWS/Scheduler", "TargetErrorCount", 0, {"ScheduleGroup": "default"}, "Sum"),
    }  # fmt: skip


def _alarm(
    namespace: str, metric: str, over: float, dimensions: Mapping[str, Any], statistic: str = "Maximum"
) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "Namespace": namespace, "MetricName": metric, "Statistic": statistic, "Period": 300, "EvaluationPeriods": 3,
            "Threshold": over, "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
            "AlarmActions": [{"Ref": "Told"}],
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        },
    }  # fmt: skip


def _role(service: str, name: str, granted: Sequence[dict[str, Any]], *, account: bool = False) -> dict[str, Any]:
    """account: only on behalf of this account's own (no confused deputy)."""
    trust: dict[str, Any] = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if account:
        trust["Condition"] = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": _document(trust),
            "Policies": [{"PolicyName": name, "PolicyDocument": _document(*granted)}],
        },
    }


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(name: str, actions: Sequence[str], resources: Sequence[Any]) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _sub(text: str) -> dict[str, str]:
    return {"Fn::Sub": text}


def _with_subs(statement: dict[str, Any]) -> dict[str, Any]:
    """Of a policy with `${AWS::…}` in its names."""
    resources = [_sub(each) if "${" in each else each for each in statement["Resource"]]
    return {**statement, "Resource": resources}
