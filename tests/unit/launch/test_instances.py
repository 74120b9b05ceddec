import pytest
from botocore.session import get_session

from classifier.errors import UserError
from launch import instances, settings

ENUMS = ("ProductionVariantInstanceType", "TrainingInstanceType", "TransformInstanceType")
ID = "1234abcd-12ab-34cd-56ef-1234567890ab"


def parsed(*flags):
    return settings.make_parser("", "aws", "training").parse_args(flags)


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        ("ml.p2.xlarge", "has K80 GPUs"),
        ("ml.p6e-gb200.36xlarge", "is an Arm processor"),
        ("ml.c7g.large", "is an Arm processor"),
        ("ml.r6gd.large", "is an Arm processor"),
        ("ml.trn1.2xlarge", "has accelerators that the image does not use"),
        ("ml.inf2.xlarge", "has accelerators that the image does not use"),
    ],
)
def test_a_type_on_which_the_image_does_not_run_is_refused(instance_type, expected):
    with pytest.raises(UserError, match=f"instance_type is '{instance_type}', which {expected}"):
        instances.family(instance_type)


def test_every_type_of_aws_has_its_family():
    model = get_session().get_service_model("sagemaker")
    refused = set()
    for instance_type in (name for enum in ENUMS for name in model.shape_for(enum).enum):
        try:
            assert instances.ami(instance_type, "", "inference_ami") in ("", instances.NEW_ENOUGH)
        except UserError:
            refused.add(instances.family_name(instance_type))
    assert {name[0] for name in refused} <= set("cmrptid")
    assert not refused & {"c5", "m5", "m6i", "r5", "t3", "g4dn", "g5", "g6", "g6e", "g7e", "p3", "p4d", "p5", "p6-b200"}


def test_a_setting_overrides_the_table_unless_its_driver_is_too_old():
    new = "al2023-ami-sagemaker-inference-gpu-4-1"
    assert instances.ami("ml.g5.xlarge", new, "inference_ami") == new
    assert instances.ami("ml.g5.xlarge", "one-of-next-year", "inference_ami") == "one-of-next-year"
    with pytest.raises(
        UserError, match="gpu-3-1', with NVIDIA driver 550; accepted: one with 570 or newer, which ml.g7e"
    ):
        instances.ami("ml.g7e.2xlarge", instances.NEW_ENOUGH, "inference_ami")
    with pytest.raises(UserError, match="transform_ami is .* with NVIDIA driver 470; accepted: one with 525 or newer"):
        instances.ami("ml.g5.xlarge", "al2-ami-sagemaker-batch-gpu-470", "transform_ami")


def test_the_key_of_the_volumes():
    given = parsed("--kms-key", ID)
    assert instances.volume_key(given, "ml.m5.xlarge") == ID
    for local in ("g4dn", "g5", "g6e", "g7e", "c5d", "p4d", "p5en", "p6-b200", "trn1"):
        assert instances.volume_key(given, f"ml.{local}.xlarge") == ""
    assert "local disks, which its hardware encrypts" in instances.remark(given, "ml.g4dn.xlarge")
    assert instances.remark(given, "ml.m5.xlarge") == instances.remark(parsed(), "ml.g4dn.xlarge") == ""


@pytest.mark.parametrize("alias", ["alias/mine", "arn:aws-cn:kms:cn-north-1:123456789012:alias/mine"])
def test_an_alias_is_refused_where_aws_takes_none(alias):
    given = parsed("--kms-key", alias)
    with pytest.raises(UserError, match="accepted: a key's id or ARN, since volumes take no alias"):
        instances.volume_key(given, "ml.m5.xlarge")
    assert instances.volume_key(given, "ml.m5.xlarge", alias=True) == alias
    assert instances.volume_key(given, "ml.g4dn.xlarge") == ""
