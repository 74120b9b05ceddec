"""What differs from one family of instances to another: host software, local disks, and where the image does not run.

The image has CUDA 12.8, which needs a driver of 525 or newer, and kernels for compute capability 7.0 to 12.0.
Blackwell GPUs need a driver of 570 for CUDA 12.8.
"""

import re
from argparse import Namespace
from dataclasses import dataclass

from classifier.errors import UserError

# NVIDIA's driver in each host image: the API's reference under InferenceAmiVersion and TransformAmiVersion.
DRIVERS = {
    "al2-ami-sagemaker-inference-gpu-2": 535,
    "al2-ami-sagemaker-inference-gpu-2-1": 535,
    "al2-ami-sagemaker-inference-gpu-3-1": 550,
    "al2023-ami-sagemaker-inference-gpu-4-1": 580,
    "al2-ami-sagemaker-batch-gpu-470": 470,
    "al2-ami-sagemaker-batch-gpu-535": 535,
}
NEW_ENOUGH, FOR_BATCHES = "al2-ami-sagemaker-inference-gpu-3-1", "al2-ami-sagemaker-batch-gpu-535"
ARM = "is an Arm processor, and the image is built for x86-64"
OTHER_CHIPS = "has accelerators that the image does not use; name a type with NVIDIA GPUs or without accelerators"


@dataclass(frozen=True)
class Family:
    """What holds for a family of instances; `refusal` says why the image does not run there, "" if it does."""

    inference_ami: str = ""  # the host's own software is right where this and the next are ""
    transform_ami: str = ""
    driver: int = 525
    refusal: str = ""


# The first pattern that matches a family, such as g4dn, counts.
FAMILIES = {
    # Their endpoints have driver 470 by default: docs.aws.amazon.com/sagemaker/latest/dg/inference-gpu-drivers.html;
    # batch transform has its own: API_TransformResources.html.
    "g4dn|g5": Family(NEW_ENOUGH, FOR_BATCHES),
    "p3|p4de?": Family(NEW_ENOUGH),
    # Their endpoints have driver 535 or newer by default, and their batch transform 470.
    "g6": Family(transform_ami=FOR_BATCHES),
    # Blackwell. CUDA 12.8's release notes name the driver.
    "g7e?|p6-.*": Family(driver=570),
    "p2": Family(refusal="has K80 GPUs, for which PyTorch has no kernels any more"),
    # Grace and Graviton.
    r"p6e-.*|[cmrt]\d+g\w*": Family(refusal=ARM),
    r"(inf|trn|dl)\d\w*": Family(refusal=OTHER_CHIPS),
}
# Families whose volumes are local disks. AWS refuses a KMS key there, and encrypts them by hardware: the reference of
# ResourceConfig.VolumeKmsKeyId; the list is that of the SageMaker Python SDK's instance_supports_kms.
LOCAL_DISKS = re.compile(r"\w*d\w*|(g5|g6|g7e|p5|p6-b\d00|trn).*")
ALIAS = re.compile(r"(arn:[^:]+:kms:[^:]*:[^:]*:)?alias/.*")


def family_name(instance_type: str) -> str:
    """Return the family of an instance type: g4dn of ml.g4dn.xlarge."""
    return instance_type.removeprefix("ml.").partition(".")[0]


def family(instance_type: str) -> Family:
    """Return what holds for the type. Raises UserError if the image does not run there."""
    name = family_name(instance_type)
    found = next((about for pattern, about in FAMILIES.items() if re.fullmatch(pattern, name)), Family())
    if found.refusal:
        raise UserError(f"instance_type is {instance_type!r}, which {found.refusal}")
    return found


def ami(instance_type: str, setting: str, wanted: str) -> str:
    """Return the host software to ask for, "" for the host's own: the `setting`, or what the family has in `wanted`.

    Raises UserError if the image does not run on the type, or if the setting's driver is too old there.
    """
    about = family(instance_type)
    if DRIVERS.get(setting, about.driver) < about.driver:
        name = f"{wanted} is {setting!r}, with NVIDIA driver {DRIVERS[setting]}"
        raise UserError(f"{name}; accepted: one with {about.driver} or newer, which {instance_type} needs")
    return setting or getattr(about, wanted)


def volume_key(settings: Namespace, instance_type: str, alias: bool = False) -> str:
    """Return the KMS key for the volumes, "" for none; `alias` says whether AWS takes the alias of a key here."""
    if not settings.kms_key or has_local_disks(instance_type):
        return ""
    if ALIAS.fullmatch(settings.kms_key) and not alias:
        raise UserError(f"kms_key is {settings.kms_key!r}; accepted: a key's id or ARN, since volumes take no alias")
    return settings.kms_key


def has_local_disks(instance_type: str) -> bool:
    return LOCAL_DISKS.fullmatch(family_name(instance_type)) is not None


def remark(settings: Namespace, instance_type: str) -> str:
    """Return a sentence about the KMS key, for the user to read before anything starts; "" if it is used everywhere."""
    if not settings.kms_key or not has_local_disks(instance_type):
        return ""
    return f"{instance_type} has local disks, which its hardware encrypts: the KMS key is used for S3 alone"
